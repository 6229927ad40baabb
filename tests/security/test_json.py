"""The JSON of a token: one strict object, one meaning (RFC 8259; RFC 7493; RFC 8725 §3.7)."""

from __future__ import annotations

import json
from typing import Literal

from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]


def claims() -> str:
    return json.dumps(scenario.issuer().claims())


def extended(text: str) -> Case:
    return Case(lambda: scenario.payload(claims()[:-1] + text), "IAH", "IAH")


def refused(text: str) -> Case:
    return Case(lambda: scenario.payload(text), "IAH", "IAH")


@cases(
    ("JSN-003 BOM", Case(lambda: scenario.payload(b"\xef\xbb\xbf" + claims().encode()), "IAH", "IAH")),
    ("JSN-004 UTF-8", Case(lambda: scenario.payload(claims()[:-1].encode() + b',"x":"\xff"}'), "IAH", "IAH")),
    ("JSN-008 overflow", extended(',"x":1e400}')),
    ("JSN-008 negative", extended(',"x":-1e400}')),
    ("JSN-011 comment", extended("/* */}")),
    ("JSN-011 trailing comma", extended(",}")),
    ("JSN-011 single quotes", extended(",'x':1}")),
    ("JSN-011 unquoted key", extended(",x:1}")),
    ("JSN-015 array", refused("[]")),
    ("JSN-015 string", refused('"x"')),
    ("JSN-015 number", refused("1")),
    ("JSN-015 true", refused("true")),
    ("JSN-015 null", refused("null")),
    ("JSN-018 top", extended(',"x":1,"x":1}')),
    ("JSN-018 nested", extended(',"x":{"y":1,"y":2}}')),
)
def test_what_is_not_one_strict_object_is_refused(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("JSN-013 blanks", Case(lambda: scenario.payload(f" \r\n\t{claims()}\r\n "), "accept", "accept")),
    ("JSN-024 long", Case(lambda: scenario.payload(claims()[:-1] + f',"x":"{"y" * 11000}"}}'), "accept", "accept")),
    ("JSN-024 underflow", Case(lambda: scenario.payload(claims()[:-1] + ',"x":1e-400}'), "accept", "accept")),
    (
        "POS-010 pretty",
        Case(
            lambda: scenario.payload(json.dumps(scenario.issuer().claims(), indent=1).replace("\n", "\r\n")),
            "accept",
            "accept",
        ),
    ),
    (
        "POS-010 header",
        Case(
            lambda: scenario.header(f'{{\r\n "x-y": [1],\r\n "kid": "{scenario.key().kid}", "alg":"RS256"}}'.encode()),
            "accept",
            "accept",
        ),
    ),
)
def test_layout_and_order_mean_nothing(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def test_a_very_long_text_fits_where_the_limit_allows_it() -> None:
    """JSN-024: 100 KB."""
    token = scenario.token({"x": "y" * 100_000})
    with scenario.issuer().verifier(max_token_bytes=200_000) as verifier:
        assert scenario.answer(verifier, token) == "accept"
