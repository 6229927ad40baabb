"""`AVEVERIFY` in the settings becomes the rules of the edge: made once, and anew when a test overrides the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from aveverify._core.identity import Identity
from aveverify._http.app_user import Users
from aveverify._http.caching import refuse_unmarked
from aveverify._http.option_checks import check_callable, check_function
from aveverify._http.policy import AuthPolicy
from aveverify._http.settings import NAMES, check_names, make_policy_from
from aveverify.django._caches import mark_before_storing
from aveverify.errors import ConfigurationError, Problem, quote
from aveverify.errors._unknown_options import nearest

SETTING: Final = "AVEVERIFY"
_USER_LOADER: Final = "USER_LOADER"
# What may be given as a dotted path.
_DOTTED: Final = ("VERIFIER", "CHECK", _USER_LOADER, "TOKEN_SOURCES")
# How alike the name of another setting must be to be taken for a misspelling.
_CLOSE: Final = 0.8
# What a project demands. The names of issuers may be settings of its own, that its AVEVERIFY is made of.
_DEMANDS: Final = NAMES.union([_USER_LOADER]) - {"VERIFIER", "PROVIDERS", "AUTH_CONFIG", "ISSUER", "APPLICATION_ID"}


class _UsersOfDjango(Users):
    """Loads users under ASGI as Django does it: synchronous code runs in the thread that the database belongs to."""

    __slots__ = ()

    async def find_async(self, identity: Identity) -> Any:  # noqa: ANN401 - a user of the application
        """Load and check a user without blocking the event loop."""
        if iscoroutinefunction(self._load_user):
            return await super().find_async(identity)
        return await sync_to_async(self.find)(identity)


class Rules(NamedTuple):
    """What the settings say.

    Attributes:
        policy: The rules of the edge.
        users: Loads the application's own user of an identity; None leaves `request.user` alone.
        owns_verifier: Whether the verifier was made here, so that nobody else closes it.
    """

    policy: AuthPolicy
    users: Users | None
    owns_verifier: bool

    def close(self) -> None:
        """Close the verifier, if it was made here."""
        if self.owns_verifier:
            self.policy.verifier.close()


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
        meant = nearest(SETTING, (name for name in dir(settings) if name.isupper()), cutoff=_CLOSE)
        raise ConfigurationError(Problem.MISSING, SETTING, f"did you mean it by {meant}?" if meant else None)
    if not isinstance(configured, Mapping):
        raise ConfigurationError(Problem.OUT_OF_RANGE, SETTING, "a dictionary")
    for name in _DEMANDS.difference(configured):
        # As Flask spells it: Django would ignore it, and what it demands with it.
        if hasattr(settings, f"{SETTING}_{name}"):
            raise ConfigurationError(Problem.UNKNOWN_OPTION, f"{SETTING}_{name}", f"did you mean {_label(name)}?")
    # Before anything is imported: an empty path is an empty setting.
    check_names(configured, _label, [_USER_LOADER])
    members = {name: _resolve(name, value) if name in _DOTTED else value for name, value in configured.items()}
    load_user = members.pop(_USER_LOADER, None)
    check_function(_label(_USER_LOADER), load_user)
    maker = members.get("VERIFIER")
    if callable(maker) and not isinstance(maker, type):
        check_callable(_label("VERIFIER"), maker, arguments=0)
        members["VERIFIER"] = maker()
    refuse_unmarked(members.get("CACHE_HEADERS"), _label("CACHE_HEADERS"))
    users = None if load_user is None else _UsersOfDjango(load_user, async_to_sync)
    return Rules(make_policy_from(members, _label), users, "VERIFIER" not in members)


def check_early(configured: object) -> None:
    """Refuse wrong settings while the modules of a project are imported.

    What a dotted path names is not imported here: its module may be the one that imports this package.

    Args:
        configured: The value of `AVEVERIFY`.

    Raises:
        ConfigurationError: As `make_rules`.
    """
    if isinstance(configured, Mapping) and any(_has_path(configured.get(name)) for name in _DOTTED):
        check_names(configured, _label, [_USER_LOADER])
    else:
        kept.get()


def _has_path(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and any(isinstance(one, str) for one in value))


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
