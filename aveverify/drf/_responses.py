"""The response of REST framework to a refusal: its head is fixed, its `data` an exception handler may change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from aveverify._core.refusal import oauth_error

if TYPE_CHECKING:
    from aveverify._http.policy import Denial


class RefusalResponse(Response):
    """A refusal as a `Response`, whose `data` is the body as a dictionary.

    Unchanged, the body is sent byte for byte as by the other integrations; to a client that has asked for another type
    than JSON, as its renderer writes it. What `RENDER_REFUSAL` has rendered is sent to every client; if that is a JSON
    object, it is `data`, too, and can be changed, otherwise a change of `data` has no effect.

    Args:
        denial: The refusal.
        is_rendered: Whether the application has rendered the body, by `RENDER_REFUSAL`.

    Source: HTP-034.
    """

    def __init__(self, denial: Denial, *, is_rendered: bool) -> None:
        refusal, answer = denial
        self._body = answer.body
        self._media_type = dict(answer.headers)["content-type"]
        self._is_rendered_by_application = is_rendered
        self._is_object = self._read() is not None
        super().__init__(
            self._read() or json.loads(oauth_error(refusal)[1]), status=refusal.status, headers=dict(refusal.headers)
        )

    def _read(self) -> dict[str, Any] | None:
        """Return the body as a dictionary; None where it is no JSON object."""
        media_type = self._media_type.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            return None
        try:
            content = json.loads(self._body)
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    @property
    def rendered_content(self) -> bytes:  # type: ignore[override] # Django's stubs know templates alone
        """The body; REST framework reads it once."""
        is_changed = self._is_object and self.data != self._read()
        if self._is_rendered_by_application or (type(self.accepted_renderer) is JSONRenderer and not is_changed):
            self["Content-Type"] = self._media_type
            return JSONRenderer().render(self.data) if is_changed else self._body
        return cast("bytes", super().rendered_content)

    def render(self) -> Response:
        """Render the body, once, and say how long it is; REST framework calls this.

        Returns:
            The response. That to a HEAD request has no body, and the length of the body that GET would get.
        """
        if self.is_rendered:
            return self
        # A callback may return another response.
        response = cast("Response", super().render())
        response["Content-Length"] = str(len(response.content))
        request = getattr(self, "renderer_context", {}).get("request")
        if request is not None and request.method == "HEAD":
            response.content = b""
        return response
