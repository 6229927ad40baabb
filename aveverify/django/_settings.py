"""`AVEVERIFY` in the settings: read once in a process, and again when a test overrides the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from aveverify._http.app_user import LoadUser, Users
from aveverify._http.caching import refuse_unmarked
from aveverify._http.option_checks import check_callable, check_function
from aveverify._http.policy import AuthPolicy
from aveverify._http.settings import NAMES, check_names, make_policy_from
from aveverify.django._caches import patch_cache_middleware
from aveverify.django._calls import DjangoCalls
from aveverify.errors import ConfigurationError, Problem, quote
from aveverify.errors._unknown_options import nearest

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

SETTING: Final = "AVEVERIFY"
_USER_LOADER: Final = "USER_LOADER"
# The names whose values may be dotted paths.
_MAY_BE_DOTTED: Final = ("VERIFIER", "CHECK", "ALLOW", "RENDER_REFUSAL", _USER_LOADER, "TOKEN_SOURCES")
# How similar the name of another setting must be to count as a misspelling: 1 is equal.
_SIMILARITY: Final = 0.8
# The names that demand something of requests. A project may have settings like AVEVERIFY_ISSUER, and make its AVEVERIFY
# of them; a setting like AVEVERIFY_REQUIRED, as in Flask, would be without effect.
_DEMANDS: Final = NAMES.union([_USER_LOADER]) - {"VERIFIER", "PROVIDERS", "AUTH_CONFIG", "ISSUER", "APPLICATION_ID"}


class AuthSettings(NamedTuple):
    """The setting `AVEVERIFY`, checked.

    Attributes:
        policy: The policy for every request.
        users: Loads the application's user of an identity; None leaves `request.user` alone.
        owns_verifier: Whether the verifier was made here, and is to be closed here.
    """

    policy: AuthPolicy
    users: Users | None
    owns_verifier: bool

    def close(self) -> None:
        """Close the verifier, if it was made here."""
        if self.owns_verifier:
            self.policy.verifier.close()


def read_settings(configured: object) -> AuthSettings:
    """Check the setting and make its policy.

    Args:
        configured: The value of `AVEVERIFY`; None where there is none.

    Returns:
        The checked settings.

    Raises:
        ConfigurationError: A name is missing or unknown, or its value is wrong; names it.
    """
    if configured is None:
        similar = nearest(SETTING, (name for name in dir(settings) if name.isupper()), cutoff=_SIMILARITY)
        raise ConfigurationError(Problem.MISSING, SETTING, f"did you mean it by {similar}?" if similar else None)
    if not isinstance(configured, Mapping):
        raise ConfigurationError(Problem.OUT_OF_RANGE, SETTING, "a dictionary")
    for name in _DEMANDS.difference(configured):
        if hasattr(settings, f"{SETTING}_{name}"):
            raise ConfigurationError(Problem.UNKNOWN_OPTION, f"{SETTING}_{name}", f"did you mean {_label(name)}?")
    # Before any path is imported, so that an empty path is reported as an empty setting.
    check_names(configured, _label, [_USER_LOADER])
    calls = DjangoCalls()
    members: dict[str, Any] = {
        name: _import_dotted(name, value) if name in _MAY_BE_DOTTED else value for name, value in configured.items()
    }
    load_user = members.pop(_USER_LOADER, None)
    check_function(_label(_USER_LOADER), load_user)
    verifier = members.get("VERIFIER")
    if callable(verifier) and not isinstance(verifier, type):
        check_callable(_label("VERIFIER"), verifier, arguments=0)
        members["VERIFIER"] = calls.call_at_start(_label("VERIFIER"), verifier)
    refuse_unmarked(members.get("CACHE_HEADERS"), _label("CACHE_HEADERS"))
    users = None if load_user is None else Users(cast("LoadUser[Any]", load_user), calls)
    return AuthSettings(make_policy_from(members, _label, calls=calls), users, "VERIFIER" not in members)


def check_settings_at_import(configured: object) -> None:
    """Refuse wrong settings while the modules of a project are imported.

    Dotted paths are not imported then: one of them may lead to the module that imports this package.

    Args:
        configured: The value of `AVEVERIFY`.

    Raises:
        ConfigurationError: As `read_settings`.
    """
    if isinstance(configured, Mapping) and any(_has_dotted(configured.get(name)) for name in _MAY_BE_DOTTED):
        check_names(configured, _label, [_USER_LOADER])
    else:
        current_settings.get()


def _has_dotted(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and any(isinstance(one, str) for one in value))


def _label(name: str) -> str:
    return f'{SETTING}["{name}"]'


def _import_dotted(name: str, value: object) -> object:
    """Return the object at a dotted path, or those of a list; any other value as it is."""
    if isinstance(value, str):
        try:
            found: object = import_string(value)
        except ImportError:
            pass
        else:
            return found
        # Outside of the handler: what the import raised may hold values of the project.
        raise ConfigurationError(Problem.OUT_OF_RANGE, _label(name), f"{quote(value)} cannot be imported")
    if isinstance(value, (list, tuple)):
        return [_import_dotted(name, one) for one in value]
    return value


class _CurrentSettings:
    """The checked settings of this process."""

    def __init__(self) -> None:
        self._settings: AuthSettings | None = None

    def get(self) -> AuthSettings:
        """Return the settings; the first call reads them.

        Raises:
            ConfigurationError: The settings are wrong.
        """
        current = self._settings
        if current is None:
            current = self._settings = read_settings(getattr(settings, SETTING, None))
            patch_cache_middleware()
        return current

    def forget(self, *, setting: str, **_signal: object) -> None:
        """Read the settings again at the next request: `override_settings` has changed one."""
        if setting == SETTING and self._settings is not None:
            self._settings.close()
            self._settings = None


current_settings: Final = _CurrentSettings()
setting_changed.connect(current_settings.forget)


def get_verifier() -> Verifier:
    """Return the verifier that the settings name or describe, for tokens that come another way than by a request.

    Returns:
        The verifier; it belongs to the settings, which close it. Ask again after `override_settings`.

    Raises:
        ConfigurationError: `AVEVERIFY` in the settings is wrong.

    Example:
        `identity = get_verifier().verify(token)`, in a task of Celery or a management command
    """
    return current_settings.get().policy.verifier
