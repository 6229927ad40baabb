"""Every configuration vector, through `parse_auth_config`."""

from __future__ import annotations

from typing import Any

from aveverify import ConfigurationError, Provider, parse_auth_config
from aveverify._core.jose.encoding import JsonValue
from tests.conformance.batches import check_each, in_batches
from tests.conformance.collection import ConfigVector, config_vectors
from tests.conformance.vector_environment import exact


def read(config: JsonValue) -> dict[str, JsonValue]:
    """The answer to a configuration, in the words of the vectors."""
    try:
        return {"verdict": "accept", "providers": [entry(provider) for provider in parse_auth_config(config)]}
    except ConfigurationError as error:
        return {"verdict": "reject", "code": error.convex_code}


def entry(provider: Provider) -> dict[str, Any]:
    """A provider in the words of a Convex configuration."""
    if provider.kind == "oidc":
        return {"type": "oidc", "domain": provider.issuer, "applicationID": provider.application_id}
    return {
        "type": "customJwt",
        "issuer": provider.issuer,
        "jwks": provider.jwks,
        "algorithm": provider.algorithm,
        "applicationID": provider.application_id,
    }


def check(vector: ConfigVector) -> None:
    assert exact(read(vector.config)) == exact(vector.expect)


@in_batches(config_vectors("convex"))
def test_a_configuration_is_read_as_convex_reads_it(batch: list[ConfigVector]) -> None:
    check_each(batch, check)
