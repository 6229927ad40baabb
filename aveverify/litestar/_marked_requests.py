"""Litestar: which requests need no credentials, or may go without: by the mark of their handler, or by their path.

The router has chosen the handler, and shortened the path, before any middleware runs. HTP-012 to HTP-026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from litestar.types import Scope

    from aveverify._http.exempt_paths import ExemptPaths

# The options of a handler whose requests need no credentials, or may go without. Litestar's own authentication knows
# the first by this name, too.
EXEMPT_MARK: Final = "exclude_from_auth"
OPTIONAL_MARK: Final = "optional_auth"


def is_marked(scope: Scope, mark: str, paths: ExemptPaths) -> bool:
    """Tell whether a request goes to a marked handler, or to one of these paths.

    Args:
        scope: The connection; the router has chosen its handler.
        mark: The option of a handler.
        paths: The paths.

    Returns:
        Whether its handler has the option with the value True, or every path that the router may have seen is one of
        these.
    """
    handler = scope.get("route_handler")
    # Only True itself: a handler is not open by a text or a number, such as "false" from a configuration.
    if handler is not None and handler.opt.get(mark) is True:
        return True
    seen = _find_router_paths(scope) if paths else []
    return bool(seen) and all(path in paths for path in seen)


def _find_router_paths(scope: Scope) -> list[str]:
    """Return the path as the router got it; several where the rest that it has left does not tell.

    Source: HTP-026: of a path inside a mount or among static files, the router leaves what follows the mount.
    """
    handler, path = scope.get("route_handler"), scope["path"]
    if not getattr(handler, "is_mount", False):
        return [path]
    mounts = [route.path for route in scope["app"].routes if getattr(route, "route_handler", None) is handler]
    whole = [(mount + path).rstrip("/") or "/" for mount in mounts]
    # Where another handler has the path of the mount, too, the router leaves it whole.
    return [*whole, path] if path in mounts else whole
