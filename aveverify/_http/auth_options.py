"""`AuthOptions`: the options of every middleware and framework integration, documented once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypedDict

from aveverify._core.identity import Identity
from aveverify._core.refusal import RenderRefusal
from aveverify.sources import TokenSource

OnInvalid = Literal["reject", "defer"]
# What the application knows of a user and a token does not: None accepts, a text refuses and is the reason.
Check = Callable[[Identity], str | Awaitable[str | None] | None]
# Tells whether an identity may do something: a false value refuses with 403.
Allow = Callable[[Identity], object]


class AuthOptions(TypedDict, total=False):
    """The options of every middleware and framework integration, beside its verifier and `required`; all by keyword.

    Attributes:
        on_invalid: `"reject"`, the default, answers a refused token at once. `"defer"` lets the request go on until the
            application asks for the identity, and raises the refusal then, as Convex HTTP actions do, even where
            credentials are required: every view must ask. A WebSocket's refusal is never deferred.
        scopes: The scopes that a token must hold, all of them (RFC 6749 §3.3). They do not make a token required.
        any_scopes: Scopes of which a token must hold one, beside `scopes`.
        scope_claims: The claims that hold scopes, as text or as a list: `("scope",)` by default; for other issuers
            `("scp",)`, or `("scope", "permissions")`, whose scopes count together.
        allow: Called with every verified identity before the application; a false value refuses with 403
            (`NOT_ALLOWED`): a plan, a role. It may be a coroutine function where `check` may be one.
        realm: The `realm` of challenges (RFC 9110 §11.5): printable ASCII without quote and backslash.
        resource_metadata: The URL of this service's metadata, named in challenges (RFC 9728).
        exempt: Paths that need no credentials: `/healthz` stands for itself, `/public/*` for every path below. They are
            compared with the path that the router behind the middleware sees: PATH_INFO, the ASGI path without
            `root_path`. The prefix of a mount, a proxy or a server is no part of it. Nothing is read there: the request
            is anonymous.
        optional: Paths, written as for `exempt`, that also serve requests without a token where all others require
            one. A token is read if there is one, and a bad one is refused.
        token_sources: Where a request may carry its token, from `aveverify.sources`: by default in the Authorization
            header and in `Sec-WebSocket-Protocol`.
        check: Called with every verified identity before the application; None accepts it, a text refuses the token and
            is logged as the reason. It may be a coroutine function, except for `aveverify.wsgi`.
        cache_headers: Whether every response for which credentials were read names in `Vary` the request headers that
            decide, and says `Cache-Control: private` where there were credentials: for caches in front. It costs each
            response a little; by default only where a token may come by another way than the Authorization header, for
            which RFC 9111 §3.5 binds caches anyway. Django, REST framework and Litestar, which have caches of their
            own, always say it.
        render_refusal: Returns media type and body of the response to a refusal, given an `aveverify.Refusal`:
            `aveverify.problem_details`, or a function of yours. Status, challenge and the headers for caches stay.
        end_expired_streams: Whether a response that goes on is ended at the `exp` of its token; by default it goes on,
            as HTTP does. Over ASGI an idle one is ended, too: complete without a Content-Length, cut off with one; the
            application receives `http.disconnect`, and its `send` raises `OSError`. Over WSGI the next chunk is not
            sent. A response that is sent at once is not touched.

    Example:
        ```python
        AveAuthMiddleware(app, verifier, required=True, exempt=["/healthz"], scopes=["read"])
        ```
    """

    on_invalid: OnInvalid
    scopes: Sequence[str]
    any_scopes: Sequence[str]
    scope_claims: Sequence[str]
    allow: Allow | None
    realm: str | None
    resource_metadata: str | None
    exempt: Sequence[str]
    optional: Sequence[str]
    token_sources: Sequence[TokenSource]
    check: Check | None
    cache_headers: bool | None
    render_refusal: RenderRefusal | None
    end_expired_streams: bool
