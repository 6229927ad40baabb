"""What `Provider.ave` demands beyond Convex's rules: that the token is an id_token for this client.

All kinds of Ave's tokens share issuer, key and header; only claims tell them apart. A refusal has the code
`Unauthenticated`. Rules AVE-01 to AVE-03.
"""

from __future__ import annotations

from typing import Final

from aveverify._core.jose.encoding import JsonObject
from aveverify.errors import Hint, InvalidTokenError, Reason

ISSUER: Final = "https://aveid.net"
# Members of access tokens and delegated tokens; an id_token has none of them.
_FOREIGN_CLAIMS: Final = ("cid", "grant_id", "target_resource", "client_id")


def check_id_token(claims: JsonObject, client_id: str) -> None:
    """Refuse tokens of Ave that are not an id_token for this client.

    Args:
        claims: The claims of a token of Ave.
        client_id: The configured client.

    Raises:
        InvalidTokenError: `NOT_AN_ID_TOKEN`.

    Source: AVE-01 (azp), AVE-02 (payload typ), AVE-03 (claims of other kinds); RFC 8725 §3.12.
    """
    # AVE-01: every id_token of Ave has azp.
    if claims.get("azp") != client_id:
        raise InvalidTokenError(Reason.NOT_AN_ID_TOKEN, rule="AVE-01", kind="oidc", claim="azp", hint=Hint.OTHER_CLIENT)
    # AVE-02
    if "typ" in claims:
        raise InvalidTokenError(Reason.NOT_AN_ID_TOKEN, rule="AVE-02", kind="oidc", claim="typ", hint=Hint.ACCESS_TOKEN)
    # AVE-03
    for name in _FOREIGN_CLAIMS:
        if name in claims:
            raise InvalidTokenError(
                Reason.NOT_AN_ID_TOKEN, rule="AVE-03", kind="oidc", claim=name, hint=Hint.AVE_ACCESS_TOKEN
            )
