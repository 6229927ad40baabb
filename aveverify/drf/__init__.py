"""Django REST framework: an authentication class, permissions and an exception handler.

All are configured by `AVEVERIFY` in Django's settings. A refusal has the status, headers and body of RFC 6750;
`exception_handler` gives them to the errors that a view raises, and to REST framework's own 401, too. Design §6.
"""

from aveverify.drf._authentication import AveAuthentication
from aveverify.drf._exception_handler import exception_handler
from aveverify.drf._permissions import HasScope, HasScopes

__all__ = ["AveAuthentication", "HasScope", "HasScopes", "exception_handler"]
