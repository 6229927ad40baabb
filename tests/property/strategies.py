"""Texts that attackers might send: near misses of tokens, headers and documents, and plain noise."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from aveverify._core.jose.algorithm_names import OIDC_ALGORITHM_NAMES
from tests.core.jose_factory import APPLICATION_ID, ISSUER, KEYS_URL, NOW, Json, eddsa, encode, es256, rs256

# With lone surrogates, which Hypothesis leaves out by itself.
any_text = st.text(st.characters(), max_size=30)
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**310), max_value=10**310)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

CLAIM_NAMES = (
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "name", "name#", "name#ja", "email", "email#", "sub#",
    "email_verified", "address", "updated_at", "auth_time", "amr", "azp", "nonce", "fva", "issuer", "tokenIdentifier",
    "emailVerified", "birthday", "typ", "cid", "plan", "a", "a.b", "#", "__proto__",
)  # fmt: skip
HEADER_NAMES = ("alg", "kid", "typ", "cty", "crit", "jwk", "jku", "x5c", "x5u", "x5t", "b64", "enc")
KEY_NAMES = ("kty", "use", "kid", "alg", "key_ops", "n", "e", "crv", "x", "y", "k", "d", "x5c", "x5t", "x5u")

dates = st.sampled_from([NOW, NOW - 1, NOW + 1, NOW + 0.5, NOW - 5.5, 0, -1, 253402300799, 253402300800, 1e300, True])
issuers = st.sampled_from([ISSUER, f"{ISSUER}/", "idp.example", "https://IDP.example", "", "http://idp.example"])
audiences = st.sampled_from([APPLICATION_ID, [APPLICATION_ID], [APPLICATION_ID, "x"], [], "x", None])


def mostly(good: Json, names: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Good members of which some are replaced, and some are added."""
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=6), values, max_size=4).map(
        lambda changes: good | changes
    )


claims: st.SearchStrategy[Json] = st.builds(
    lambda members, iss, aud, exp: members | {"iss": iss, "aud": aud, "exp": exp},
    mostly({"sub": "u1", "iat": NOW}, CLAIM_NAMES, json_values | dates),
    st.just(ISSUER) | issuers | json_values,
    st.just(APPLICATION_ID) | audiences | json_values,
    st.just(NOW + 3600) | dates | json_values,
)
headers: st.SearchStrategy[Json] = st.builds(
    lambda members, alg: members | {"alg": alg},
    mostly({"kid": "rsa", "typ": "JWT"}, HEADER_NAMES, json_values),
    st.sampled_from(["RS256", "EdDSA", "ES256", *sorted(OIDC_ALGORITHM_NAMES)]) | json_values,
)
json_texts = json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)


def joined(header: bytes, payload: bytes, signature: bytes) -> bytes:
    """A compact text."""
    return f"{encode(header)}.{encode(payload)}.{encode(signature)}".encode()


# Well-formed tokens without a valid signature.
unsigned_tokens: st.SearchStrategy[bytes] = st.builds(
    joined,
    headers.map(lambda value: json.dumps(value).encode()) | json_texts,
    claims.map(lambda value: json.dumps(value).encode()) | json_texts,
    st.binary(max_size=64) | st.just(bytes(256)) | st.just(bytes(64)),
)
signed_tokens: st.SearchStrategy[bytes] = st.builds(
    lambda signer, payload, header: signer.token(payload, **{"alg": signer.alg, **header}).encode(),
    st.sampled_from([rs256(), eddsa(), es256()]),
    claims,
    st.just({}) | st.dictionaries(st.sampled_from(HEADER_NAMES), json_values, max_size=2),
)


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[bytes]) -> bytes:
    """A text in which a piece is cut out, doubled or replaced."""
    text = draw(texts)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(start + 20, len(text))))
    return text[:start] + draw(st.binary(max_size=6) | st.just(text[start:end] * 2)) + text[end:]


tokens: st.SearchStrategy[bytes] = (
    st.binary(max_size=80)
    | st.text(alphabet="ABab01-_.=+/ \n\"'{", max_size=60).map(str.encode)
    | unsigned_tokens
    | signed_tokens
    | damaged(signed_tokens)
)
texts: st.SearchStrategy[str | bytes] = tokens | tokens.map(lambda token: token.decode("latin-1")) | any_text
header_values: st.SearchStrategy[str | bytes | None] = (
    st.none()
    | texts
    | st.builds(lambda scheme, blank, token: scheme + blank + token,
                st.sampled_from([b"Bearer", b"bearer", b"BEARER", b"Basic", b"", b"Bearer,"]),
                st.sampled_from([b" ", b"", b"  ", b"\t", b", "]),
                tokens)
)  # fmt: skip

jwks: st.SearchStrategy[Json] = st.builds(
    lambda good, changes: good | changes,
    st.sampled_from([rs256().jwk, eddsa().jwk, es256().jwk, {"kty": "oct", "k": "AA"}, {}]),
    st.dictionaries(
        st.sampled_from(KEY_NAMES), json_values | st.sampled_from(["sig", "enc", "rsa", "RSA"]), max_size=2
    ),
)
documents: st.SearchStrategy[bytes] = (
    st.binary(max_size=80)
    | json_texts
    | st.lists(jwks | json_values, max_size=4).map(lambda keys: json.dumps({"keys": keys}).encode())
    | st.builds(lambda iss, uri: json.dumps({"issuer": iss, "jwks_uri": uri}).encode(),
                issuers | json_values, st.sampled_from([KEYS_URL, "http://evil.example", "data:,x", ""]) | json_values)
)  # fmt: skip
bodies: st.SearchStrategy[bytes] = documents | damaged(documents)
header_fields: st.SearchStrategy[dict[str, str]] = st.dictionaries(
    st.sampled_from(
        ["Content-Type", "content-type", "Cache-Control", "Age", "Retry-After", "Content-Encoding", "ETag"]
    ),
    st.sampled_from(
        ["application/json", "application/jwk-set+json;charset=utf-8", "max-age=300", "no-store", "gzip", "5"]
    )
    | st.text(max_size=20),
    max_size=3,
)
