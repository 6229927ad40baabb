"""Finds Wycheproof's files, which stand outside this repository, and makes cases of them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]

# The files that the expectations were written for, by the beginning of their SHA-256.
FILES = {
    "ecdsa_secp256r1_sha256_p1363_test.json": "c60de693930e386c",
    "ed25519_test.json": "752d2ea7d7c6cf47",
    "json_web_key_test.json": "be983255bce26406",
    "json_web_signature_test.json": "8e687a06fe8359f4",
    "rsa_signature_2048_sha256_test.json": "94a917b01ff50fb8",
    "rsa_signature_3072_sha256_test.json": "0f5f18cabfaad3e2",
    "rsa_signature_4096_sha256_test.json": "957aca128e30bd02",
}
WHERE = "set AVEVERIFY_WYCHEPROOF to the folder that holds Wycheproof's testvectors_v1 files"

Jwk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SignatureCase:
    """One signature over one message under one key."""

    name: str
    jwk: Jwk = field(repr=False)
    message: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    valid: bool


@dataclass(frozen=True, slots=True)
class JwsCase:
    """One compact JWS and the keys it is to be checked with."""

    name: str
    group: int
    number: int
    keys: list[Jwk] = field(repr=False)
    jws: bytes = field(repr=False)
    valid: bool


def folder() -> Path | None:
    """Where the files stand: named by itself, within the vectors, or beside the clone."""
    named = os.environ.get("AVEVERIFY_WYCHEPROOF")
    vectors = os.environ.get("AVEVERIFY_VECTORS")
    candidates = [Path(named)] if named else []
    candidates += [Path(vectors, "wycheproof")] if vectors else []
    candidates.append(REPOSITORY.parent / "shared" / "vectors" / "wycheproof")
    return next((path for path in candidates if (path / "ed25519_test.json").exists()), None)


def required() -> bool:
    """Whether the absence of the files is a failure."""
    return os.environ.get("AVEVERIFY_REQUIRE_WYCHEPROOF") == "1"


def digest(name: str) -> str:
    """The beginning of the SHA-256 of a file that is here."""
    return hashlib.sha256(_read(name)).hexdigest()[:16]


def signature_cases(name: str) -> list[SignatureCase]:
    """The cases of a file that tests a signature primitive.

    `acceptable` marks encodings that some verifiers tolerate; here they are refused.
    """
    return [
        SignatureCase(
            name=f"{name.removesuffix('_test.json')}-tc{test['tcId']}",
            jwk=_jwk(group),
            message=bytes.fromhex(test["msg"]),
            signature=bytes.fromhex(test["sig"]),
            valid=test["result"] == "valid",
        )
        for group in json.loads(_read(name))["testGroups"]
        for test in group["tests"]
    ]


def jws_cases(name: str) -> list[JwsCase]:
    """The cases of a file that tests compact JWS."""
    return [
        JwsCase(
            name=f"{name.removesuffix('_test.json')}-tc{test['tcId']}",
            group=index,
            number=test["tcId"],
            keys=_keys(group),
            jws=test["jws"].encode(),
            valid=test["result"] == "valid",
        )
        for index, group in enumerate(json.loads(_read(name))["testGroups"])
        for test in group["tests"]
    ]


def _read(name: str) -> bytes:
    here = folder()
    return (here / name).read_bytes() if here else b'{"testGroups": []}'


def _jwk(group: dict[str, Any]) -> Jwk:
    jwk: Jwk | None = group.get("keyJwk") or group.get("publicKeyJwk")
    if jwk is not None:
        return jwk
    # A few points stand only in hexadecimal, as integers with or without a leading zero byte.
    key = group["publicKey"]
    return {"kty": "EC", "crv": "P-256", "x": _coordinate(key["wx"]), "y": _coordinate(key["wy"])}


def _coordinate(text: str) -> str:
    # RFC 7518 §6.2.1.2: exactly 32 bytes for P-256.
    return base64.urlsafe_b64encode(int(text, 16).to_bytes(32, "big")).rstrip(b"=").decode()


def _keys(group: dict[str, Any]) -> list[Jwk]:
    document = group.get("public") or group["private"]
    keys: list[Jwk] = document.get("keys", [document])
    return keys
