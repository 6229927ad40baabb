"""Reads what a Convex `auth.config` exports: an object, its JSON text, or a `.json` file.

Here Convex's words (`domain`, `applicationID`) become the package's own. Providers are tried in written order (DV-16);
equal entries count once. Rules CFG-01 to CFG-06, CFG-18.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from aveverify._core.provider import Provider
from aveverify._core.provider_checks import is_custom_jwt_algorithm
from aveverify.errors import ConfigurationError, Problem

_MISSPELLINGS: Final = ("applicationId", "applicationid")
# The names of `Provider`'s arguments -> Convex's, for messages in the words of the file.
_WORDS: Final = {"application_id": "applicationID"}
AuthConfig = Mapping[str, Any] | str | os.PathLike[str]


def parse_auth_config(config: AuthConfig) -> tuple[Provider, ...]:
    """Read the providers of a Convex `auth.config`.

    Args:
        config: The exported object, its JSON text, or the path of a `.json` file.

    Returns:
        The providers in written order, equal ones once.

    Raises:
        ConfigurationError: Names the field and how to mend it, with Convex's code.

    Example:
        >>> config = {"providers": [{"domain": "https://idp.example", "applicationID": "app"}]}
        >>> parse_auth_config(config)
        (<Provider oidc issuer='https://idp.example' application_id='app'>,)

    Source: CFG-01 to CFG-15; DV-10; DV-16 to DV-19.
    """
    members = _load(config)
    entries = members.get("providers") if isinstance(members, Mapping) else None
    if not isinstance(entries, (list, tuple)):
        # CFG-01
        raise ConfigurationError(Problem.NOT_A_CONFIG, "the auth config")
    # CFG-18: the schema of all entries is checked before any URL.
    checked = [_check_schema(entry, f"providers[{index}]") for index, entry in enumerate(entries)]
    # CFG-15
    return tuple(dict.fromkeys(map(_make_provider, checked)))


def _load(config: object) -> object:
    if isinstance(config, Mapping):
        return config
    text: str
    if isinstance(config, os.PathLike) or (isinstance(config, str) and config.endswith(".json")):
        text = _read_file(Path(config))
    elif isinstance(config, str):
        text = config
    else:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise ConfigurationError(Problem.NOT_A_CONFIG, "the auth config", "it is not JSON")


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        pass
    raise ConfigurationError(Problem.UNREADABLE_FILE, "the auth config", f"{path.name}")


class _EntryArguments(NamedTuple):
    """One entry of the right schema, whose URLs are still to be checked.

    Attributes:
        where: Its place in the config, for messages.
        issuer_word: Convex's word for the issuer.
        make: The constructor of its kind.
        arguments: What the constructor takes.
    """

    where: str
    issuer_word: Literal["domain", "issuer"]
    make: Callable[..., Provider]
    arguments: dict[str, Any]


def _check_schema(entry: object, where: str) -> _EntryArguments:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(Problem.NOT_A_CONFIG, where)
    # CFG-04: also beside a correct applicationID.
    for name in _MISSPELLINGS:
        if name in entry:
            raise ConfigurationError(Problem.MISSPELT, f"{where}.{name}")
    kind = entry.get("type")
    # CFG-02: what is not text counts as absent. CFG-05: `unknown` likewise.
    if not isinstance(kind, str) or kind in ("oidc", "unknown"):
        return _check_oidc_schema(entry, where)
    if kind == "customJwt":
        return _check_custom_jwt_schema(entry, where)
    # CFG-05
    raise ConfigurationError(Problem.UNKNOWN_TYPE, f"{where}.type")


def _check_oidc_schema(entry: Mapping[str, Any], where: str) -> _EntryArguments:
    # CFG-06
    if "issuer" in entry:
        raise ConfigurationError(Problem.FOREIGN_MEMBER, f"{where}.issuer")
    domain, application_id = (_text(entry, name, where) for name in ("domain", "applicationID"))
    return _EntryArguments(where, "domain", Provider, {"issuer": domain, "application_id": application_id})


def _check_custom_jwt_schema(entry: Mapping[str, Any], where: str) -> _EntryArguments:
    # CFG-06
    if "domain" in entry:
        raise ConfigurationError(Problem.FOREIGN_MEMBER, f"{where}.domain")
    issuer, jwks = (_text(entry, name, where) for name in ("issuer", "jwks"))
    # CFG-03: null is absent.
    application_id = None if entry.get("applicationID") is None else _text(entry, "applicationID", where)
    algorithm = entry.get("algorithm")
    if not is_custom_jwt_algorithm(algorithm):
        # CFG-13
        raise ConfigurationError(Problem.ALGORITHM, f"{where}.algorithm")
    arguments = {
        "issuer": issuer,
        "jwks": jwks,
        "algorithm": algorithm,
        "application_id": application_id,
        "any_audience": application_id is None,
    }
    return _EntryArguments(where, "issuer", Provider.custom_jwt, arguments)


def _make_provider(entry: _EntryArguments) -> Provider:
    try:
        return entry.make(**entry.arguments)
    except ConfigurationError as error:
        problem, name, detail = error.problem, error.field, error.detail
    word = entry.issuer_word if name == "issuer" else _WORDS.get(name, name)
    raise ConfigurationError(problem, f"{entry.where}.{word}", detail)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    if name not in entry:
        raise ConfigurationError(Problem.MISSING, f"{where}.{name}")
    value = entry[name]
    if not isinstance(value, str):
        raise ConfigurationError(Problem.WRONG_TYPE, f"{where}.{name}")
    return value
