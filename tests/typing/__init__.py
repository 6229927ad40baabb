"""Never executed: mypy reads these files, and fails where a type is not what a user would see."""
