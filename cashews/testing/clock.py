"""A virtual clock for asyncio and trio: its time passes only as a test moves it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, cast

import anyio
from anyio.lowlevel import RunVar, checkpoint, current_token

from cashews.exceptions import WrongArgumentError

_settling: RunVar[int] = RunVar("cashews_settling", 0)
"""The number of tasks of an event loop that wait for all others to be blocked."""


@dataclass(frozen=True)
class ClockStatistics:
    """The sleepers and cancel scopes of a virtual clock, as `VirtualClock.statistics()` has counted them."""

    sleepers: int
    """The number of sleeping tasks."""

    scopes: int
    """The number of cancel scopes that are open and not yet due."""

    next_deadline: float | None
    """The earliest deadline of all these; `None` if there are none."""


class _Alarm(NamedTuple):
    """A callback at a deadline. `order` is unique; it keeps alarms of one deadline in their order of arrival."""

    deadline: float
    order: int
    ring: Callable[[], object]
    wakes: bool


class VirtualClock:
    """A `Clock` on which time passes only in `advance()`, on asyncio and on trio.

    Pass it to the code under test, then move time instead of waiting for it::

        clock = VirtualClock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 3600)
            await clock.advance(3600)

    `now()` begins at `start` and `wall()` at `epoch`. A clock may serve several event loops one after the other.
    Work in threads and on sockets takes real time; this clock neither measures it nor waits for it.

    :raises WrongArgumentError: if `start` or `epoch` is not finite
    """

    def __init__(self, start: float = 0.0, *, epoch: float = 1_700_000_000.0) -> None:
        self._now = _finite("start", start)
        self._epoch_offset = _finite("epoch", epoch) - self._now
        self._alarms: list[_Alarm] = []  # sorted; all deadlines are later than now
        self._arrivals = 0
        self._moves = 0

    def __repr__(self) -> str:
        return f"<VirtualClock now={self._now:g} waiting={len(self._alarms)}>"

    def now(self) -> float:
        """Return the current instant. A task that has just been woken finds exactly its deadline here."""
        return self._now

    def wall(self) -> float:
        """Return the seconds since 1970-01-01 UTC, according to this clock."""
        return self._now + self._epoch_offset

    async def sleep_until(self, deadline: float) -> None:
        """Sleep until `now()` has reached the deadline; a checkpoint if it already has.

        :raises WrongArgumentError: if the deadline is not a number
        """
        if deadline <= self._now:
            await checkpoint()
            return
        due = anyio.Event()
        with self._alarm(deadline, due.set, wakes=True):
            await due.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep for a number of seconds of this clock.

        :raises WrongArgumentError: if `seconds` is not a number
        """
        await self.sleep_until(self._now + seconds)

    def move_on_at(self, deadline: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that is cancelled when `now()` reaches the deadline.

        The scope's own `deadline` attribute belongs to the event loop's time and stays unused. A deadline that is not a
        number is a WrongArgumentError on entering.
        """
        return cast("AbstractContextManager[anyio.CancelScope, bool]", self._scope_until(deadline))

    @contextmanager
    def _scope_until(self, deadline: float) -> Generator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            if deadline <= self._now:
                scope.cancel()
                yield scope
            else:
                with self._alarm(deadline, scope.cancel, wakes=False):
                    yield scope

    async def advance(self, seconds: float) -> None:
        """Move time forward; on the way, wake sleepers and cancel scopes at their deadlines.

        First the tasks run until all are blocked, so that a task that was just started begins at the instant before.
        Then sleepers are woken and scopes cancelled one by one, by deadline and, at one deadline, by arrival; after
        each of them the tasks run until all are blocked. A task that sleeps again within the time span is woken again,
        at the right instant.

        :raises WrongArgumentError: if `seconds` is negative or not finite
        """
        if not (seconds >= 0 and math.isfinite(seconds)):
            raise WrongArgumentError("seconds", seconds, "a finite number, 0 or more")
        target = self._now + seconds
        await self._settle_between_moves()
        while self._alarms and self._alarms[0].deadline <= target:
            alarm = self._alarms.pop(0)
            self._move_to(alarm.deadline)
            alarm.ring()
            await self._settle_between_moves()
        self._move_to(max(self._now, target))

    async def settle(self) -> None:
        """Let all other tasks run until each of them waits for something, without moving time."""
        await _wait_all_tasks_blocked()

    def statistics(self) -> ClockStatistics:
        """Count the sleepers and cancel scopes that wait for this clock."""
        sleepers = sum(alarm.wakes for alarm in self._alarms)
        return ClockStatistics(
            sleepers=sleepers,
            scopes=len(self._alarms) - sleepers,
            next_deadline=self._alarms[0].deadline if self._alarms else None,
        )

    async def _settle_between_moves(self) -> None:
        """Settle, and again if another task has moved time meanwhile: the tasks that it has woken have to run first."""
        seen = -1
        while seen != self._moves:
            seen = self._moves
            await self.settle()

    def _move_to(self, instant: float) -> None:
        self._now = instant
        self._moves += 1

    @contextmanager
    def _alarm(self, deadline: float, ring: Callable[[], object], *, wakes: bool) -> Generator[None]:
        if math.isnan(deadline):
            raise WrongArgumentError("deadline", deadline, "a number")
        self._arrivals += 1
        alarm = _Alarm(deadline, self._arrivals, ring, wakes)
        bisect.insort(self._alarms, alarm)
        try:
            yield
        finally:
            self._forget(alarm)

    def _forget(self, alarm: _Alarm) -> None:
        place = bisect.bisect_left(self._alarms, alarm)
        if place < len(self._alarms) and self._alarms[place] is alarm:
            del self._alarms[place]


def _finite(argument: str, value: float) -> float:
    if not math.isfinite(value):
        raise WrongArgumentError(argument, value, "a finite number")
    return float(value)


async def _wait_all_tasks_blocked() -> None:
    """Return when all tasks are blocked, except for callers of this very function.

    anyio's own function is exact on trio. On asyncio it sleeps 0.1 s before each further check, and it takes the loop
    to be at rest while callbacks of a finished task are still scheduled. For asyncio we check the loop's queue of
    callbacks instead. During a checkpoint the loop polls its sockets and timers, and runs everything that was scheduled
    before us; after it, the queue contains everything else that can run. Other callers of this function are in that
    queue, too, so they are counted and subtracted. A loop without an accessible queue, such as uvloop's, gets anyio's
    function.
    """
    token = current_token()
    loop = getattr(token, "native_token", token)  # before anyio 4.11 the token was the loop itself
    ready = getattr(loop, "_ready", None)
    if ready is None:
        await anyio.wait_all_tasks_blocked()
        return
    _settling.set(_settling.get() + 1)
    try:
        await checkpoint()
        while len(ready) >= _settling.get():
            await checkpoint()
    finally:
        _settling.set(_settling.get() - 1)
