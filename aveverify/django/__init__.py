"""Django: a middleware, decorators and system checks, configured by `AVEVERIFY` in the settings.

`INSTALLED_APPS += ["aveverify.django"]` turns the system checks on; everything else works without. Django 5.2 and
newer, synchronous and asynchronous; design §6.
"""

from aveverify.django._decorators import ave_optional, ave_required
from aveverify.django._middleware import AveAuthMiddleware
from aveverify.django._requests import AveOptionalRequest, AveRequest

__all__ = ["AveAuthMiddleware", "AveOptionalRequest", "AveRequest", "ave_optional", "ave_required"]
