"""FastAPI: an optional greeting, a page for signed-in users, and one that requires a scope; OpenAPI at /docs.

    pip install "aveverify[fastapi]" uvicorn
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/fastapi_app.py

Without an issuer of your own: `python examples/local_issuer.py` in another terminal.
"""

import os
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Security

from aveverify import Identity, Verifier
from aveverify.fastapi import AveAuth


def make_app(verifier: Verifier) -> FastAPI:
    app = FastAPI()
    ave = AveAuth(verifier)
    ave.install(app)

    @app.get("/hello")
    async def hello(identity: Annotated[Identity | None, Security(ave.optional)]) -> dict[str, str | None]:
        return {"hello": identity.name if identity else "stranger"}

    @app.get("/me", responses=ave.responses)
    async def me(identity: Annotated[Identity, Security(ave)]) -> dict[str, Any]:
        return dict(identity.to_convex())

    @app.get("/reports", responses=ave.responses)
    async def reports(identity: Annotated[Identity, Security(ave, scopes=["reports:read"])]) -> dict[str, Any]:
        return {"for": identity.subject, "reports": []}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(Verifier.from_env()), port=int(os.environ.get("PORT", "8000")))
