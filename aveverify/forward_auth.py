"""Forward authentication: the ASGI application that a proxy asks about every request before it passes it on.

nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth`, Envoy HTTP ext_authz. It looks at credentials only:
never at the method, path or host of the original request, which the client could choose. It never reads a body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from aveverify._core.identity import Identity
from aveverify._http.asgi_request import keep_headers
from aveverify._http.asgi_types import ASGIApp, Receive, Scope, Send
from aveverify._http.authentication import authenticate_async
from aveverify._http.option_checks import check_callable, check_verifier
from aveverify._http.policy import Denial, make_policy
from aveverify._http.scopes import DEFAULT_SCOPE_CLAIMS
from aveverify.errors import AveVerifyError
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.identity_header import encode_text
from aveverify.sources import RequestHead, TokenSource, read_token

if TYPE_CHECKING:
    from aveverify._core.refusal import RenderRefusal
    from aveverify._http.auth_options import Allow, Check
    from aveverify._http.exempt_paths import ExemptPaths
    from aveverify.verifier import Verifier

__all__ = ["IDENTITY_HEADERS", "Outcome", "make_admin_app", "make_app"]

# What becomes of a request: `accepted`, `anonymous`, `no_credentials`, or the name of a `Reason`; a closed list.
Outcome = str
Write = Callable[["Identity"], str]
OnOutcome = Callable[[Outcome, int], None]
Headers = list[tuple[bytes, bytes]]

ACCEPTED: Final = "accepted"
ANONYMOUS: Final = "anonymous"
NO_CREDENTIALS: Final = "no_credentials"

# Every header that names a user; a service behind the proxy must never get one of these from a client.
IDENTITY_HEADERS: Final = ("X-Ave-Subject", "X-Ave-Token-Identifier", "X-Ave-Identity")
_SUBJECT, _TOKEN_IDENTIFIER, _IDENTITY = (name.lower().encode() for name in IDENTITY_HEADERS)
_PATH: Final = "/auth"
_NO_STORE: Final = (b"cache-control", b"no-store")
_EMPTY: Final = (b"content-length", b"0")
_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain; charset=utf-8"
# Present and empty: a proxy that copies them overwrites what the client sent (HTP-009).
_ANONYMOUS_HEADERS: Final = [_NO_STORE, _EMPTY, (_SUBJECT, b""), (_TOKEN_IDENTIFIER, b""), (_IDENTITY, b"")]
# RFC 6455 §4.1: what every opening handshake carries, and what proxies leave in it when they ask about it.
_HANDSHAKE: Final = b"sec-websocket-key"


class Page(NamedTuple):
    """One response of the admin application."""

    status: int
    content_type: bytes
    body: bytes


@refuse_unknown()
def make_app(  # noqa: PLR0913 - options, all by keyword
    verifier: Verifier,
    *,
    required: bool = True,
    scopes: Sequence[str] = (),
    any_scopes: Sequence[str] = (),
    scope_claims: Sequence[str] = DEFAULT_SCOPE_CLAIMS,
    allow: Allow | None = None,
    realm: str | None = None,
    resource_metadata: str | None = None,
    check: Check | None = None,
    render_refusal: RenderRefusal | None = None,
    write_identity: Write | None = None,
    on_outcome: OnOutcome | None = None,
) -> ASGIApp:
    """Make the application that a proxy asks, at `/auth` and every path below; any other path is answered 404.

    Args:
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused.
        scopes: As in `aveverify.asgi.AuthOptions`, like those down to `render_refusal`.
        any_scopes: See there.
        scope_claims: See there.
        allow: See there.
        realm: See there.
        resource_metadata: See there.
        check: See there.
        render_refusal: See there.
        write_identity: Returns the value of `X-Ave-Identity`: `encode_identity`, or an `IdentitySigner`. The header is
            empty without it.
        on_outcome: Called with the outcome of each request and the status of its response.

    Returns:
        The application. Accepted: 200 with the identity headers; anonymous: 200 with all of them empty; refused: the
        response of RFC 6750.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.

    Source: RFC 6750; HTP-009; HTP-034 to HTP-036.
    """
    policy = make_policy(
        verifier,
        required=required,
        scopes=scopes,
        any_scopes=any_scopes,
        scope_claims=scope_claims,
        allow=allow,
        realm=realm,
        resource_metadata=resource_metadata,
        check=check,
        render_refusal=render_refusal,
    )
    check_callable("write_identity", write_identity, arguments=1)
    check_callable("on_outcome", on_outcome, arguments=2)

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        _check_http(scope)
        if not is_auth_path(scope["path"]):
            # Never 200: with a prefix forgotten in the proxy, a client's own path would arrive here.
            await _send(send, 404, [_NO_STORE, _EMPTY], b"")
            return
        decided = await authenticate_async(policy, _ForwardedRequest(keep_headers(scope)), required=policy.required)
        status, body = 200, b""
        if isinstance(decided, Denial):
            response = decided.response
            outcome = NO_CREDENTIALS if decided.error is None else decided.error.reason.value
            status, body = response.status, b"" if scope["method"] == "HEAD" else response.body
            headers = [(name.encode(), value.encode()) for name, value in response.headers]
        elif isinstance(decided, Identity):
            outcome, headers = ACCEPTED, _identity_headers(decided, write_identity)
        else:
            outcome, headers = ANONYMOUS, _ANONYMOUS_HEADERS
        if on_outcome is not None:
            on_outcome(outcome, status)
        await _send(send, status, headers, body)

    return app


def is_auth_path(path: str) -> bool:
    """Tell whether a path belongs to the application that a proxy asks."""
    return path == _PATH or path.startswith(f"{_PATH}/")


class _ForwardedRequest:
    """The credentials of the client's request, in the headers that a proxy passes on (`IncomingRequest`)."""

    # The proxy opens the WebSocket, not this service: a token is accepted here as for any request.
    is_websocket = False

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def is_at(self, paths: ExemptPaths) -> bool:
        """Tell whether the path is one of these: it is the proxy's own, and never exempt or optional."""
        del paths
        return False

    def hide_token(self, sources: Sequence[TokenSource]) -> None:
        """Leave the headers as they are: the application behind the proxy gets others."""

    def read_token(self, sources: Sequence[TokenSource]) -> bytes | None:
        """Return the one token of the request; None where there is none.

        Raises:
            InvalidRequestError: A token is malformed, or there are several.
        """
        is_handshake = any(name.lower() == _HANDSHAKE for name, _ in self._headers)
        # The method is the proxy's, and only cookies, which are no source here, depend on it.
        return read_token(RequestHead("websocket" if is_handshake else "http", "GET", self._headers, b""), sources)

    def note_identity(self, identity: Identity) -> None:
        """Do nothing: what stands in front is a proxy, in another process."""

    def is_preflight(self) -> bool:
        """Tell whether the request is a CORS preflight: its method is unknown here, so it never is."""
        return False


