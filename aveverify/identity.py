"""`Identity` and `ConvexIdentity`, and the path that pickled identities name."""

from aveverify._core.identity import ConvexIdentity, Identity, _rebuild

__all__ = ["ConvexIdentity", "Identity", "_rebuild"]
