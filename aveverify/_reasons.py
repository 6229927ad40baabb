"""The path at which errors pickled by version 0.1 look for their reasons. Nothing here imports it."""

from aveverify.errors._reasons import Fault, Hint, Problem, Reason, Step

__all__ = ["Fault", "Hint", "Problem", "Reason", "Step"]
