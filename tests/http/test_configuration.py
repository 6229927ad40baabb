"""The arguments of the middlewares: checked when they are built, and never able to break out of a header."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify import ConfigurationError, Verifier, asgi, litestar, starlette, wsgi
from aveverify.errors import Problem

MIDDLEWARES: dict[str, Any] = {
    "asgi": asgi.AveAuthMiddleware,
    "wsgi": wsgi.AveAuthMiddleware,
    "starlette": starlette.AveAuthMiddleware,
    "starlette-backend": lambda _app, *arguments, **options: starlette.AveAuthBackend(*arguments, **options),
    "litestar": litestar.AveAuthMiddleware,
}


@pytest.fixture(params=list(MIDDLEWARES.values()), ids=list(MIDDLEWARES))
def middleware(request: pytest.FixtureRequest) -> Any:
    return request.param


def app(*_arguments: object) -> Any:
    raise NotImplementedError


def test_whoever_installs_it_decides_whether_credentials_are_required(
    middleware: Any,
    shared_verifier: Verifier,
) -> None:
    with pytest.raises(TypeError, match="required"):
        middleware(app, shared_verifier)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(pytest.param("required", value, id=f"required: {value!r}") for value in (None, 0, 1, "", "no", "False")),
        *(pytest.param("on_invalid", value, id=f"on_invalid: {value!r}") for value in (None, "", "Reject", "ignore")),
        *(
            pytest.param("scopes", value, id=f"scopes: {value!r}")
            for value in (
                None, "read", b"read", {"read": 1}, [""], ["read write"], ['re"ad'], ["re\\ad"],
                ["réad"], ["read\n"], ["read\r\nSet-Cookie: a=b"], [None], [b"read"], ["read\x7f"], ("read", "\t"),
            )
        ),
        pytest.param("scopes", iter(["read"]), id="scopes: an iterator"),
        *(
            pytest.param("realm", value, id=f"realm: {value!r}")
            for value in (b"place", 7, 'a"b', "a\\b", "a\nb", "a\r\nb", "place\n", "a\tb", "plåce", "\x00", "\x7f")
        ),
        *(
            pytest.param("resource_metadata", value, id=f"resource_metadata: {value!r}")
            for value in (b"https://a", "", "https://a/ b", 'https://a/"', "https://a\r\n", "https://å", "https://a\\")
        ),
    ],
)  # fmt: skip
def test_an_argument_that_is_wrong_is_refused_by_name(
    middleware: Any,
    field: str,
    value: object,
    shared_verifier: Verifier,
) -> None:
    """What goes into a challenge cannot end its quotes or its line."""
    with pytest.raises(ConfigurationError) as caught:
        middleware(app, shared_verifier, **({"required": True} | {field: value}))

    assert caught.value.problem is Problem.OUT_OF_RANGE
    assert caught.value.field == field


def test_what_the_standards_allow_is_accepted(
    middleware: Any,
    shared_verifier: Verifier,
) -> None:
    """RFC 6749 §3.3: a scope token is any visible ASCII but quote and backslash."""
    visible = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')

    for scopes in ([], (), [visible], ("https://www.example/auth/drive", "openid")):
        middleware(app, shared_verifier, required=False, scopes=scopes, realm=f"{visible} ", resource_metadata=visible)
    middleware(app, shared_verifier, required=False, realm="", on_invalid="defer")
