"""The response to a refusal: its head is ours, its body may be the application's (`render_refusal`).

Knows neither ASGI nor WSGI nor a framework. HTP-034.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from aveverify._core.refusal import ErrorResponse, Refusal, RenderRefusal, make_response, oauth_error
from aveverify.errors import ConfigurationError, Problem

log = logging.getLogger("aveverify.http")

# RFC 9110 §8.3.1: type, subtype and parameters, so that nothing else gets into the header.
_MEDIA_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ ]*;[\x20-\x7e]*)?")


def render_response(refusal: Refusal, render: RenderRefusal) -> ErrorResponse:
    """Return the whole response to a refusal.

    Args:
        refusal: The refusal.
        render: Returns media type and body.

    Returns:
        The response. Where `render` raises, or returns something else, the error is logged and the default body is
        sent: a refusal stays one.
    """
    try:
        media_type, body = _check_rendered(render(refusal))
    except Exception:
        log.exception("render_refusal failed; the default body is sent")
        media_type, body = _check_rendered(oauth_error(refusal))
    return make_response(refusal, media_type, body)


def _check_rendered(rendered: object) -> tuple[str, bytes]:
    if isinstance(rendered, tuple):
        match rendered:
            case (str(media_type), str() | bytes() as body) if _MEDIA_TYPE.fullmatch(media_type):
                return media_type, body.encode() if isinstance(body, str) else body
    raise ConfigurationError(Problem.OUT_OF_RANGE, "render_refusal", "it must return a media type and a body")
