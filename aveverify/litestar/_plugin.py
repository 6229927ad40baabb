"""Litestar: one plugin that protects a whole application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from litestar.di import Provide
from litestar.plugins import InitPluginProtocol

from aveverify._http.app_user import LoadUser
from aveverify._http.auth_options import AuthOptions
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.litestar._middleware import AveAuthMiddleware
from aveverify.litestar._openapi import describe_security
from aveverify.litestar._providers import provide_identity, provide_optional_identity
from aveverify.litestar._refusals import exception_handlers

if TYPE_CHECKING:
    from litestar.config.app import AppConfig

    from aveverify.verifier import Verifier


class AveAuthPlugin(InitPluginProtocol):
    """Protects a whole application: `Litestar(handlers, plugins=[AveAuthPlugin(verifier, required=True)])`.

    It installs `AveAuthMiddleware` in front of all other middleware, the exception handler, the dependencies
    `identity` and `optional_identity`, and the security schemes of OpenAPI. Exception handlers of the application for
    `RefusedError` or what it is, and its dependencies with the same names, replace these.

    Args:
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused. There is no default.
        close_expired: As for `AveAuthMiddleware`.
        load_user: As for `AveAuthMiddleware`.
        options: All other options: `aveverify.asgi.AuthOptions`.

    Raises:
        ConfigurationError: An argument is not what it must be; the error names it.

    Example:
        ```python
        @get("/me")
        async def me(identity: CurrentIdentity) -> str:
            return identity.subject


        app = Litestar([me], plugins=[AveAuthPlugin(Verifier(Provider.ave("app_123")), required=True)])
        ```
    """

    @refuse_unknown(AuthOptions)
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        close_expired: bool = True,
        load_user: LoadUser[Any] | None = None,
        **options: Unpack[AuthOptions],
    ) -> None:
        self._verifier = verifier
        self._middleware = AveAuthMiddleware.define(
            verifier, required=required, close_expired=close_expired, load_user=load_user, **options
        )

    @property
    def verifier(self) -> Verifier:
        """The verifier: `request.app.plugins.get(AveAuthPlugin).verifier`."""
        return self._verifier

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Install everything; Litestar calls this.

        Args:
            app_config: The configuration of the application; it is changed.

        Returns:
            The same configuration.
        """
        # First: no other middleware serves a request before its token is verified.
        app_config.middleware.insert(0, self._middleware)
        app_config.exception_handlers = {**exception_handlers, **app_config.exception_handlers}
        for name, provider in (("identity", provide_identity), ("optional_identity", provide_optional_identity)):
            app_config.dependencies.setdefault(name, Provide(provider, sync_to_thread=False))
        if app_config.openapi_config is not None:
            app_config.openapi_config = describe_security(app_config.openapi_config, self._verifier.providers)
        return app_config
