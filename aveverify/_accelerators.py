"""The extra `fast`: decoders in C, used where they are installed. They decide nothing.

What they do not read for certain goes to the strict reader of `_core.jose.strict_json`, so no result depends on them.
`AVEVERIFY_FAST=0` in the environment, read once, leaves them unused: tests compare both lanes with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

DecodeJson = Callable[[bytes], Any]
EncodeJson = Callable[[Any], bytes]
DecodeBase64 = Callable[[bytes, bytes, bool], bytes]


class Accelerators(NamedTuple):
    """Functions in C.

    Attributes:
        decode_json: From JSON to values; does not notice repeated names.
        encode_json: From values to JSON without white space.
        decode_base64: Takes the text with its padding, the last two characters of the alphabet, and whether to refuse
            all other characters.
    """

    decode_json: DecodeJson
    encode_json: EncodeJson
    decode_base64: DecodeBase64


def load() -> Accelerators | None:
    """Import the decoders; None where one of the two packages is not installed."""
    try:
        import msgspec  # noqa: PLC0415 - optional
        import pybase64  # noqa: PLC0415 - optional
    except ImportError:
        return None
    # JSN-020: Python's own float(), because msgspec takes up to 20 microseconds for a number near the limits of a
    # double, and a token has room for two thousand of them.
    decoder = msgspec.json.Decoder(float_hook=float)
    return Accelerators(decoder.decode, msgspec.json.Encoder().encode, pybase64.b64decode)


ACCELERATORS: Final = load() if os.environ.get("AVEVERIFY_FAST") != "0" else None
