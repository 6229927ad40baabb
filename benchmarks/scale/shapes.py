"""Tokens of any size: ordinary ones, and those that an attacker makes as expensive as possible."""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmarks.corpus import claims
from benchmarks.signing import Signer, encode

# Each makes about so many bytes of one JSON value, out of what parsers have stumbled over.
VALUES: dict[str, Callable[[int], str]] = {
    "one long string": lambda size: json.dumps("x" * size),
    "many members": lambda size: "{" + ",".join(f'"m{n:05}":{n % 10}' for n in range(size // 11)) + "}",
    "deep nesting": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "wide nesting": lambda size: "[" + ",".join(["[[]]"] * (size // 5)) + "]",
    "small objects": lambda size: "[" + ",".join(['{"":0}'] * (size // 7)) + "]",
    "small objects beside an escape": lambda size: '["\\n",' + ",".join(['{"":0}'] * (size // 7)) + "]",
    "nested again and again": lambda size: "[" + ",".join(["[" * 20 + "]" * 20] * (size // 41)) + "]",
    "many numbers": lambda size: "[" + ",".join(["1"] * (size // 2)) + "]",
    "many texts": lambda size: "[" + ",".join(['""'] * (size // 3)) + "]",
    "escaped quotes": lambda size: '"' + '\\"' * (size // 2) + '"',
    "backslashes": lambda size: '"' + "\\\\" * (size // 2) + '"',
    "brackets in a string": lambda size: '"' + "[{" * (size // 2) + '"',
    "colons in a string": lambda size: '"' + "':" * (size // 2) + '"',
    "unicode escapes": lambda size: '"' + "\\u00e9" * (size // 6) + '"',
    "surrogate pairs": lambda size: '"' + "\\ud83d\\ude00" * (size // 12) + '"',
    "a long integer": lambda size: "1" + "0" * size,
    "a long fraction": lambda size: "0." + "1" * size,
    "blanks": lambda size: "[" + " " * size + "]",
    "same member again": lambda size: "{" + ",".join(['"same":0'] * (size // 9)) + "}",
}
# What is no JSON at all, by the whole token.
TEXTS: dict[str, Callable[[int], str]] = {
    "dots": lambda size: "." * size,
    "characters and dots": lambda size: "a." * (size // 2),
    "no dot": lambda size: "a" * size,
    "stray characters": lambda size: "e30." + "!" * size + ".e30",
    "a long header": lambda size: encode(b'{"alg":"RS256","x":"' + b"y" * (size * 3 // 4) + b'"}') + ".e30.e30",
}
OVERHEAD_BYTES = 950


def signed_shape(signer: Signer, issuer: str, shape: str, token_bytes: int) -> str:
    """A token of about so many characters, in order but for one claim of that shape, signed by the issuer."""
    value = VALUES[shape](max(0, (token_bytes - OVERHEAD_BYTES) * 3 // 4))
    members = json.dumps(claims(issuer, 0), separators=(",", ":"))
    return signer.sign_payload(f'{members[:-1]},"extra":{value}}}'.encode())


def text_shape(shape: str, token_bytes: int) -> str:
    """A text of about so many characters that is no token."""
    return TEXTS[shape](token_bytes)[:token_bytes]


def all_shapes(signer: Signer, issuer: str, token_bytes: int) -> dict[str, str]:
    """Every shape in one size."""
    found = {shape: signed_shape(signer, issuer, shape, token_bytes) for shape in VALUES}
    return found | {shape: text_shape(shape, token_bytes) for shape in TEXTS}
