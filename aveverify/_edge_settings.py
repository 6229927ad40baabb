"""Settings of a framework become the rules of an edge, and whatever is wrong is named as the framework names it.

Knows no framework: whoever calls has taken the settings out of their place and says how they are called there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aveverify._edge import EdgeOptions, Gate, make_gate
from aveverify.errors import ConfigurationError, Problem
from aveverify.provider import Provider
from aveverify.verifier import Verifier

Label = Callable[[str], str]

# Each says by itself whose tokens are accepted, so only one of them may stand there.
_CHOICES: Final = ("VERIFIER", "PROVIDERS", "AUTH_CONFIG", "ISSUER")
_OPTIONS: Final = ("REQUIRED", *(name.upper() for name in EdgeOptions.__annotations__))
NAMES: Final = frozenset((*_CHOICES, "APPLICATION_ID", *_OPTIONS))


def make_gate_from(
    settings: Mapping[str, Any],
    label: Label,
    *,
    verifier: Verifier | None = None,
    options: Mapping[str, Any] | None = None,
) -> Gate:
    """Make the rules of an edge from settings.

    Args:
        settings: `VERIFIER`, `PROVIDERS`, `AUTH_CONFIG`, or `ISSUER` with `APPLICATION_ID`; and what `EdgeOptions`
            describes, in capitals.
        label: How a setting is called where it stands.
        verifier: What counts where the settings name none.
        options: Arguments of `make_gate` that count where the settings say nothing; `required` is False by default.

    Returns:
        The rules.

    Raises:
        ConfigurationError: Names the setting that is missing, unknown or wrong.
    """
    for name in settings:
        if name not in NAMES:
            # A misspelt REQUIRED or SCOPES would leave a door open without a word.
            raise ConfigurationError(Problem.OUT_OF_RANGE, label(name), "there is no such setting")
    chosen = _choose_verifier(settings, label) or verifier
    if chosen is None:
        raise ConfigurationError(Problem.MISSING, label("ISSUER"), "or VERIFIER, PROVIDERS or AUTH_CONFIG")
    given = {name.lower(): settings[name] for name in _OPTIONS if name in settings}
    with _named(lambda field: label(field.upper())):
        return make_gate(chosen, **({"required": False} | dict(options or {}) | given))


def _choose_verifier(settings: Mapping[str, Any], label: Label) -> Verifier | None:
    named = [name for name in _CHOICES if name in settings]
    if len(named) > 1:
        raise ConfigurationError(Problem.OUT_OF_RANGE, label(named[1]), f"{label(named[0])} says already who decides")
    choice = named[0] if named else None
    if "APPLICATION_ID" in settings and choice != "ISSUER":
        raise ConfigurationError(Problem.MISSING, label("ISSUER"), "APPLICATION_ID alone says nothing")
    if choice is None:
        return None
    value = settings[choice]
    if choice == "VERIFIER":
        if not isinstance(value, Verifier):
            raise ConfigurationError(Problem.OUT_OF_RANGE, label(choice), "a Verifier")
        return value
    if choice == "PROVIDERS":
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigurationError(Problem.OUT_OF_RANGE, label(choice), "a list of Provider")
        with _named(lambda field: label(choice) + field.removeprefix("providers")):
            return Verifier(*value)
    if choice == "AUTH_CONFIG":
        with _named(lambda field: label(choice) if field == "the auth config" else f"{label(choice)}.{field}"):
            return Verifier.from_auth_config(value)
    if "APPLICATION_ID" not in settings:
        raise ConfigurationError(Problem.MISSING, label("APPLICATION_ID"))
    if settings["APPLICATION_ID"] == "":
        # CFG-17: legal in Convex, where it refuses every token; here it is a variable that nobody has set.
        raise ConfigurationError(Problem.EMPTY, label("APPLICATION_ID"))
    with _named(lambda field: label(field.upper())):
        return Verifier(Provider(issuer=value, application_id=settings["APPLICATION_ID"]))


@contextmanager
def _named(name: Callable[[str], str]) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, name(error.field), error.detail) from None
