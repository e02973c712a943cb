"""The one place where time comes from.

`now()` is monotonic and serves deadlines inside a process; `wall()` serves deadlines that are shared through a store.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import Protocol

import anyio


class Clock(Protocol):
    """Where a cache takes its time from; all instants and durations are seconds."""

    def now(self) -> float:
        """Return the current instant of a clock that never goes back."""
        ...

    def wall(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        ...

    def sleep_until(self, deadline: float) -> Awaitable[None]:
        """Sleep until `now()` has reached the deadline; always a checkpoint."""
        ...

    def move_on_at(self, deadline: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that cancels itself when `now()` reaches the deadline."""
        ...


class SystemClock:
    """The clock of the operating system."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep_until(self, deadline: float) -> Awaitable[None]:
        return anyio.sleep(max(0.0, deadline - time.monotonic()))

    def move_on_at(self, deadline: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        return anyio.move_on_after(deadline - time.monotonic())
