"""Django: a middleware, decorators and system checks, configured by `AVEVERIFY` in the settings.

`INSTALLED_APPS += ["aveverify.django"]` lets `manage.py check` report wrong settings; without it, the first import of
this package refuses them, or the first request. Django 5.2 and newer, synchronous and asynchronous.
"""

from aveverify.django import _checks as _checks
from aveverify.django._decorators import ave_optional, ave_required
from aveverify.django._enforcement import check_at_import
from aveverify.django._identity_user import IdentityUser
from aveverify.django._middleware import AveAuthMiddleware
from aveverify.django._refusals import RefusedResponse
from aveverify.django._requests import AveOptionalRequest, AveRequest
from aveverify.django._settings import get_verifier

__all__ = [
    "AveAuthMiddleware",
    "AveOptionalRequest",
    "AveRequest",
    "IdentityUser",
    "RefusedResponse",
    "ave_optional",
    "ave_required",
    "get_verifier",
]

check_at_import()
