"""Single flight: concurrent calls of one key share one load, so that the function runs once."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from threading import get_ident
from typing import Final, Protocol, TypeAlias

from cashews.actors.loop import Loop, ReplySlot
from cashews.engine.context import AMBIENT
from cashews.engine.load_locks import LOADING, is_blocked_by, loading_here
from cashews.engine.permits import Permits
from cashews.exceptions import EventLoopError
from cashews.messages import KnownTags, LoadPermit
from cashews.strategies.entry import Outcome, Raised

Load: TypeAlias = Callable[[LoadPermit], Awaitable[Outcome]]
"""Runs a function and stores its outcome under a permit."""
Place: TypeAlias = "tuple[int, str]"
"""The thread and the key of a load: its waiters are in the same event loop."""


class TakeOverType(enum.Enum):
    """The type of `TAKE_OVER`."""

    TAKE_OVER = "take over"


TAKE_OVER: Final = TakeOverType.TAKE_OVER
"""The leader was cancelled: the waiter that receives this answer leads now."""


class AloneType(enum.Enum):
    """The type of `ALONE`."""

    ALONE = "alone"


ALONE: Final = AloneType.ALONE
"""The load has brought nothing that others may have: each of its waiters loads for itself, beside the others."""

Answer: TypeAlias = "Outcome | TakeOverType | AloneType"


class HandOver(BaseException):
    """Raised by a load that ends without an outcome: one of the calls that wait for it loads in its place.

    It is no `Exception`, so that code which handles failures lets it pass.
    """


class Waiter(Protocol):
    """The place in which a call waits for the outcome of a load, or for its turn to lead it."""

    __slots__ = ()

    @property
    def given(self) -> bool:
        """Whether the answer is there."""
        ...

    @property
    def answer(self) -> Answer:
        """The answer, once it is there."""
        ...

    def give(self, value: Answer) -> None:
        """Put the answer in its place."""
        ...


class Flight(LoadPermit):
    """A shared load of one key: its permit, and the calls that wait for it."""

    ended = False

    def __init__(self, place: Place, loop: Loop, origin: object | None, tagging: KnownTags | None) -> None:
        LoadPermit.__init__(self, place[1], origin, tagging)
        self.place = place
        self.loop = loop
        self.waiters: dict[Waiter, None] = {}
        """The calls that wait, in their order; of ten thousand that are cancelled each leaves in one step."""

    def tell(self, answer: Answer) -> None:
        """Give every waiter an answer."""
        for waiter in self.waiters:
            waiter.give(answer)
        self.waiters.clear()


class Flights:
    """The shared loads of one function: calls of other functions with the same key have loads of their own."""

    __slots__ = ("_by_place", "_loop", "_permits")

    def __init__(self, permits: Permits, loop: Callable[[], Loop]) -> None:
        self._permits = permits
        self._loop = loop
        self._by_place: dict[Place, Flight] = {}

    def has(self, key: str) -> bool:
        """Say whether a load of this key runs in this event loop that calls may join."""
        return self._joinable((get_ident(), key)) is not None

    async def load(
        self, key: str, load: Load, tagging: KnownTags | None = None, *, join: bool = True
    ) -> tuple[Outcome, bool]:
        """Load, or wait for the load of this key that runs already; says whether the outcome is another call's.

        A load that raises `HandOver` leaves its waiters to one of them, as a load that is cancelled does.

        A call does not wait for a load whose key was written or invalidated while it ran, nor for one that cannot end
        before the call's own load does (recursion). In a transaction nothing is shared: its loads may be rolled back.

        :param join: load in any case, and let no other call wait for the load, if `False`
        """
        here, place = AMBIENT.get(), (get_ident(), key)
        if not join or (here is not None and here.transactions):
            return await self._load_alone(key, load, tagging), False
        flight = self._begin(place, tagging) if place not in self._by_place else await self._join(place, tagging)
        if not isinstance(flight, Flight):
            if flight is ALONE:
                return await self._load_alone(key, load, tagging), False
            assert flight is not TAKE_OVER  # then it is the load to lead
            return flight, True
        around = LOADING.get()
        token = LOADING.set((*around, flight))  # as `loading_here`, and a block less
        try:
            if around:
                around[-1].blocked_on.append(flight)
            outcome = await load(flight)
        except Exception as error:  # of a store that does not suppress it: the function has run, and does not run again
            self._remove(flight)
            flight.tell(Raised(error))
            raise
        except BaseException:
            self.abandon(flight)
            raise
        finally:
            LOADING.reset(token)
            if around:
                around[-1].blocked_on.remove(flight)
        self._remove(flight)
        if flight.waiters:
            flight.tell(outcome)
        return outcome, False

    def answer(self, permit: LoadPermit, outcome: Outcome | AloneType) -> None:
        """Answer the calls that wait for a load before it ends; later calls do not join it any more.

        Nobody waits for a load that is not shared. The permit counts until the load has ended.
        """
        if isinstance(permit, Flight):
            self._forget(permit)
            permit.tell(outcome)

    def _begin(self, place: Place, tagging: KnownTags | None) -> Flight | AloneType:
        """Return a new load of a key, which calls may join; there can be none where no event loop runs."""
        here = AMBIENT.get()
        try:
            loop = self._loop()
        except EventLoopError:
            return ALONE
        flight = Flight(place, loop, None if here is None else here.invalidating, tagging)
        self._by_place[place] = flight
        self._permits.add(flight)
        return flight

    # --- loads of several keys at once, one flight each

    def find(self, key: str) -> Flight | None:
        """Return the load of a key that runs in this event loop, if calls may join it."""
        return self._joinable((get_ident(), key)) if self._by_place else None

    def begin_all(self, taggings: Mapping[str, KnownTags | None]) -> Sequence[LoadPermit]:
        """Return new loads of some keys; each ends with `end_all` or `abandon`.

        Calls may join them, except where no event loop runs.

        :param taggings: the keys, each with the tags that its value will carry
        """
        here, thread = AMBIENT.get(), get_ident()
        try:
            loop = self._loop()
        except EventLoopError:
            return [self._permits.take(key, tagging) for key, tagging in taggings.items()]
        origin = None if here is None else here.invalidating
        flights = [Flight((thread, key), loop, origin, tagging) for key, tagging in taggings.items()]
        self._by_place.update({flight.place: flight for flight in flights})
        self._permits.add_all(flights)
        return flights

    def take_over(self, flight: Flight, tagging: KnownTags | None) -> bool:
        """Lead a load whose leader has given it to the caller; says whether that still makes sense.

        It does not if the load was invalidated meanwhile: its waiters find the load that came after it, or lead one.
        """
        if flight.joinable and self._by_place.get(flight.place) is flight:
            flight.tagging = tagging
            return True
        flight.tell(TAKE_OVER)
        self._remove(flight)
        return False

    def end_all(self, permits: Iterable[LoadPermit]) -> None:
        """End loads, shared or not; the outcome of each is to be told to the calls that wait for it."""
        running: list[LoadPermit] = []
        for permit in permits:
            if not isinstance(permit, Flight):
                running.append(permit)
            else:
                if not permit.ended:
                    running.append(permit)
                permit.ended = True
                self._forget(permit)
        self._permits.drop_all(running)

    def leave(self, flight: Flight, waiter: Waiter) -> None:
        """Wait no more for a load; if the caller was chosen to lead it, another one is."""
        if not waiter.given:
            del flight.waiters[waiter]
        elif waiter.answer is TAKE_OVER:
            self.abandon(flight)

    def _joinable(self, place: Place) -> Flight | None:
        flight = self._by_place.get(place)
        if flight is None or (flight.joinable and flight.loop.here):
            return flight
        if not flight.loop.here:  # closed by hand, its tasks still pending
            self._remove(flight)
        return None

    async def _load_alone(self, key: str, load: Load, tagging: KnownTags | None) -> Outcome:
        permit = self._permits.take(key, tagging)
        try:
            with loading_here(permit):
                return await load(permit)
        finally:
            self._permits.drop(permit)

    async def _join(self, place: Place, tagging: KnownTags | None) -> Flight | Answer:
        """Wait for the load that runs, and return its answer, or a load to lead.

        A load that waits for this call is not waited for: the answer is `ALONE` then.
        """
        around = LOADING.get()
        while (flight := self._joinable(place)) is not None:
            if around and is_blocked_by(flight, around):
                return ALONE
            reply: ReplySlot[Answer] = self._loop().reply_slot()
            flight.waiters[reply] = None
            for load in around[-1:]:
                load.blocked_on.append(flight)
            try:
                answer = await reply
            except BaseException:
                self.leave(flight, reply)
                raise
            finally:
                for load in around[-1:]:
                    load.blocked_on.remove(flight)
            if answer is not TAKE_OVER:
                return answer
            if self.take_over(flight, tagging):
                return flight
        return self._begin(place, tagging)

    def abandon(self, flight: Flight) -> None:
        """Give up leading: the first waiter takes over, or the load is forgotten."""
        if flight.waiters:
            first = next(iter(flight.waiters))
            del flight.waiters[first]
            first.give(TAKE_OVER)
        else:
            self._remove(flight)

    def _remove(self, flight: Flight) -> None:
        """End a load that runs; nothing happens if it has ended already."""
        if not flight.ended:
            flight.ended = True
            self._permits.drop(flight)
        self._forget(flight)

    def _forget(self, flight: Flight) -> None:
        """Let no call join a load any more."""
        if self._by_place.get(flight.place) is flight:
            del self._by_place[flight.place]


def waiting_for(permits: Iterable[LoadPermit]) -> int:
    """Return the number of calls that wait for the loads of other calls."""
    return sum(len(permit.waiters) for permit in permits if isinstance(permit, Flight))
