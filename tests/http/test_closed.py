"""A verifier that is closed behind an integration: no request is served, known token or new. CON-014."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from aveverify import ConfigurationError, Verifier
from aveverify.errors import Problem
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import Headers, Integration, RecordingView, Reply, Request, bearer


class ClosingHeaders(tuple[tuple[str, str], ...]):
    """Headers that close a verifier when they are read for the first time: the integration is built by then."""

    __slots__ = ()
    close: Callable[[], None]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        type(self).close()
        return super().__iter__()


def closing(verifier: Verifier, headers: Headers) -> Headers:
    """The same headers, and the end of a verifier."""

    class Closing(ClosingHeaders):
        __slots__ = ()
        close = staticmethod(verifier.close)

    return Closing(headers)


def ask(
    integration: Integration, verifier: Verifier, observer: RecordingView, headers: Headers, **options: object
) -> Reply | None:
    """The reply; None if the error went up as an exception, as a server turns it into 500."""
    try:
        return integration(verifier, observer, Request(headers), **options)
    except ConfigurationError as error:
        return None if error.problem is Problem.CLOSED else Reply(200, {}, b"")


@pytest.mark.parametrize("built", ["before", "after"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"required": True}, id="required"),
        pytest.param({"required": False}, id="optional"),
        pytest.param({"required": True, "on_invalid": "defer"}, id="required, deferring"),
        pytest.param({"required": False, "on_invalid": "defer"}, id="optional, deferring"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["known token", "new token"])
def test_con_014_an_integration_serves_no_token_once_its_verifier_is_closed(
    integration: Integration, issuer: FakeIssuer, *, known: bool, options: dict[str, object], built: str
) -> None:
    verifier, observer = issuer.verifier(), RecordingView()
    token = issuer.token(sub="ada")
    verifier.verify(token)
    headers = bearer(token if known else issuer.token(sub="grace"))
    if built == "after":
        verifier.close()
    else:
        headers = closing(verifier, headers)

    reply = ask(integration, verifier, observer, headers, **options)

    assert reply is None or reply.status == 500
    assert observer.seen == []
    with pytest.raises(ConfigurationError):
        verifier.status()
