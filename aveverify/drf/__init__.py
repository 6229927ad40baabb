"""Django REST framework: an authentication class and permissions, configured by `AVEVERIFY` in Django's settings.

A refusal carries the status, headers and body of the contract by itself; `exception_handler` does the same for what a
view lets through, and for REST framework's own 401. design §6; REST framework's documentation of authentication.
"""

from aveverify.drf._authentication import AveAuthentication, HasScope, HasScopes, exception_handler

__all__ = ["AveAuthentication", "HasScope", "HasScopes", "exception_handler"]
