"""Django REST framework: the project that `manage.py` runs."""
