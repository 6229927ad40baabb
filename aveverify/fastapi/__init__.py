"""FastAPI: the identity as a dependency, with scopes, OpenAPI and documented refusals.

`Annotated[Identity, Security(ave)]` demands credentials, `Security(ave.optional)` does not. A token is verified once
in a request, also behind a middleware with the same verifier. What a refusal says is decided elsewhere.
"""

from aveverify.fastapi._dependency import AveAuth, OptionalAveAuth, RefusedError, UserDependency
from aveverify.fastapi._openapi import Refusal

__all__ = ["AveAuth", "OptionalAveAuth", "Refusal", "RefusedError", "UserDependency"]
