"""Where pickles of version 0.1 look for reasons, hints, faults, problems and steps. The package does not import it."""

from aveverify.errors import Fault, Hint, Problem, Reason, Step

__all__ = ["Fault", "Hint", "Problem", "Reason", "Step"]
