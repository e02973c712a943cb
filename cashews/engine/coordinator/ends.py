"""The ends of transactions: their outcome, and the result of a rollback."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any

from cashews.messages import CommitOutcome


class OvertakenError(Exception):
    """A command was served while another task committed or rolled back the same transaction: it is served again."""


def summary_of(outcomes: Iterable[CommitOutcome]) -> CommitOutcome:
    """Return the outcome that all branches have; `UNKNOWN` if they differ."""
    summary = None
    for outcome in outcomes:
        if summary is not None and outcome is not summary:
            return CommitOutcome.UNKNOWN
        summary = outcome
    return summary or CommitOutcome.COMMITTED


class RollbackResult:
    """The result of a rollback: awaiting it gives the transaction's locks back before its end."""

    def __init__(self, release: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._release = release

    def __await__(self) -> Generator[Any, Any, None]:
        return self._release().__await__()
