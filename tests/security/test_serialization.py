"""The compact serialization: three segments of canonical base64url, and nothing else (RFC 7515 §2, §7.1)."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from aveverify import Reason
from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]
GROUPS = [f"{number:036}" for number in range(110)]
SEGMENTS = {"header": 0, "payload": 1, "signature": 2}


def inside(segment: int, text: str) -> str:
    """A token with a foreign text in the middle of a segment."""
    parts = scenario.token().split(".")
    middle = len(parts[segment]) // 2
    parts[segment] = parts[segment][:middle] + text + parts[segment][middle:]
    return ".".join(parts)


@cases(
    *(
        (f"{id_} {name} in the {segment}", Case(lambda i=index, t=text: inside(i, t), "IAH", "IAH"))  # type: ignore[misc]
        for segment, index in SEGMENTS.items()
        for id_, name, text in (
            ("ENC-004", "blank", " "),
            ("ENC-006", "LF", "\n"),
            ("ENC-007", "CR", "\r"),
            ("ENC-008", "CRLF", "\r\n"),
            ("ENC-009", "VT", "\v"),
            ("ENC-009", "FF", "\f"),
            ("ENC-010", "NUL", "\0"),
            ("ENC-011", "DEL", "\x7f"),
            ("ENC-014", "zero-width space", "\u200b"),
            ("ENC-017", "percent", "%3d"),
        )
    )
)
def test_a_character_outside_base64url_is_never_skipped(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def parts() -> list[str]:
    return scenario.token().split(".")


@cases(
    ("ENC-025 no dot", Case(lambda: "".join(parts()), "IAH", "IAH")),
    ("ENC-026 one dot", Case(lambda: ".".join(parts()[:2]), "IAH", "IAH")),
    ("ENC-027 three dots", Case(lambda: ".".join([*parts(), "AA"]), "IAH", "IAH")),
    ("ENC-027 a dot behind", Case(lambda: scenario.token() + ".", "IAH", "IAH")),
    ("ENC-031 only dots", Case(lambda: "..", "IAH", "IAH")),
    ("ENC-032 a double dot", Case(lambda: scenario.token().replace(".", "..", 1), "IAH", "IAH")),
    ("ENC-036 one character", Case(lambda: "e", "IAH", "IAH")),
    ("ENC-041 64 KiB", Case(lambda: scenario.token({"x": "y" * 65536}), "IAH", "IAH")),
    ("ENC-041 just below the limit", Case(lambda: scenario.token({"x": "y" * 11_400}), "accept", "accept")),
    ("ENC-046 many groups", Case(lambda: scenario.token({"groups": GROUPS}), "accept", "accept")),
)
def test_a_token_has_three_segments_and_a_bounded_length(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def test_a_hundred_mebibytes_are_refused_without_a_copy() -> None:
    """ENC-043: the length alone decides; a text whose bytes were counted would take as much memory again."""
    import tracemalloc  # noqa: PLC0415 - used once

    token = "A" * (100 * 1024 * 1024)
    with scenario.issuer().verifier() as verifier:
        tracemalloc.start()
        try:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - its reason is looked at below
                verifier.verify(token)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert getattr(caught.value, "reason", None) is Reason.TOKEN_TOO_LARGE
    assert peak < 1024 * 1024


class Text(str):
    """A text that could lie about its length or its characters."""

    __slots__ = ()


class Pretender:
    def __str__(self) -> str:
        return scenario.token()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: bytearray(scenario.token().encode()), id="bytearray"),
        pytest.param(lambda: memoryview(scenario.token().encode()), id="memoryview"),
        pytest.param(lambda: None, id="None"),
        pytest.param(lambda: 1, id="int"),
        pytest.param(lambda: [scenario.token()], id="list"),
        pytest.param(Pretender, id="an object with __str__"),
    ],
)
def test_what_is_neither_text_nor_bytes_is_a_mistake_of_the_caller(make: Any) -> None:
    """ENC-047: nothing is converted with str()."""
    with scenario.issuer().verifier() as verifier, pytest.raises(TypeError):
        verifier.verify(make())


def test_bytes_are_a_token_and_so_is_a_subclass_of_text() -> None:
    """ENC-047: bytes are documented; a subclass of str is a str."""
    with scenario.issuer().verifier() as verifier:
        assert scenario.answer(verifier, scenario.token().encode()) == "accept"
        assert scenario.answer(verifier, Text(scenario.token())) == "accept"
