"""Single flight: concurrent calls of one key share one load, so that the function runs once."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeAlias, cast

from cashews.actors.loop import Loop, ReplySlot
from cashews.engine.context import AMBIENT
from cashews.engine.permits import Permits
from cashews.messages import KnownTags, LoadPermit
from cashews.strategies.entry import Outcome, Raised

Load: TypeAlias = Callable[[LoadPermit], Awaitable[Outcome]]
"""Runs a function and stores its outcome under a permit."""


class TakeOverType(enum.Enum):
    """The type of `TAKE_OVER`."""

    TAKE_OVER = "take over"


TAKE_OVER: Final = TakeOverType.TAKE_OVER
"""The leader was cancelled: the waiter that receives this answer leads now."""


class Flight(LoadPermit):
    """A shared load of one key: its permit, the calls that wait for it, and the loads that it waits for itself."""

    __slots__ = ("blocked_on", "waiters")

    def __init__(self, key: str, origin: object | None, tagging: KnownTags | None) -> None:
        self.key = key
        self.origin = origin
        self.tagging = tagging
        self.since = None
        self.void = False
        self.waiters: deque[ReplySlot[Outcome | TakeOverType]] = deque()
        self.blocked_on: list[Flight] = []

    def tell(self, answer: Outcome | TakeOverType) -> None:
        """Give every waiter an answer."""
        for waiter in self.waiters:
            waiter.give(answer)
        self.waiters.clear()

    def is_blocked_by(self, others: tuple[Flight, ...]) -> bool:
        """Say whether this load cannot end before one of some others does."""
        return self in others or any(flight.is_blocked_by(others) for flight in self.blocked_on)


LOADING: ContextVar[tuple[Flight, ...]] = ContextVar("cashews_loading", default=())
"""The loads that the current context runs in, the outermost first."""


class Flights:
    """The shared loads of one cache."""

    def __init__(self, permits: Permits, loop: Callable[[], Loop]) -> None:
        self._permits = permits
        self._shared = cast("dict[str, Flight]", permits.shared)
        self._loop = loop

    @property
    def waiting(self) -> int:
        """The number of calls that wait for the load of another call."""
        return sum(len(flight.waiters) for flight in self._shared.values())

    async def load(
        self, key: str, load: Load, tagging: KnownTags | None = None, *, join: bool = True
    ) -> tuple[Outcome, bool]:
        """Load, or wait for the load of this key that runs already; says whether the outcome is another call's.

        A call does not wait for a load whose key was invalidated while it ran, nor for one that cannot end before the
        call's own load does (recursion). In a transaction nothing is shared: its loads may be rolled back.

        :param join: load in any case, and let no other call wait for the load, if `False`
        """
        here = AMBIENT.get()
        if not join or (here is not None and here.transactions):
            return await self._load_alone(key, load, tagging), False
        while (flight := self._shared.get(key)) is not None:
            loading = LOADING.get()
            if loading and flight.is_blocked_by(loading):
                return await self._load_alone(key, load, tagging), False
            answer = await self._follow(flight, loading)
            if answer is not TAKE_OVER:
                return answer, True
            if self._shared.get(key) is flight:
                flight.tagging = tagging
                break
            flight.tell(TAKE_OVER)  # invalidated meanwhile: its waiters find the load that came after it, or lead one
        else:
            flight = self._shared[key] = Flight(key, None if here is None else here.invalidating, tagging)
        outer = LOADING.set((*LOADING.get(), flight))
        try:
            outcome = await load(flight)
        except Exception as error:  # of a condition or a store: the function has run, and does not run again
            self._remove(flight)
            flight.tell(Raised(error))
            raise
        except BaseException:
            self._abandon(flight)
            raise
        finally:
            LOADING.reset(outer)
        self._remove(flight)
        if flight.waiters:
            flight.tell(outcome)
        return outcome, False

    async def _load_alone(self, key: str, load: Load, tagging: KnownTags | None) -> Outcome:
        permit = self._permits.take(key, tagging)
        try:
            return await load(permit)
        finally:
            self._permits.drop(permit)

    async def _follow(self, flight: Flight, loading: tuple[Flight, ...]) -> Outcome | TakeOverType:
        reply: ReplySlot[Outcome | TakeOverType] = self._loop().reply_slot()
        flight.waiters.append(reply)
        for load in loading:
            load.blocked_on.append(flight)
        try:
            return await reply
        except BaseException:
            if not reply.given:
                flight.waiters.remove(reply)
            elif reply.answer is TAKE_OVER:  # chosen to lead, and cancelled before the load began
                self._abandon(flight)
            raise
        finally:
            for load in loading:
                load.blocked_on.remove(flight)

    def _abandon(self, flight: Flight) -> None:
        """Give up leading: the first waiter takes over, or the load is forgotten."""
        if flight.waiters:
            flight.waiters.popleft().give(TAKE_OVER)
        else:
            self._remove(flight)

    def _remove(self, flight: Flight) -> None:
        if self._shared.get(flight.key) is flight:
            del self._shared[flight.key]
