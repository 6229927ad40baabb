"""The code of `docs/workers.md` about workers and commands; `test_workers_recipe.py` runs it."""

from __future__ import annotations

# region block
from aveverify import Identity, current_identity


def author() -> str:
    """Any code behind a view, which has no request object."""
    identity = current_identity.get()
    return identity.subject if identity else "system"


def import_notes(identity: Identity) -> str:
    with current_identity.bind(identity):
        return author()


# endregion


# region command
@current_identity.bind(None)
def nightly() -> str:
    return author()


# endregion
