"""Loads that run: concurrent calls of one key run the function once."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

from cashews.engine.fence import Fence
from cashews.engine.host import Home, Reply
from cashews.entry import Outcome
from cashews.messages import Lease

Load: TypeAlias = Callable[[Lease], Awaitable[Outcome]]


class TakeOverType(enum.Enum):
    """The type of `TAKE_OVER`."""

    TAKE_OVER = "take over"


TAKE_OVER: Final = TakeOverType.TAKE_OVER
"""The leader was cancelled: whoever receives this leads now."""


class Flight:
    """One load of one key: who waits for it, and for which other loads it waits itself."""

    __slots__ = ("blocked_on", "lease", "waiters")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.waiters: deque[Reply[Outcome | TakeOverType]] = deque()
        self.blocked_on: list[Flight] = []

    def land(self, outcome: Outcome) -> None:
        """Give every waiter the outcome."""
        for waiter in self.waiters:
            waiter.give(outcome)
        self.waiters.clear()

    def hand_over(self) -> bool:
        """Make the first waiter the leader; says whether there was one."""
        if not self.waiters:
            return False
        self.waiters.popleft().give(TAKE_OVER)
        return True

    def waits_for(self, others: tuple[Flight, ...]) -> bool:
        """Say whether this load cannot end before one of some others does."""
        return self in others or any(flight.waits_for(others) for flight in self.blocked_on)


LOADING: ContextVar[tuple[Flight, ...]] = ContextVar("cashews_loading", default=())
"""The loads that the current context runs in, the outermost first."""


class Flights:
    """The loads of one cache by key."""

    def __init__(self, fence: Fence, home: Callable[[], Home]) -> None:
        self._fence = fence
        self._home = home
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def waiting(self) -> int:
        """How many calls wait for a load of another."""
        return sum(len(flight.waiters) for flight in self._flights.values())

    async def run(self, key: str, load: Load) -> tuple[Outcome, bool]:
        """Load, or wait for the load of this key that runs already; says whether the outcome is another call's.

        Not waited for is a load that was invalidated while it ran, and one that cannot end before the current one.
        """
        flight = self._flights.get(key)
        if flight is None or flight.lease.void:
            flight = self._flights[key] = Flight(self._fence.take(key))
            return await self._lead(key, flight, load), False
        if flight.waits_for(LOADING.get()):
            return await self.alone(key, load), False
        outcome = await self._follow(key, flight)
        if outcome is TAKE_OVER:
            flight.lease = self._fence.take(key)
            return await self._lead(key, flight, load), False
        return outcome, True

    async def alone(self, key: str, load: Load) -> Outcome:
        """Load for oneself."""
        lease = self._fence.take(key)
        try:
            return await load(lease)
        finally:
            self._fence.drop(lease)

    async def _lead(self, key: str, flight: Flight, load: Load) -> Outcome:
        lease = flight.lease
        outer = LOADING.set((*LOADING.get(), flight))
        try:
            outcome = await load(lease)
        except BaseException:
            self._abandon(key, flight)
            raise
        else:
            self._remove(key, flight)
            flight.land(outcome)
            return outcome
        finally:
            LOADING.reset(outer)
            self._fence.drop(lease)

    async def _follow(self, key: str, flight: Flight) -> Outcome | TakeOverType:
        reply: Reply[Outcome | TakeOverType] = self._home().reply()
        flight.waiters.append(reply)
        try:
            with _blocking(LOADING.get(), flight):
                return await reply
        except BaseException:
            if not reply.given:
                flight.waiters.remove(reply)
            elif reply.answer is TAKE_OVER:  # we were chosen, and cancelled before we ran
                self._abandon(key, flight)
            raise

    def _abandon(self, key: str, flight: Flight) -> None:
        """Give up leading: a waiter takes over, or the load is forgotten."""
        if not flight.hand_over():
            self._remove(key, flight)

    def _remove(self, key: str, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


@contextmanager
def _blocking(loads: tuple[Flight, ...], flight: Flight) -> Generator[None]:
    """Note for the time of a wait which load it is for."""
    for load in loads:
        load.blocked_on.append(flight)
    try:
        yield
    finally:
        for load in loads:
            load.blocked_on.remove(flight)
