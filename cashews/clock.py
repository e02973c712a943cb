"""The clock: the package's only source of time.

`now()` is monotonic and for deadlines within a process; `wall()` is for deadlines that processes share through a store.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import Protocol

import anyio


class Clock(Protocol):
    """The source of time of a cache. All instants and durations are in seconds."""

    def now(self) -> float:
        """Return the current instant of a clock that never goes backwards."""
        ...

    def wall(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        ...

    def sleep_until(self, deadline: float) -> Awaitable[None]:
        """Sleep until `now()` has reached the deadline; always a checkpoint."""
        ...

    def move_on_at(self, deadline: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that is cancelled when `now()` reaches the deadline."""
        ...


class SystemClock:
    """The clock of the operating system."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep_until(self, deadline: float) -> Awaitable[None]:
        return anyio.sleep(max(0.0, deadline - time.monotonic()))

    def move_on_at(self, deadline: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        return anyio.move_on_after(deadline - time.monotonic())
