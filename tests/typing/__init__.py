"""Never executed: mypy checks here the types that users see, and the lines that must not type-check."""
