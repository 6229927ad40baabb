"""Flask: a public greeting, a page for signed-in users, and one that demands a scope.

    pip install "aveverify[flask]"
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/flask_app.py

Without an issuer of your own: `python examples/local_issuer.py` in another terminal.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from aveverify import Verifier, get_user_identity
from aveverify.flask import AveAuth, current_identity


def make_app(verifier: Verifier) -> Flask:
    app = Flask(__name__)
    ave = AveAuth(app, verifier)

    @app.get("/hello")
    @ave.optional
    def hello() -> dict[str, Any]:
        identity = get_user_identity(request)
        return {"hello": identity.name if identity else "stranger"}

    @app.get("/me")
    @ave.required
    def me() -> dict[str, Any]:
        return dict(current_identity.to_convex())

    @app.get("/reports")
    @ave.required(scopes=["reports:read"])
    def reports() -> dict[str, Any]:
        return {"for": current_identity.subject, "reports": []}

    return app


if __name__ == "__main__":
    make_app(Verifier.from_env()).run(port=int(os.environ.get("PORT", "8000")))
