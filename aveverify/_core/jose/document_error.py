"""Why a response is not the document that was fetched."""

from __future__ import annotations


class DocumentError(ValueError):
    """A response holds no usable document. Carries no part of it.

    Args:
        cause: What is wrong with it, in the words of this package.
        status: Its HTTP status, where that is what is wrong; else 0.
    """

    def __init__(self, cause: str, status: int = 0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
