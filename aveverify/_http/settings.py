"""The settings of Flask and Django: names and values become a policy, and errors name the setting.

Knows no framework: the caller has collected the settings, and passes a function that spells a setting's name as the
framework does. HTP-043; CFG-013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aveverify._core.provider import Provider
from aveverify._http.app_calls import AppCalls
from aveverify._http.auth_options import AuthOptions
from aveverify._http.option_checks import check_verifier
from aveverify._http.policy import AuthPolicy, make_policy
from aveverify.errors import ConfigurationError, Problem
from aveverify.errors._unknown_options import unknown_option
from aveverify.verifier import Verifier

# The name of a setting as this package knows it -> as the framework spells it.
Label = Callable[[str], str]

_OPTIONS: Final = ("REQUIRED", *(name.upper() for name in AuthOptions.__annotations__))
# The names that Flask and Django have in common.
NAMES: Final = frozenset(("VERIFIER", "PROVIDERS", "AUTH_CONFIG", "ISSUER", "APPLICATION_ID", *_OPTIONS))


def make_policy_from(
    settings: Mapping[str, Any],
    label: Label,
    *,
    verifier: Verifier | None = None,
    options: Mapping[str, Any] | None = None,
    calls: AppCalls | None = None,
) -> AuthPolicy:
    """Make a policy from settings.

    Args:
        settings: `VERIFIER`, or one of `PROVIDERS`, `AUTH_CONFIG`, and `ISSUER` with `APPLICATION_ID`; `REQUIRED`; and
            the `AuthOptions`, in capitals.
        label: Spells the name of a setting as the framework does.
        verifier: The verifier, unless the settings name one.
        options: `required` and `AuthOptions`, unless the settings have them; `required` is False by default.
        calls: Calls the functions of the application.

    Returns:
        The policy.

    Raises:
        ConfigurationError: Names the setting that is missing, unknown, empty or wrong.
    """
    check_names(settings, label)
    selected = _select_verifier(settings, label) or verifier
    if selected is None:
        raise ConfigurationError(Problem.MISSING, label("ISSUER"), "or VERIFIER, PROVIDERS or AUTH_CONFIG")
    given = {name.lower(): settings[name] for name in _OPTIONS if name in settings}

    def name_setting(field: str) -> str:
        option, bracket, place = field.partition("[")
        return f"{label(option.upper())}{bracket}{place}" if option.upper() in settings else field

    with _errors_named(name_setting):
        return make_policy(selected, calls=calls, **({"required": False} | dict(options or {}) | given))


def check_names(settings: Mapping[str, Any], label: Label, further: Iterable[str] = ()) -> None:
    """Refuse a setting that is unknown or empty.

    Args:
        settings: The settings.
        label: Spells the name of a setting as the framework does.
        further: The names that only this framework has.

    Raises:
        ConfigurationError: Names the setting, and the most similar known name. An empty `REALM` is no error: RFC 9110
            §11.5 allows it.

    Source: HTP-043, CFG-013.
    """
    known = NAMES.union(further)
    for name, value in settings.items():
        if name not in known:
            # A misspelt REQUIRED or SCOPES would let requests in that it was meant to refuse.
            raise unknown_option(name, sorted(known), label)
        if name != "REALM" and isinstance(value, str) and not value.strip():
            # An environment variable without a value gives the empty text; it never counts as unset.
            raise ConfigurationError(Problem.EMPTY, label(name))


def _select_verifier(settings: Mapping[str, Any], label: Label) -> Verifier | None:
    if "VERIFIER" in settings:
        # It takes precedence: a test replaces the verifier, and keeps the rest of the settings.
        return check_verifier(settings["VERIFIER"], label("VERIFIER"))
    named = [name for name in _VERIFIER_MAKERS if name in settings]
    if len(named) > 1:
        detail = f"{label(named[0])} names the issuers already"
        raise ConfigurationError(Problem.OUT_OF_RANGE, label(named[1]), detail)
    if "APPLICATION_ID" in settings and named != ["ISSUER"]:
        raise ConfigurationError(Problem.MISSING, label("ISSUER"), "APPLICATION_ID alone names no issuer")
    for name in named:
        return _VERIFIER_MAKERS[name](settings, label)
    return None


def _from_providers(settings: Mapping[str, Any], label: Label) -> Verifier:
    providers, name = settings["PROVIDERS"], label("PROVIDERS")
    if not isinstance(providers, (list, tuple)) or not providers:
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, "a list of Provider")
    with _errors_named(lambda field: name + field.removeprefix("providers")):
        return Verifier(*providers)


def _from_auth_config(settings: Mapping[str, Any], label: Label) -> Verifier:
    name = label("AUTH_CONFIG")
    with _errors_named(lambda field: f"{name}.{field}" if field.startswith("providers") else name):
        return Verifier.from_auth_config(settings["AUTH_CONFIG"])


def _from_issuer(settings: Mapping[str, Any], label: Label) -> Verifier:
    application_id = settings.get("APPLICATION_ID")
    if application_id is None:
        raise ConfigurationError(Problem.MISSING, label("APPLICATION_ID"))
    with _errors_named(lambda field: label(field.upper())):
        return Verifier(Provider(issuer=settings["ISSUER"], application_id=application_id))


# Each names the issuers by itself, so the settings may have only one of them.
_VERIFIER_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any], Label], Verifier]]] = {
    "PROVIDERS": _from_providers,
    "AUTH_CONFIG": _from_auth_config,
    "ISSUER": _from_issuer,
}


@contextmanager
def _errors_named(name_field: Callable[[str], str]) -> Iterator[None]:
    """Raise a `ConfigurationError` again with the name of the setting in the place of its field."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, name_field(error.field), error.detail) from None
