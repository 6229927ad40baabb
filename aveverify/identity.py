"""`Identity` and `ConvexIdentity`, and the path that pickled identities name."""

from aveverify._core.identity import Identity, _rebuild
from aveverify._core.standard_attributes import ConvexIdentity

__all__ = ["ConvexIdentity", "Identity", "_rebuild"]
