"""Reads the vectors that are committed beside this file, compressed, and makes typed cases of them, once in a run."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDERS = ("convex", "attacks")
SUFFIX = ".gz"


@dataclass(frozen=True, slots=True)
class TokenVector:
    """One token, its configuration, endpoints and instant, and the expected answer."""

    name: str
    now: float
    providers: list[dict[str, Any]]
    http: dict[str, dict[str, Any]]
    # The same token in every form in which a caller may hold it.
    presentations: tuple[str | bytes, ...] = field(repr=False)
    expect: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConfigVector:
    """One configuration, and the expected answer."""

    name: str
    config: Any
    expect: dict[str, Any] = field(repr=False)


def header_of(token: str | bytes) -> str:
    """The first segment of a token."""
    text = token.decode("latin-1") if isinstance(token, bytes) else token
    return text.partition(".")[0]


class Primers:
    """For each vector, tokens that are accepted by the same verifier under the same header."""

    def __init__(self, vectors: list[TokenVector]) -> None:
        self.vectors = vectors
        self._by_place: dict[tuple[str, str], list[str | bytes]] = {}
        for vector in vectors:
            if vector.expect["verdict"] == "accept":
                self._by_place.setdefault(self._place(vector), []).append(vector.presentations[0])

    def of(self, vector: TokenVector) -> tuple[str | bytes, ...]:
        """A few tokens, other than the vector's own."""
        found = self._by_place.get(self._place(vector), [])
        return tuple(token for token in found[:3] if token not in vector.presentations)

    @staticmethod
    def _place(vector: TokenVector) -> tuple[str, str]:
        return json.dumps([vector.providers, vector.http]), header_of(vector.presentations[0])


def committed() -> list[Path]:
    """The compressed copies, in a stable order."""
    files = [path for folder in FOLDERS for path in sorted((HERE / folder).glob("*.jsonl.gz"))]
    return [*files, HERE / "rfc.json.gz"]


@cache
def lines(folder: str) -> list[dict[str, Any]]:
    """Every case of a folder as its JSON line says it."""
    return [
        json.loads(line)
        for path in committed()
        if path.parent.name == folder
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


@cache
def token_vectors(folder: str) -> list[TokenVector]:
    """The cases of a folder that have a token."""
    return [
        TokenVector(line["id"], line["now"], line["providers"], line["http"], presentations(line), line["expect"])
        for line in lines(folder)
        if "config" not in line
    ]


@cache
def config_vectors(folder: str) -> list[ConfigVector]:
    """The cases of a folder that have a configuration and no token."""
    return [ConfigVector(line["id"], line["config"], line["expect"]) for line in lines(folder) if "config" in line]


def presentations(line: dict[str, Any]) -> tuple[str | bytes, ...]:
    """The token of a case, in every form in which a caller may hold it."""
    if "token_base64" in line:
        # Not UTF-8: a web server hands such bytes over as they are, or decoded in one of these two ways.
        token = base64.b64decode(line["token_base64"])
        return token, token.decode("utf-8", "surrogateescape"), token.decode("latin-1")
    text: str = line["token"] if "token" in line else line["token_repeat"]["unit"] * line["token_repeat"]["count"]
    return text, text.encode()
