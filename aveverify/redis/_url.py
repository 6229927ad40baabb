"""Which options the query of a Redis URL may set: no URL of an environment may switch TLS checks off (CFG-014)."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from aveverify.errors import ConfigurationError, Problem, quote

# CFG-014: the options that the query of a URL may set. Every other one that redis-py reads there is refused.
_OPTIONS: Final = frozenset(
    {
        "client_name", "db", "health_check_interval", "max_connections", "password", "protocol",
        "socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_timeout", "username",
    }
)  # fmt: skip
_TLS_OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"}
)
# A query may state these, but with no other value.
_STRICT: Final = frozenset(
    {("ssl_cert_reqs", "required"), ("ssl_check_hostname", "true"), ("ssl_check_hostname", "True")}
)


def check_query(url: str) -> None:
    """Refuse a URL whose query weakens TLS, or sets an option that no URL may set.

    Raises:
        ConfigurationError: Names the option.

    Source: CFG-014.
    """
    # Split as redis-py splits it. Of an option that occurs twice redis-py reads the first.
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in options]
    for name, value in options:
        is_tls = name.lower().startswith("ssl")
        if is_tls and (parts.scheme != "rediss" or not (name in _TLS_OPTIONS or (name, value) in _STRICT)):
            raise ConfigurationError(Problem.INSECURE_TLS, "url", f"its query sets {quote(name)}")
        if not is_tls and name not in _OPTIONS:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "url", f"its query must not set {quote(name)}")
        if names.count(name) > 1:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "url", f"its query sets {quote(name)} twice")
