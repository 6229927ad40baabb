"""`parse_auth_config`: what a Convex `auth.config` exports, as an object, as JSON or as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from aveverify import ConfigurationError, Provider, Verifier, parse_auth_config
from aveverify._core.jose.encoding import JsonValue
from aveverify.errors import Problem
from tests.core.jose_factory import ISSUER, KEYS_URL, Json, raised, without

OIDC: Json = {"domain": ISSUER, "applicationID": "app"}
CUSTOM: Json = {
    "type": "customJwt", "issuer": ISSUER, "jwks": KEYS_URL, "algorithm": "RS256", "applicationID": "app",
}  # fmt: skip
SCHEMA = "AuthConfigNotMatchingSchemaError"


def config(*entries: JsonValue) -> Json:
    return {"providers": list(entries)}


def wrong(text: Any) -> ConfigurationError:
    return raised(ConfigurationError, lambda: parse_auth_config(text))


# --- where it comes from


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda value, _path: value, id="an object"),
        pytest.param(lambda value, _path: MappingProxyType(value), id="another mapping"),
        pytest.param(lambda value, _path: json.dumps(value), id="JSON"),
        pytest.param(lambda value, _path: f"\n {json.dumps(value)}\n", id="JSON with white space"),
        pytest.param(lambda _value, path: path, id="a path"),
        pytest.param(lambda _value, path: str(path), id="the text of a path"),
    ],
)
def test_a_configuration_comes_in_several_forms(make: Callable[[Json, Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "auth.config.json"
    path.write_text(json.dumps(config(OIDC, CUSTOM)), encoding="utf-8")

    providers = parse_auth_config(make(config(OIDC, CUSTOM), path))

    assert providers == (
        Provider(issuer=ISSUER, application_id="app"),
        Provider.custom_jwt(issuer=ISSUER, jwks=KEYS_URL, algorithm="RS256", application_id="app"),
    )


def test_a_path_object_need_not_end_in_json(tmp_path: Path) -> None:
    path = tmp_path / "auth.config"
    path.write_text(json.dumps(config(OIDC)), encoding="utf-8")

    assert len(parse_auth_config(path)) == 1


def test_a_file_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_bytes(json.dumps(config(OIDC | {"applicationID": "äpp"}), ensure_ascii=False).encode())

    assert parse_auth_config(path)[0].application_id == "äpp"


@pytest.mark.parametrize("name", ["missing.json", "", "latin1.json", "nul\x00.json"], ids=ascii)
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "latin1.json").write_bytes(b'{"providers":"\xff"}')
    path = tmp_path / name

    error = wrong(path)

    assert (error.problem, error.convex_code) == (Problem.UNREADABLE_FILE, None)
    assert error.detail == path.name


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut off"),
        pytest.param("export default {}", id="a module"),
        pytest.param("[" * 100_000, id="nested too deeply"),
        pytest.param('{"a":' + "9" * 5000 + "}", id="a number of 5,000 digits"),
    ],
)
def test_a_text_that_is_no_json_is_refused(text: str) -> None:
    error = wrong(text)

    assert (error.problem, error.rule, error.convex_code) == (Problem.NOT_A_CONFIG, "CFG-01", SCHEMA)
    # A text that is JSON and no configuration says something else.
    assert error.detail is not None
    assert wrong("[]").detail is None


@pytest.mark.parametrize(
    "value",
    [
        None, 1, True, b'{"providers":[]}', [], [OIDC], {}, {"providers": None}, {"providers": {}}, {"providers": "x"},
        {"Providers": []}, "null", "[]", "1", '"x"', '{"providers":{}}',
    ],
    ids=ascii,
)  # fmt: skip
def test_a_configuration_is_an_object_with_a_list_of_providers(value: JsonValue) -> None:
    """CFG-01."""
    error = wrong(value)

    assert (error.problem, error.rule, error.convex_code) == (Problem.NOT_A_CONFIG, "CFG-01", SCHEMA)


@pytest.mark.parametrize("entry", [None, 1, "https://idp.example", [], [OIDC], True], ids=ascii)
def test_an_entry_is_an_object(entry: JsonValue) -> None:
    error = wrong(config(OIDC, entry))

    assert (error.problem, error.field) == (Problem.NOT_A_CONFIG, "providers[1]")
    assert error.convex_code == SCHEMA


def test_no_providers_are_no_mistake() -> None:
    """SEL-05; CFG-001."""
    assert parse_auth_config(config()) == ()


def test_providers_may_stand_in_a_tuple() -> None:
    assert len(parse_auth_config({"providers": (OIDC,)})) == 1


def test_unknown_members_are_ignored_at_both_levels() -> None:
    """CFG-01."""
    assert parse_auth_config(config(OIDC | {"x": 1, "jwks": 5}, CUSTOM | {"y": None}) | {"z": []}) == (
        parse_auth_config(config(OIDC, CUSTOM))
    )


# --- the kind of an entry


@pytest.mark.parametrize("kind", ["oidc", "unknown", None, 1, True, [], {}, ["customJwt"]], ids=ascii)
def test_these_types_are_oidc(kind: JsonValue) -> None:
    """CFG-02; CFG-05: what is no text counts as absent."""
    assert parse_auth_config(config(OIDC | {"type": kind}))[0].kind == "oidc"


@pytest.mark.parametrize("kind", ["OIDC", "customjwt", "CustomJwt", "custom_jwt", "", "saml"], ids=ascii)
def test_another_type_is_refused(kind: str) -> None:
    """CFG-05: case counts."""
    error = wrong(config(OIDC | {"type": kind}))

    assert (error.problem, error.field) == (Problem.UNKNOWN_TYPE, "providers[0].type")
    assert (error.rule, error.convex_code) == ("CFG-05", SCHEMA)


@pytest.mark.parametrize("value", ["x", None, 1], ids=ascii)
@pytest.mark.parametrize(
    ("entry", "name"), [(CUSTOM, "domain"), (OIDC, "issuer"), (OIDC | {"type": "oidc"}, "issuer")],
    ids=["domain on customJwt", "issuer on OIDC", "issuer on a typed OIDC"],
)  # fmt: skip
def test_a_member_of_the_other_kind_is_refused(entry: Json, name: str, value: JsonValue) -> None:
    """CFG-06: even null."""
    error = wrong(config(entry | {name: value}))

    assert (error.problem, error.field) == (Problem.FOREIGN_MEMBER, f"providers[0].{name}")
    assert (error.rule, error.convex_code) == ("CFG-06", SCHEMA)


@pytest.mark.parametrize("name", ["applicationId", "applicationid"])
@pytest.mark.parametrize("entry", [OIDC, CUSTOM], ids=["oidc", "customJwt"])
def test_two_misspellings_are_refused_even_beside_the_right_name(entry: Json, name: str) -> None:
    """CFG-04."""
    error = wrong(config(entry | {name: "app"}))

    assert (error.problem, error.field) == (Problem.MISSPELT, f"providers[0].{name}")
    assert (error.rule, error.convex_code) == ("CFG-04", SCHEMA)


@pytest.mark.parametrize("name", ["ApplicationID", "application_id", "APPLICATIONID"])
def test_other_misspellings_are_unknown_members(name: str) -> None:
    """CFG-04."""
    assert parse_auth_config(config(OIDC | {name: 1}))[0].application_id == "app"


# --- members


@pytest.mark.parametrize(
    ("entry", "name"),
    [(OIDC, "domain"), (OIDC, "applicationID"), (CUSTOM, "issuer"), (CUSTOM, "jwks")],
    ids=["domain", "applicationID", "issuer", "jwks"],
)
def test_a_required_member_is_named_when_it_is_missing(entry: Json, name: str) -> None:
    """CFG-02; CFG-03."""
    error = wrong(config(OIDC, without(entry, name)))

    assert (error.problem, error.field) == (Problem.MISSING, f"providers[1].{name}")
    assert error.convex_code == SCHEMA


@pytest.mark.parametrize("value", [None, 1, True, [], {}], ids=ascii)
@pytest.mark.parametrize(
    ("entry", "name"),
    [(OIDC, "domain"), (OIDC, "applicationID"), (CUSTOM, "issuer"), (CUSTOM, "jwks"), (CUSTOM, "applicationID")],
    ids=["domain", "applicationID", "issuer", "jwks", "customJwt applicationID"],
)
def test_a_member_of_another_type_is_named(entry: Json, name: str, value: JsonValue) -> None:
    """CFG-02; CFG-03: null is absent only for the applicationID of customJwt."""
    if (entry, name, value) == (CUSTOM, "applicationID", None):
        assert parse_auth_config(config(entry | {name: value}))[0].application_id is None
        return
    error = wrong(config(entry | {name: value}))

    assert (error.problem, error.field) == (Problem.WRONG_TYPE, f"providers[0].{name}")
    assert error.convex_code == SCHEMA


@pytest.mark.parametrize(
    "entry",
    [
        CUSTOM | {"algorithm": "HS256"}, CUSTOM | {"algorithm": "rs256"}, CUSTOM | {"algorithm": ""},
        CUSTOM | {"algorithm": None}, CUSTOM | {"algorithm": 1}, CUSTOM | {"algorithm": []},
        without(CUSTOM, "algorithm"),
    ],
    ids=["HS256", "rs256", "empty", "null", "number", "list", "absent"],
)  # fmt: skip
def test_the_algorithm_is_one_of_two(entry: Json) -> None:
    """CFG-13."""
    error = wrong(config(entry))

    assert (error.problem, error.field) == (Problem.ALGORITHM, "providers[0].algorithm")
    assert error.convex_code == SCHEMA


@pytest.mark.parametrize(
    "entry", [without(CUSTOM, "applicationID"), CUSTOM | {"applicationID": None}], ids=["absent", "null"]
)
def test_custom_jwt_without_application_id_takes_any_audience(entry: Json) -> None:
    """CFG-03."""
    assert parse_auth_config(config(entry))[0].application_id is None


@pytest.mark.parametrize("entry", [OIDC, CUSTOM], ids=["oidc", "customJwt"])
def test_an_empty_application_id_is_legal(entry: Json) -> None:
    """CFG-17."""
    assert parse_auth_config(config(entry | {"applicationID": ""}))[0].application_id == ""


@pytest.mark.parametrize(
    ("entry", "problem", "field", "code"),
    [
        pytest.param(OIDC | {"domain": '"x"'}, Problem.QUOTED, "domain", "InvalidProviderDomainUrl", id="quoted"),
        pytest.param(OIDC | {"domain": ""}, Problem.NOT_A_URL, "domain", "InvalidProviderDomainUrl", id="empty"),
        pytest.param(OIDC | {"domain": "single"}, Problem.NO_DOT, "domain", "InvalidProviderDomainUrl", id="no dot"),
        pytest.param(
            OIDC | {"domain": "http://idp.example"}, Problem.PLAIN_HTTP, "domain", "InsecureConfiguration", id="http"
        ),
        pytest.param(
            OIDC | {"type": "oidc", "domain": "x"}, Problem.NO_DOT, "domain", "InvalidProviderDomainUrl", id="typed"
        ),
        pytest.param(CUSTOM | {"issuer": "x"}, Problem.NO_DOT, "issuer", "InvalidProviderDomainUrl", id="issuer"),
        pytest.param(CUSTOM | {"jwks": "x"}, Problem.KEY_SET_ADDRESS, "jwks", SCHEMA, id="address of the keys"),
        pytest.param(
            CUSTOM | {"jwks": "data:,x"}, Problem.KEY_SET_DATA, "jwks", SCHEMA, id="keys in the configuration"
        ),
        pytest.param(
            CUSTOM | {"jwks": "http://k.example"}, Problem.PLAIN_HTTP, "jwks", "InsecureConfiguration", id="http keys"
        ),
        pytest.param(
            without(CUSTOM, "applicationID") | {"issuer": "https://api.workos.com"},
            Problem.SHARED_ISSUER,
            "issuer",
            "InsecureConfiguration",
            id="the shared issuer",
        ),
        pytest.param(
            CUSTOM | {"issuer": "api.workos.com", "applicationID": None},
            Problem.SHARED_ISSUER,
            "issuer",
            "InsecureConfiguration",
            id="the shared issuer, null",
        ),
    ],
)
def test_what_the_provider_refuses_is_told_in_convexs_words(
    entry: Json, problem: Problem, field: str, code: str
) -> None:
    """CFG-07 to CFG-14; DV-10; DV-17 to DV-19."""
    error = wrong(config(OIDC, entry))

    assert (error.problem, error.field) == (problem, f"providers[1].{field}")
    assert error.convex_code == code


def test_the_detail_of_a_refusal_is_kept() -> None:
    error = wrong(config(CUSTOM | {"jwks": "data:,[]"}))

    assert error.detail is not None
    assert error.detail in str(error)


# --- several providers


def test_providers_are_tried_in_written_order() -> None:
    """DV-16."""
    entries = [CUSTOM, OIDC | {"applicationID": "z"}, OIDC | {"applicationID": "a"}]

    assert [provider.application_id for provider in parse_auth_config(config(*entries))] == ["app", "z", "a"]


def test_equal_entries_collapse() -> None:
    """CFG-15; CFG-008."""
    entries = [OIDC, CUSTOM, OIDC | {"type": "oidc"}, CUSTOM | {"x": 1}, OIDC | {"domain": "idp.example"}]

    assert len(parse_auth_config(config(*entries))) == 2


def test_a_changed_configuration_changes_nothing_afterwards() -> None:
    """CFG-011."""
    value = config(dict(OIDC))
    providers = parse_auth_config(value)

    value["providers"][0]["domain"] = "https://evil.example"
    value["providers"].append(CUSTOM)

    assert providers == (Provider(issuer=ISSUER, application_id="app"),)


@pytest.mark.parametrize(
    "entry",
    [OIDC, OIDC | {"applicationID": ""}, CUSTOM, without(CUSTOM, "applicationID"), CUSTOM | {"algorithm": "ES256"}],
    ids=["oidc", "oidc, empty id", "customJwt", "customJwt, any audience", "ES256"],
)
def test_there_and_back_again(entry: Json) -> None:
    providers = parse_auth_config(config(entry))

    written = {"providers": [provider.to_auth_config() for provider in providers]}

    assert written == config(entry)
    assert parse_auth_config(json.dumps(written)) == providers


def test_the_preset_of_ave_has_no_place_in_a_configuration() -> None:
    """Options of ours have no place there: what comes back is a plain OIDC provider."""
    entry = Provider.ave("app_1", leeway_seconds=5).to_auth_config()

    assert parse_auth_config({"providers": [entry]}) == (Provider(issuer="https://aveid.net", application_id="app_1"),)


class Odd(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __getitem__(self, name: str) -> JsonValue:
        return OIDC[name]

    def __iter__(self) -> Iterator[str]:
        return iter(OIDC)

    def __len__(self) -> int:
        return len(OIDC)


def test_an_entry_may_be_any_mapping() -> None:
    assert parse_auth_config({"providers": [Odd()]}) == (Provider(issuer=ISSUER, application_id="app"),)


def test_a_verifier_is_made_of_a_configuration() -> None:
    with Verifier.from_auth_config(config(OIDC, CUSTOM), token_cache_size=0) as verifier:
        assert verifier.providers == parse_auth_config(config(OIDC, CUSTOM))
    raised(ConfigurationError, lambda: Verifier.from_auth_config(config({})))


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({"domain": "https://a.example"}, id="a member is missing"),
        pytest.param(OIDC | {"applicationId": "app"}, id="a misspelling"),
        pytest.param(OIDC | {"type": "saml"}, id="an unknown type"),
        pytest.param(CUSTOM | {"domain": None}, id="a member of the other kind"),
        pytest.param(CUSTOM | {"algorithm": "HS256"}, id="an algorithm"),
        pytest.param([], id="no object"),
    ],
)
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(OIDC | {"domain": "ftp://a.example"}, id="an address"),
        pytest.param(without(CUSTOM, "applicationID") | {"issuer": "https://api.workos.com"}, id="the shared issuer"),
        pytest.param(CUSTOM | {"jwks": "data:,x"}, id="unusable keys"),
    ],
)
def test_the_schema_of_all_entries_comes_before_any_address(first: Json, later: JsonValue) -> None:
    """CFG-18."""
    assert wrong(config(first)).field.startswith("providers[0]")
    error = wrong(config(first, later))

    assert error.field.startswith("providers[1]")
    assert error.convex_code == "AuthConfigNotMatchingSchemaError"
