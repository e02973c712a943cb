"""How a thread waits for other processes: slice by slice, so that it can be told to wait no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Event
from typing import Final, Protocol, TypeVar

from cashews.clock import SystemClock

T = TypeVar("T")
SLICE: Final = 0.1
"""How many seconds SQLite waits at once for another process; in between we look whether we still want to wait."""
PAUSE: Final = 0.005
"""How many seconds pass before we try again: not always does SQLite wait."""


class BusyError(sqlite3.OperationalError):
    """Another process has been writing for longer than we wait."""


class Waiting(Protocol):
    """Who may have to wait for other processes."""

    hurried: bool
    """Whether nobody is waited for any more."""


def patiently(attempt: Callable[[], T], patience: float, waiting: Waiting) -> T:
    """Try something until no other process is in the way, for so many seconds.

    :raises BusyError: if that would take longer, or if we are hurried
    """
    end = SystemClock.now() + patience
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
        if waiting.hurried or SystemClock.now() >= end:
            message = f"another process has been writing for {patience:g} s"
            raise BusyError(message)
        Event().wait(PAUSE)
