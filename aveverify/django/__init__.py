"""Django: a middleware, decorators and system checks, configured by `AVEVERIFY` in the settings.

`INSTALLED_APPS += ["aveverify.django"]` lets `manage.py check` say what is wrong; without it, the first import of this
package does, or the first request. Django 5.2 and
newer, synchronous and asynchronous; design §6.
"""

from aveverify.django import _checks as _checks
from aveverify.django._decorators import ave_optional, ave_required
from aveverify.django._enforcement import look_early
from aveverify.django._middleware import AveAuthMiddleware
from aveverify.django._requests import AveOptionalRequest, AveRequest

__all__ = ["AveAuthMiddleware", "AveOptionalRequest", "AveRequest", "ave_optional", "ave_required"]

look_early()
