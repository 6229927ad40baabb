"""Why an answer is not the document that was wanted."""

from __future__ import annotations


class DocumentFault(ValueError):  # noqa: N818 - it says what is wrong with a document
    """An answer is no good document. Carries no part of it.

    Args:
        cause: What is wrong with it, in our own words.
        status: Its HTTP status, where that is what is wrong.
    """

    def __init__(self, cause: str, status: int = 0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
