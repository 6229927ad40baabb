"""Where pickles of version 0.1 look for the error of an unknown option. Nothing here imports it."""

from aveverify.errors._unknown_options import UnknownOptionError

__all__ = ["UnknownOptionError"]
