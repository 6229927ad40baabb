"""Gives Django its settings before a file is imported that needs them."""

from tests.edges import django_settings

__all__ = ["django_settings"]
