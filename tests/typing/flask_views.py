"""The types of decorators and proxies in the views of Flask."""

from __future__ import annotations

from typing import assert_type

from flask import Blueprint, Flask, request

from aveverify import Identity, Verifier, get_user_identity
from aveverify.flask import AveAuth, current_identity

app = Flask(__name__)
ave = AveAuth(app, Verifier(), required=True, on_invalid="defer", scopes=["read"], check=lambda _: None)


@app.get("/<int:number>")
@ave.required
def bare(number: int) -> str:
    """A decorator without parentheses keeps the signature."""
    assert_type(current_identity, Identity)
    assert_type(get_user_identity(request), Identity | None)
    return f"{number} {current_identity.subject}"


@app.get("/scopes")
@ave.required(scopes=["read"])
async def with_scopes() -> str:
    """So does one with parentheses, around a coroutine function."""
    return current_identity.subject


@ave.optional
def optional(word: str) -> bytes:
    """Any view."""
    return word.encode()


@ave.load_user
def load_user(identity: Identity) -> int:
    """The function stays what it is."""
    return len(identity.subject)


def check() -> None:
    """The types that come out."""
    assert_type(bare(7), str)
    assert_type(optional("word"), bytes)
    assert_type(load_user(current_identity), int)
    assert_type(ave.protect(Blueprint("b", __name__), scopes=["read"]), Blueprint)
    bare("seven")  # type: ignore[arg-type]
    ave.required("view")  # type: ignore[call-overload]
    AveAuth(app, require=True)  # type: ignore[call-arg]
    AveAuth(app, on_invalid="ignore")  # type: ignore[arg-type]
