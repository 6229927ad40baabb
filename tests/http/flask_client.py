"""Two ways to ask the extension of Flask: by its decorators, and by its config for the whole application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask import request as flask_request

from aveverify import Verifier
from aveverify.flask import AveAuth
from tests.http.http_fixtures import METHODS, Integration, LeftOut, Reply, Request, View, open_app


def new_app(**config: object) -> Flask:
    """An application that lets the exceptions of its views pass."""
    app = Flask("tests.http")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.config.update(config)
    return app


def send_to_decorators(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a view behind `@ave.required` or `@ave.optional`, which take what a decorator takes."""
    app = new_app()
    required, load_user = options.pop("required"), options.pop("load_user", None)
    demands = {name: options.pop(name) for name in ("scopes", "any_scopes", "allow") if name in options}
    ave = AveAuth(app, verifier, **options)
    if load_user is not None:
        ave.load_user(load_user)
    decorate = (ave.required if required else ave.optional)(**demands)
    app.add_url_rule(
        "/", "view", decorate(lambda: view(flask_request)), methods=list(METHODS), provide_automatic_options=False
    )
    return open_app(app, request)


def send_to_config(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a bare view of an application whose config says everything; without `required`, behind `@ave.optional`."""
    load_user = options.pop("load_user", None)
    app = new_app(
        AVEVERIFY_VERIFIER=verifier, **{f"AVEVERIFY_{name.upper()}": value for name, value in options.items()}
    )
    ave = AveAuth()
    if load_user is not None:
        ave.load_user(load_user)
    ave.init_app(app)

    def ask() -> str:
        return view(flask_request)

    app.add_url_rule(
        "/",
        "view",
        ask if options["required"] else ave.optional(ask),
        methods=list(METHODS),
        provide_automatic_options=False,
    )
    return open_app(app, request)


INTEGRATIONS: dict[str, Integration] = {"flask_decorators": send_to_decorators, "flask_config": send_to_config}
LEFT_OUT = [
    LeftOut(
        "flask_decorators",
        "test_an_optional_path_reads_a_token_if_there_is_one",
        {"kind": None},
        "the view demands a token by itself",
    ),
    *(
        LeftOut(
            integration,
            "test_no_copy_of_a_context_knows_the_user_after_the_request",
            {},
            "whose request it is, is said by Flask's own context, of which a copy keeps the request as a whole",
        )
        for integration in ("flask_decorators", "flask_config")
    ),
    LeftOut(
        "flask_decorators",
        "test_an_exception_of_the_application_is_its_own",
        {"kind": "expired", "on_invalid": "defer"},
        "@ave.required relies on the answer, so it defers nothing",
    ),
    LeftOut(
        "flask_decorators",
        "test_a_view_may_answer_a_deferred_refusal_by_itself",
        {"kind": "reader"},
        "the scopes of a decorator are those of its view, which is not run without them",
    ),
]
