"""r followed by s becomes DER as the signature library itself would write it."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from aveverify._core.jose.jwa import P256_ORDER, _encode_der

halves = st.integers(1, P256_ORDER - 1) | st.integers(0, 31).map(lambda byte: 0x80 << 8 * byte) | st.integers(1, 300)


@given(r=halves, s=halves)
@example(r=1, s=P256_ORDER - 1)
@example(r=0x7F, s=0x80)
@example(r=0xFF, s=0x100)
@example(r=2**255 - 1, s=2**255)
def test_der_is_written_as_the_library_writes_it(r: int, s: int) -> None:
    """SIG-006; X.690 §8.3, §10.1."""
    assert _encode_der(r.to_bytes(32), s.to_bytes(32)) == encode_dss_signature(r, s)
