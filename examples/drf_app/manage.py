"""Django REST framework: a public greeting, a page for signed-in users, and one that demands a scope.

    pip install "aveverify[drf]"
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/drf_app/manage.py runserver

Without an issuer of your own: `python examples/local_issuer.py` in another terminal.
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    execute_from_command_line(sys.argv)
