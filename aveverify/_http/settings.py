"""Settings of a framework become the rules of an edge, and whatever is wrong is named as the framework names it.

Knows no framework: whoever calls has taken the settings out of their place and says how they are called there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aveverify._core.provider import Provider
from aveverify._http.option_checks import check_verifier
from aveverify._http.policy import AuthOptions, AuthPolicy, make_policy
from aveverify.errors import ConfigurationError, Problem
from aveverify.errors._unknown_options import unknown_option
from aveverify.verifier import Verifier

Label = Callable[[str], str]

_OPTIONS: Final = ("REQUIRED", *(name.upper() for name in AuthOptions.__annotations__))
NAMES: Final = frozenset(("VERIFIER", "PROVIDERS", "AUTH_CONFIG", "ISSUER", "APPLICATION_ID", *_OPTIONS))


def make_policy_from(
    settings: Mapping[str, Any],
    label: Label,
    *,
    verifier: Verifier | None = None,
    options: Mapping[str, Any] | None = None,
    awaits: bool = True,
) -> AuthPolicy:
    """Make the rules of an edge from settings.

    Args:
        settings: `VERIFIER`, or one of `PROVIDERS`, `AUTH_CONFIG`, and `ISSUER` with `APPLICATION_ID`; and what
            `AuthOptions` describes, in capitals.
        label: How a setting is called where it stands.
        verifier: What counts where the settings name none.
        options: Arguments of `make_policy` that count where the settings say nothing; `required` is False by default.
        awaits: Whether the edge can await a coroutine function.

    Returns:
        The rules.

    Raises:
        ConfigurationError: Names the setting that is missing, unknown, empty or wrong.
    """
    check_names(settings, label)
    chosen = _choose_verifier(settings, label) or verifier
    if chosen is None:
        raise ConfigurationError(Problem.MISSING, label("ISSUER"), "or VERIFIER, PROVIDERS or AUTH_CONFIG")
    given = {name.lower(): settings[name] for name in _OPTIONS if name in settings}

    def name(field: str) -> str:
        option, bracket, place = field.partition("[")
        return f"{label(option.upper())}{bracket}{place}" if option.upper() in settings else field

    with _named(name):
        return make_policy(chosen, awaits=awaits, **({"required": False} | dict(options or {}) | given))


def check_names(settings: Mapping[str, Any], label: Label, further: Iterable[str] = ()) -> None:
    """Refuse a setting that is unknown or empty.

    Args:
        settings: The settings.
        label: How a setting is called where it stands.
        further: Names that belong to the framework alone.

    Raises:
        ConfigurationError: Names the setting, and the nearest one. An empty realm is one (RFC 9110 §11.5).

    Source: HTP-043, CFG-013.
    """
    known = NAMES.union(further)
    for name, value in settings.items():
        if name not in known:
            # A misspelt REQUIRED or SCOPES would leave a door open without a word.
            raise unknown_option(name, sorted(known), label)
        if name != "REALM" and isinstance(value, str) and not value.strip():
            # What an environment variable without a value becomes; it never counts as unset.
            raise ConfigurationError(Problem.EMPTY, label(name))


def _choose_verifier(settings: Mapping[str, Any], label: Label) -> Verifier | None:
    if "VERIFIER" in settings:
        # Whoever has made one means it, above all a test that keeps the rest of the settings.
        return _take_verifier(settings, label)
    named = [name for name in _MAKERS if name in settings]
    if len(named) > 1:
        raise ConfigurationError(Problem.OUT_OF_RANGE, label(named[1]), f"{label(named[0])} says already who decides")
    if "APPLICATION_ID" in settings and named != ["ISSUER"]:
        raise ConfigurationError(Problem.MISSING, label("ISSUER"), "APPLICATION_ID alone says nothing")
    for name in named:
        return _MAKERS[name](settings, label)
    return None


def _take_verifier(settings: Mapping[str, Any], label: Label) -> Verifier:
    return check_verifier(settings["VERIFIER"], label("VERIFIER"))


def _of_providers(settings: Mapping[str, Any], label: Label) -> Verifier:
    providers, name = settings["PROVIDERS"], label("PROVIDERS")
    if not isinstance(providers, (list, tuple)) or not providers:
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, "a list of Provider")
    with _named(lambda field: name + field.removeprefix("providers")):
        return Verifier(*providers)


def _of_auth_config(settings: Mapping[str, Any], label: Label) -> Verifier:
    name = label("AUTH_CONFIG")
    with _named(lambda field: f"{name}.{field}" if field.startswith("providers") else name):
        return Verifier.from_auth_config(settings["AUTH_CONFIG"])


def _of_issuer(settings: Mapping[str, Any], label: Label) -> Verifier:
    application_id = settings.get("APPLICATION_ID")
    if application_id is None:
        raise ConfigurationError(Problem.MISSING, label("APPLICATION_ID"))
    with _named(lambda field: label(field.upper())):
        return Verifier(Provider(issuer=settings["ISSUER"], application_id=application_id))


# Each says by itself whose tokens are accepted, so only one of them may stand there.
_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any], Label], Verifier]]] = {
    "PROVIDERS": _of_providers,
    "AUTH_CONFIG": _of_auth_config,
    "ISSUER": _of_issuer,
}


@contextmanager
def _named(name: Callable[[str], str]) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, name(error.field), error.detail) from None
