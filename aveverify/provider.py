"""`Provider` and the shapes of a Convex `auth.config`, and the path that pickled providers name."""

from typing import Literal

from aveverify._core.auth_config_entry import CustomJwtEntry, OidcEntry
from aveverify._core.provider import CustomJwtAlgorithm, Provider
from aveverify._core.provider_checks import MAX_LEEWAY_SECONDS
from aveverify.errors import ProviderKind

# `Literal` and `ProviderKind` stand in annotations of `Provider`, which `typing.get_type_hints` reads here.
__all__ = [
    "MAX_LEEWAY_SECONDS",
    "CustomJwtAlgorithm",
    "CustomJwtEntry",
    "Literal",
    "OidcEntry",
    "Provider",
    "ProviderKind",
]
