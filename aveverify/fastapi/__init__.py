"""FastAPI: the identity of a request as a dependency, with scopes, OpenAPI and documented refusals.

`Annotated[Identity, Security(ave)]` demands credentials, `Security(ave.optional)` does not. A token is verified once
in a request, also behind a middleware with the same verifier. RFC 6750.
"""

from aveverify.fastapi._authorized_identity import AuthorizedIdentity
from aveverify.fastapi._dependency import AveAuth
from aveverify.fastapi._openapi import RefusalBody
from aveverify.fastapi._optional_dependency import OptionalAveAuth
from aveverify.fastapi._refusals import RefusedError
from aveverify.fastapi._user_dependency import UserDependency

__all__ = ["AuthorizedIdentity", "AveAuth", "OptionalAveAuth", "RefusalBody", "RefusedError", "UserDependency"]
