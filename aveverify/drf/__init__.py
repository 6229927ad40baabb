"""Django REST framework: authentication classes, permissions and an exception handler.

All are configured by `AVEVERIFY` in Django's settings. A refusal has the status, headers and body of RFC 6750;
`exception_handler` gives the body to the errors that a view raises, and to REST framework's own 401, too. Design §6.
"""

from aveverify.drf._authentication import AveAuthentication, OptionalAveAuthentication
from aveverify.drf._exception_handler import exception_handler
from aveverify.drf._permissions import Allow, HasAnyScope, HasScope, HasScopes, patch_negation
from aveverify.drf._refusals import RefusedError
from aveverify.drf._requests import patch_request

__all__ = [
    "Allow",
    "AveAuthentication",
    "HasAnyScope",
    "HasScope",
    "HasScopes",
    "OptionalAveAuthentication",
    "RefusedError",
    "exception_handler",
]

patch_request()
patch_negation()
