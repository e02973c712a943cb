"""Waiting for another process that has locked the file, in slices, so that a closing cache can end the wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from cashews.clock import SystemClock

T = TypeVar("T")
SLICE: Final = 0.1
"""The seconds that SQLite itself waits for a lock; between two such waits we check whether to give up."""
PAUSE: Final = 0.005
"""The seconds between two attempts. SQLite reports some conflicts at once, without waiting."""


class BusyError(sqlite3.OperationalError):
    """Another process kept the file locked for longer than `timeout`."""


class Patience:
    """The time that one thread gives other processes: a number of seconds for each attempt, until it is ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ended = False

    def end(self) -> None:
        """Give up waiting, now and from now on; called from the event loop when its scope is cancelled."""
        self._ended = True

    def retry(self, attempt: Callable[[], T]) -> T:
        """Repeat an attempt until no other process has the file locked, and return its result.

        :raises BusyError: if that takes too long, or the patience was ended
        """
        deadline = SystemClock.now() + self._seconds
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            if self._ended or SystemClock.now() >= deadline:
                message = f"another process has been writing for {self._seconds:g} s"
                raise BusyError(message)
            Event().wait(PAUSE)
