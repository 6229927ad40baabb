"""The public names and their signatures: users import and call them, so each is pinned here."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any

import pytest

import aveverify
from aveverify import (
    AveVerifyError,
    CachePolicy,
    ConfigurationError,
    FetchRequest,
    FetchResponse,
    Identity,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Verifier,
)
from aveverify import errors as errors_module
from aveverify.asgi import AveAuthMiddleware as AsgiMiddleware
from aveverify.wsgi import AveAuthMiddleware as WsgiMiddleware
from tests.http import django_settings  # noqa: F401 - REST framework needs a Django that is configured

# Design §3, with the typed dictionary of `to_convex()` and the version.
NAMES = {
    "Verifier", "Provider", "parse_auth_config", "Identity", "ConvexIdentity", "verify", "get_user_identity",
    "CachePolicy", "Reason", "AveVerifyError", "InvalidTokenError", "InvalidRequestError", "InsufficientScopeError",
    "KeysUnavailableError", "ConfigurationError", "Clock", "SystemClock", "Fetcher", "FetchRequest", "FetchResponse",
    "FetchError", "HttpxFetcher", "__version__", "current_identity", "AuthRecord", "Refusal", "problem_details",
}  # fmt: skip
MODULES = [
    "aveverify", "aveverify.asgi", "aveverify.django", "aveverify.drf", "aveverify.fastapi", "aveverify.flask",
    "aveverify.litestar", "aveverify.sources", "aveverify.starlette", "aveverify.testing", "aveverify.wsgi",
]  # fmt: skip
EMPTY = inspect.Parameter.empty


def shape(function: Callable[..., object]) -> str:
    """A signature without its annotations."""
    parameters = inspect.signature(function).parameters.values()
    bare = [parameter.replace(annotation=EMPTY) for parameter in parameters]
    return str(inspect.Signature(bare))


# --- names


def test_the_public_names_are_those_of_the_design_sorted() -> None:
    assert set(aveverify.__all__) == NAMES
    assert list(aveverify.__all__) == sorted(aveverify.__all__)


def test_nothing_else_is_public_by_accident() -> None:
    public = {name for name, value in vars(aveverify).items() if not name.startswith("_")} | {"__version__"}
    # Importing a submodule binds its name to the package.
    found = {name for name in public if not isinstance(getattr(aveverify, name), ModuleType)}

    assert found == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_defined_in_the_package(name: str) -> None:
    value = getattr(aveverify, name)

    assert isinstance(value, str) or value.__module__.startswith("aveverify.")


def test_the_version_is_that_of_the_distribution() -> None:
    assert aveverify.__version__ == version("aveverify")


@pytest.mark.parametrize("module", MODULES)
def test_a_list_of_public_names_is_sorted_and_every_name_exists(module: str) -> None:
    found = importlib.import_module(module)
    names = getattr(found, "__all__", [])

    assert list(names) == sorted(names)
    assert all(hasattr(found, name) for name in names)


# --- docstrings


def public_names(module: ModuleType) -> list[str]:
    """What a module lists, or else what it defines under a public name."""
    defined = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return list(getattr(module, "__all__", defined))


def documented(module: ModuleType) -> Iterator[Any]:
    """Everything public of a module: functions, classes, and what is public in these."""
    for name in public_names(module):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield pytest.param(value, id=f"{module.__name__}.{name}")
        if inspect.isclass(value):
            for attribute, member in vars(value).items():
                inner = getattr(member, "__func__", member)
                is_method = inspect.isfunction(inner) and inner.__module__.startswith("aveverify")
                if not attribute.startswith("_") and (is_method or isinstance(inner, property)):
                    yield pytest.param(inner, id=f"{module.__name__}.{name}.{attribute}")


EVERYTHING = [value for module in MODULES for value in documented(importlib.import_module(module))]


@pytest.mark.parametrize("value", EVERYTHING)
def test_everything_public_has_a_docstring(value: object) -> None:
    text = inspect.getdoc(value) or ""

    assert re.match(r"[A-Z`].*[.?:]", text), text


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_has_a_docstring(module: str) -> None:
    assert (importlib.import_module(module).__doc__ or "").strip()


@pytest.mark.parametrize("value", EVERYTHING)
def test_every_argument_of_a_public_function_has_a_type(value: object) -> None:
    if not inspect.isfunction(value):
        return
    parameters = [one for one in inspect.signature(value).parameters.values() if one.name not in ("self", "cls")]

    assert [one.name for one in parameters if one.annotation is EMPTY] == []
    assert inspect.signature(value).return_annotation is not EMPTY


# --- signatures


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        pytest.param(
            Provider,
            "(*, issuer, application_id, leeway_seconds=None, discovery_url=None, jwks_uri=None, insecure_http=False)",
            id="Provider",
        ),
        pytest.param(
            Provider.custom_jwt,
            "(*, issuer, jwks, algorithm, application_id=None, any_audience=False, leeway_seconds=None,"
            " insecure_http=False)",
            id="Provider.custom_jwt",
        ),
        pytest.param(
            Provider.ave,
            "(client_id, *, issuer='https://aveid.net', leeway_seconds=None, discovery_url=None, jwks_uri=None,"
            " insecure_http=False)",
            id="Provider.ave",
        ),
        pytest.param(Provider.to_auth_config, "(self)", id="Provider.to_auth_config"),
        pytest.param(aveverify.parse_auth_config, "(config)", id="parse_auth_config"),
        pytest.param(aveverify.verify, "(token, *, issuer, application_id, leeway_seconds=None)", id="verify"),
        pytest.param(aveverify.get_user_identity, "(request)", id="get_user_identity"),
        pytest.param(Verifier.from_auth_config, "(config, **options)", id="Verifier.from_auth_config"),
        pytest.param(Verifier.from_env, "(environ=None, **options)", id="Verifier.from_env"),
        pytest.param(Verifier.verify, "(self, token)", id="Verifier.verify"),
        pytest.param(Verifier.verify_async, "(self, token)", id="Verifier.verify_async"),
        pytest.param(Verifier.verify_header, "(self, value)", id="Verifier.verify_header"),
        pytest.param(Verifier.verify_header_async, "(self, value)", id="Verifier.verify_header_async"),
        pytest.param(Verifier.warm_up, "(self, *, fail_closed=False)", id="Verifier.warm_up"),
        pytest.param(Verifier.warm_up_async, "(self, *, fail_closed=False)", id="Verifier.warm_up_async"),
        pytest.param(Verifier.close, "(self)", id="Verifier.close"),
        pytest.param(FetchRequest, "(*, url, headers, deadline_seconds, max_body_bytes)", id="FetchRequest"),
        pytest.param(FetchResponse, "(*, status, headers=(), body=b'')", id="FetchResponse"),
        pytest.param(aveverify.Fetcher.fetch, "(self, request)", id="Fetcher.fetch"),
        pytest.param(
            aveverify.HttpxFetcher,
            "(*, trust_env=False, ssl_context=None, transport=None, connect_seconds=3.0)",
            id="HttpxFetcher",
        ),
        pytest.param(aveverify.Clock.now, "(self)", id="Clock.now"),
        pytest.param(aveverify.Clock.monotonic, "(self)", id="Clock.monotonic"),
        pytest.param(Identity.get, "(self, name, default=None)", id="Identity.get"),
        pytest.param(Identity.to_convex, "(self)", id="Identity.to_convex"),
        pytest.param(
            InvalidTokenError,
            "(reason, *, rule, kind=None, claim=None, fault=None, hint=None, issuer=None, kid=None, "
            "alg=None, refusal=None)",
            id="InvalidTokenError",
        ),
        pytest.param(
            KeysUnavailableError, "(retry_after_seconds, *, kind, issuer, cause=None)", id="KeysUnavailableError"
        ),
        pytest.param(
            InsufficientScopeError,
            "(required=(), *, any_of=(), hint=None, reason=<Reason.INSUFFICIENT_SCOPE: 'INSUFFICIENT_SCOPE'>)",
            id="InsufficientScopeError",
        ),
    ],
)
def test_a_public_signature_is_unchanged(function: Callable[..., object], signature: str) -> None:
    assert shape(function) == signature


def test_the_signature_of_the_verifier_begins_as_designed() -> None:
    parameters = inspect.signature(Verifier).parameters
    bound = (
        "(*providers, clock=None, fetcher=None, cache_policy=None, max_token_bytes=16384, token_cache_size=10000,"
        " on_event=None"
    )

    assert shape(Verifier).startswith(bound)
    # Everything after that is an optional keyword.
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in list(parameters.values())[1:])
    assert all(one.default is not EMPTY for one in list(parameters.values())[1:])


@pytest.mark.parametrize("middleware", [AsgiMiddleware, WsgiMiddleware], ids=["asgi", "wsgi"])
def test_required_has_no_default_in_a_middleware(middleware: Callable[..., object]) -> None:
    """Design §3: `required` has no default."""
    parameters = inspect.signature(middleware).parameters

    assert list(parameters)[:3] == ["app", "verifier", "required"]
    assert parameters["required"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["required"].default is EMPTY


@pytest.mark.parametrize(
    ("name", "asynchronous"),
    [("verify", False), ("verify_async", True), ("verify_header", False), ("verify_header_async", True),
     ("warm_up", False), ("warm_up_async", True), ("close", False)],
)  # fmt: skip
def test_a_method_is_asynchronous_exactly_if_its_name_says_so(name: str, *, asynchronous: bool) -> None:
    assert inspect.iscoroutinefunction(getattr(Verifier, name)) is asynchronous


@pytest.mark.parametrize("name", ["kind", "issuer", "application_id", "jwks", "algorithm", "leeway_seconds"])
def test_the_attributes_of_a_provider(name: str) -> None:
    assert name in {field.name for field in fields(Provider)}


@pytest.mark.parametrize(
    "name",
    [
        "token_identifier", "issuer", "subject", "name", "nickname", "email", "gender", "given_name", "family_name",
        "preferred_username", "profile_url", "picture_url", "website_url", "email_verified", "birthday", "timezone",
        "language", "phone_number", "phone_number_verified", "address", "updated_at", "claims", "expires_at",
        "issued_at", "provider", "is_authenticated", "display_name", "identity",
    ],
)  # fmt: skip
def test_the_attributes_of_an_identity(name: str) -> None:
    assert hasattr(Identity, name)


@pytest.mark.parametrize(
    "value", [CachePolicy, FetchRequest, FetchResponse, Provider], ids=lambda value: value.__name__
)
def test_values_are_frozen_and_slotted(value: type) -> None:
    assert is_dataclass(value)
    assert vars(value)["__dataclass_params__"].frozen
    assert "__slots__" in vars(value)


# --- what there is not


def test_the_errors_are_five() -> None:
    found = {
        value for value in vars(errors_module).values() if inspect.isclass(value) and issubclass(value, AveVerifyError)
    } - {AveVerifyError}

    assert found == {
        InvalidRequestError, InvalidTokenError, InsufficientScopeError, KeysUnavailableError, ConfigurationError,
    }  # fmt: skip


def test_no_option_switches_a_check_off() -> None:
    """CFG-012: a dangerous option has a dangerous name; the origins that may send a cookie are a required list."""
    words = {
        parameter
        for value in EVERYTHING
        for function in [value.values[0]]
        if inspect.isfunction(function) or (inspect.isclass(function) and "__init__" in vars(function))
        for parameter in inspect.signature(function).parameters
    }
    suspicious = re.compile(r"verify|skip|disable|unsafe|insecure|ignore|allow|any_|options$|no_|check")

    assert {word for word in words if suspicious.search(word)} <= {
        # An additional check of the application.
        "check",
        "insecure_http",
        "any_audience",
        "allow_other_user",
        # Each requires something more of a token.
        "allow",
        "any_of",
        "any_scopes",
        "allowed_origins",
        "options",
    }
