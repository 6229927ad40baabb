"""Checked by mypy, never executed: the types that reach a view."""
