"""`AVEVERIFY` in the settings becomes the rules of the edge: made once, and anew when a test overrides the setting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from aveverify._edge import Gate
from aveverify._edge_caching import refuse_unmarked
from aveverify._edge_settings import make_gate_from
from aveverify.django._caches import mark_before_storing
from aveverify.errors import ConfigurationError, Problem, quote
from aveverify.identity import Identity

LoadUser = Callable[[Identity], object | Awaitable[object]]

SETTING: Final = "AVEVERIFY"
# What may be given as a dotted path.
_DOTTED: Final = ("VERIFIER", "CHECK", "USER_LOADER", "TOKEN_SOURCES")


class Rules(NamedTuple):
    """What the settings say.

    Attributes:
        gate: The rules of the edge.
        load_user: Finds the application's own user of an identity; None leaves `request.user` alone.
        owns_verifier: Whether the verifier was made here, so that nobody else closes it.
    """

    gate: Gate
    load_user: LoadUser | None
    owns_verifier: bool

    def close(self) -> None:
        """Close the verifier, if it was made here."""
        if self.owns_verifier:
            self.gate.verifier.close()


def make_rules(configured: object) -> Rules:
    """Read the setting.

    Args:
        configured: The value of `AVEVERIFY`; None where there is none.

    Returns:
        The rules.

    Raises:
        ConfigurationError: Names what is missing, unknown or wrong.
    """
    if configured is None:
        raise ConfigurationError(Problem.MISSING, SETTING)
    if not isinstance(configured, Mapping):
        raise ConfigurationError(Problem.OUT_OF_RANGE, SETTING, "a dictionary")
    members = {name: _resolve(name, value) if name in _DOTTED else value for name, value in configured.items()}
    load_user = members.pop("USER_LOADER", None)
    if load_user is not None and not callable(load_user):
        raise ConfigurationError(Problem.OUT_OF_RANGE, _label("USER_LOADER"), "a function of an identity")
    if callable(members.get("VERIFIER")):
        members["VERIFIER"] = members["VERIFIER"]()
    refuse_unmarked(members.get("CACHE_HEADERS"), _label("CACHE_HEADERS"))
    return Rules(make_gate_from(members, _label), load_user, "VERIFIER" not in members)


def _label(name: str) -> str:
    return f'{SETTING}["{name}"]'


def _resolve(name: str, value: object) -> Any:  # noqa: ANN401 - whatever stands at a dotted path
    if isinstance(value, str):
        try:
            return import_string(value)
        except ImportError:
            pass
        raise ConfigurationError(Problem.OUT_OF_RANGE, _label(name), f"{quote(value)} cannot be imported")
    if isinstance(value, (list, tuple)):
        return [_resolve(name, one) for one in value]
    return value


class _Kept:
    """The rules of this process."""

    def __init__(self) -> None:
        self._rules: Rules | None = None

    def get(self) -> Rules:
        """Return the rules; the first to ask makes them.

        Raises:
            ConfigurationError: The settings are wrong.
        """
        rules = self._rules
        if rules is None:
            rules = self._rules = make_rules(getattr(settings, SETTING, None))
            mark_before_storing()
        return rules

    def forget(self, *, setting: str, **_signal: object) -> None:
        """Make the rules anew at the next request: `override_settings` has changed them."""
        if setting == SETTING and self._rules is not None:
            self._rules.close()
            self._rules = None


kept: Final = _Kept()
setting_changed.connect(kept.forget)