def _identity_headers(identity: Identity, write: Write | None) -> Headers:
    return [
        _NO_STORE,
        _EMPTY,
        (_SUBJECT, encode_text(identity.subject).encode()),
        (_TOKEN_IDENTIFIER, encode_text(identity.token_identifier).encode()),
        (_IDENTITY, b"" if write is None else write(identity).encode()),
    ]


def make_admin_app(verifier: Verifier, render_metrics: Callable[[], tuple[str, bytes]] | None = None) -> ASGIApp:
    """Make the application for operators; no proxy may make it public.

    `/healthz` answers 200 while the process serves. `/readyz` answers 200 when keys of every provider are usable, else
    503, and describes them as JSON. `/metrics` is for Prometheus, and 404 without `render_metrics`.

    Args:
        verifier: The verifier of the other application.
        render_metrics: Returns content type and text of the metrics.

    Returns:
        The application.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.
    """
    check_verifier(verifier)
    check_callable("render_metrics", render_metrics, arguments=0)

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        _check_http(scope)
        page = _admin_page(scope, verifier, render_metrics)
        length = (b"content-length", str(len(page.body)).encode())
        headers = [_NO_STORE, (b"content-type", page.content_type), length]
        await _send(send, page.status, headers, b"" if scope["method"] == "HEAD" else page.body)

    return app


def _admin_page(scope: Scope, verifier: Verifier, render_metrics: Callable[[], tuple[str, bytes]] | None) -> Page:
    if scope["method"] not in ("GET", "HEAD"):
        return Page(405, _TEXT, b"only GET and HEAD\n")
    match scope["path"]:
        case "/healthz":
            return Page(200, _TEXT, b"ok\n")
        case "/readyz":
            return _readiness(verifier)
        case "/metrics" if render_metrics is not None:
            content_type, body = render_metrics()
            return Page(200, content_type.encode(), body)
        case _:
            return Page(404, _TEXT, b"/healthz, /readyz or /metrics\n")


def _readiness(verifier: Verifier) -> Page:
    try:
        status = verifier.status()
    except AveVerifyError as error:
        # Closed, or its clock gives no time.
        return Page(503, _JSON, json.dumps({"is_ready": False, "reason": error.reason.value}).encode())
    return Page(200 if status.is_ready else 503, _JSON, json.dumps(status.as_dict()).encode())


def _check_http(scope: Scope) -> None:
    # ASGI: an exception is how an application says that it does not know a protocol; a WebSocket is refused by it.
    if scope["type"] != "http":
        raise NotImplementedError("only HTTP requests are answered")


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
