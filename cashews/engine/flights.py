"""Single flight: concurrent calls of one key share one load, so that the function runs once."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Token
from functools import partial
from itertools import count
from threading import get_ident
from typing import Final, Protocol, TypeAlias, TypeVar

from cashews.actors.loop import Loop
from cashews.actors.slots import BareSlot
from cashews.engine.context import AMBIENT
from cashews.engine.load_locks import LOADING, is_blocked_by, loading_here
from cashews.engine.permits import Permits
from cashews.exceptions import EventLoopError
from cashews.messages import KnownTags, LoadPermit
from cashews.messages.loads import NOTHING, Waits, block
from cashews.strategies.entry import Outcome, Raised

S = TypeVar("S")

Load: TypeAlias = Callable[[S, LoadPermit], Awaitable[Outcome]]
"""Runs a function for a call, say, and stores its outcome under a permit."""


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

MOST_TOLD: Final = 256
"""How many waiters have their answer in one turn of the loop: all of them run in the next one."""


class HandOver(BaseException):
    """Raised by a load that ends without an outcome: one of the calls that wait for it loads in its place.

    It is no `Exception`, so that code which handles failures lets it pass.
    """


class Waiter(Protocol):
    """The place in which a call waits for the outcome of a load, or for its turn to lead it."""

    __slots__ = ()

    def done(self) -> bool:
        """Say whether the place takes no answer any more: it has one, or the call was cancelled."""
        ...

    def set_result(self, value: Answer, /) -> None:
        """Put the answer in its place, which is not done."""
        ...


NOBODY: Final[dict[Waiter, None]] = {}


class Flight(LoadPermit):
    """A shared load of one key: its permit, and the calls that wait for it, in the same event loop."""

    __slots__ = ("around", "began", "ended", "heir", "loop", "mark", "token", "waiters")
    around: tuple[Waits, ...]
    """The loads that the leader runs in."""
    token: Token[tuple[Waits, ...]] | None
    """Takes the load out of its leader's context."""
    began: float
    """The instant at which the function was called, if the wrapper of the function leads the load."""

    def __init__(
        self, key: str, mark: object, loop: Loop, origin: object | None = None, tagging: KnownTags | None = None
    ) -> None:
        self.key, self.origin, self.tagging, self.blocked_on = key, origin, tagging, NOTHING
        self.since = self.unfollow = None
        self.joinable = True
        self.void = self.over = self.followed = self.ended = False  # as a permit, and a call less
        self.mark = mark
        """Tells the loads of its function from those of others; no `Flights`, since a context may outlive the load."""
        self.loop = loop
        self.waiters = NOBODY
        """The calls that wait, in their order; of ten thousand that are cancelled each leaves in one step."""
        self.heir: Waiter | None = None
        """The waiter that was chosen last to take over."""

    def begin_here(self) -> None:
        """Have the calling context lead the load; the load around it waits for that."""
        self.around = around = LOADING.get()
        if around:
            block(around[-1], self)
        self.token = LOADING.set((*around, self) if around else (self,))

    def end_here(self) -> None:
        """Have the calling context lead the load no more."""
        token, self.token = self.token, None
        if self.around:
            self.around[-1].blocked_on.remove(self)
            self.around = ()
        if token is not None:
            try:  # noqa: SIM105  as `forget_load`, and a call less
                LOADING.reset(token)
            except ValueError:
                pass

    def admit(self, waiter: Waiter) -> None:
        """Have a call wait."""
        if not self.waiters:
            self.waiters = {}
        self.waiters[waiter] = None

    def admitted(self) -> BareSlot[Answer]:
        """Have a call wait, and return the place of its answer."""
        slot: BareSlot[Answer] = self.loop.bare_slot()
        self.admit(slot)
        return slot

    def tell(self, answer: Answer) -> None:
        """Give every waiter an answer."""
        waiters, self.waiters = [*self.waiters], NOBODY
        self._tell_some(answer, waiters, 0)

    def choose(self, waiter: Waiter) -> None:
        """Have a waiter take over."""
        self.heir = waiter
        self._tell_some(TAKE_OVER, (waiter,), 0)

    def _tell_some(self, answer: Answer, waiters: Sequence[Waiter], start: int) -> None:
        """Give an answer to the next waiters, and have their loop go on with the others when these have run."""
        if not self.loop.here:  # the collector ends a load in any thread
            self.loop.post(partial(self._tell_some, answer, waiters, start))
            return
        end = start + MOST_TOLD
        for waiter in waiters[start:end]:
            if not waiter.done():
                waiter.set_result(answer)
        if end < len(waiters):
            self.loop.post(partial(self._tell_some, answer, waiters, end))


NO_FLIGHT: Final = (None, None)
_ends = count(1)


class Flights:
    """The shared loads of one function: calls of other functions with the same key have loads of their own.

    They are found among the permits of their key.
    """

    __slots__ = ("_loop", "_permits", "_running", "latest_end", "mark")

    def __init__(self, permits: Permits, loop: Callable[[], Loop]) -> None:
        self._permits = permits
        self._running = permits.running
        self.mark = object()
        self.latest_end = 0
        """Another number whenever a load has ended, but for those that their wrapper has led to the end."""
        self._loop = loop

    def has(self, key: str) -> bool:
        """Say whether a load of this key runs in this event loop that calls may join."""
        return self.find(key) is not None

    def load(
        self, key: str, load: Load[S], subject: S, tagging: KnownTags | None = None, *, join: bool = True
    ) -> Awaitable[tuple[Outcome, bool]]:
        """Load, or wait for the load of this key that runs already; says whether the outcome is another call's.

        A load that raises `HandOver` leaves its waiters to one of them, as a load that is cancelled does.

        A call does not wait for a load whose key was written or invalidated while it ran, nor for one that cannot end
        before the call's own load does (recursion). In a transaction nothing is shared: its loads may be rolled back.

        :param subject: the first argument of `load`
        :param join: load in any case, and let no other call wait for the load, if `False`
        """
        here = AMBIENT.get()
        if not join or (here is not None and here.transactions):
            return self._load_alone(key, load, subject, tagging)
        if self._permits.has(key):
            return self._join(key, load, subject, tagging)
        return self._lead(key, load, subject, tagging)

    async def _lead(
        self, key: str, load: Load[S], subject: S, tagging: KnownTags | None, flight: Flight | None = None
    ) -> tuple[Outcome, bool]:
        """Lead a load: a new one, unless it is given."""
        if flight is None:
            here = AMBIENT.get()
            try:
                flight = self.begin(key, self._loop(), None if here is None else here.invalidating, tagging)
            except EventLoopError:
                return await self._load_alone(key, load, subject, tagging)
        flight.begin_here()
        try:
            outcome = await load(subject, flight)
        except Exception as error:  # of a store that does not suppress it: the function has run, and does not run again
            self.land(flight, Raised(error))
            raise
        except BaseException:
            self.hand_over(flight)
            raise
        self.land(flight, outcome)
        return outcome, False

    def begin(self, key: str, loop: Loop, origin: object | None = None, tagging: KnownTags | None = None) -> Flight:
        """Return a new load of a key, which calls in an event loop may join."""
        flight = Flight(key, self.mark, loop, origin, tagging)
        if self._running.setdefault(key, flight) is not flight:  # as `Permits.add`, and a call less
            self._permits.add_beside(flight)
        return flight

    def lead(self, flight: Flight, load: Load[S], subject: S) -> Awaitable[tuple[Outcome, bool]]:
        """Lead a load that has begun."""
        return self._lead(flight.key, load, subject, flight.tagging, flight)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """End a load that its leader is in, and give its outcome to the calls that wait for it."""
        flight.end_here()
        self.remove(flight)
        if flight.waiters:
            flight.tell(outcome)

    def hand_over(self, flight: Flight) -> None:
        """Leave a load that its leader is in to one of the calls that wait for it."""
        flight.end_here()
        self.abandon(flight)

    def answer(self, permit: LoadPermit, outcome: Outcome | AloneType) -> None:
        """Answer the calls that wait for a load before it ends; later calls do not join it any more.

        Nobody waits for a load that is not shared. The permit counts until the load has ended.
        """
        if isinstance(permit, Flight):
            permit.joinable = False
            permit.tell(outcome)

    # --- loads of several keys at once, one flight each

    def find(self, key: str) -> Flight | None:
        """Return the load of a key that runs in this event loop, if calls may join it."""
        for permit in self._permits.of(key):
            if isinstance(permit, Flight) and permit.mark is self.mark and permit.joinable:
                if permit.loop.here:
                    return permit
                if permit.loop.thread == get_ident():  # stopped by hand, its tasks still pending
                    permit.refuse()  # nobody voids it any more
                    self.remove(permit)
        return None

    def begin_all(self, taggings: Mapping[str, KnownTags | None]) -> Sequence[LoadPermit]:
        """Return new loads of some keys; each ends with `end_all` or `abandon`.

        Calls may join them, except where no event loop runs.

        :param taggings: the keys, each with the tags that its value will carry
        """
        here = AMBIENT.get()
        try:
            loop = self._loop()
        except EventLoopError:
            return [self._permits.take(key, tagging) for key, tagging in taggings.items()]
        origin = None if here is None else here.invalidating
        flights = [Flight(key, self.mark, loop, origin, tagging) for key, tagging in taggings.items()]
        self._permits.add_all(flights)
        return flights

    def take_over(self, flight: Flight, tagging: KnownTags | None) -> bool:
        """Lead a load whose leader has given it to the caller; says whether that still makes sense.

        It does not if the load was invalidated meanwhile: its waiters find the load that came after it, or lead one.
        """
        if flight.joinable:
            flight.tagging = tagging
            return True
        flight.tell(TAKE_OVER)
        self.remove(flight)
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
                permit.ended, permit.joinable = True, False
        self._permits.drop_all(running)

    def leave(self, flight: Flight, waiter: Waiter) -> None:
        """Wait no more for a load; if the caller was chosen to lead it, another one is."""
        if flight.heir is waiter:
            self.abandon(flight)
        else:
            flight.waiters.pop(waiter, None)

    async def _load_alone(self, key: str, load: Load[S], subject: S, tagging: KnownTags | None) -> tuple[Outcome, bool]:
        permit = self._permits.take(key, tagging)
        try:
            with loading_here(permit):
                return await load(subject, permit), False
        finally:
            self._permits.drop(permit)

    def join(self, key: str) -> tuple[Flight, BareSlot[Answer]] | tuple[None, None]:
        """Wait for the load of a key that runs, if there is one that the calling context may wait for.

        The caller awaits the slot; if that fails, it calls `leave`, and if the answer is no outcome, `go_on`.
        """
        flight = None if LOADING.get() else self.find(key)
        return NO_FLIGHT if flight is None else (flight, flight.admitted())

    def go_on(
        self, flight: Flight, answer: Answer, load: Load[S], subject: S, tagging: KnownTags | None
    ) -> Awaitable[tuple[Outcome, bool]]:
        """Load in the place of a leader that was cancelled, or alone, as the answer to a joined call says."""
        if answer is ALONE:
            return self._load_alone(flight.key, load, subject, tagging)
        if self.take_over(flight, tagging):
            return self._lead(flight.key, load, subject, tagging, flight)
        return self._join(flight.key, load, subject, tagging)

    async def _join(self, key: str, load: Load[S], subject: S, tagging: KnownTags | None) -> tuple[Outcome, bool]:
        """Wait for the load that runs, if there is one that does not wait for this call; or load."""
        around = LOADING.get()
        while (flight := self.find(key)) is not None:
            if around and is_blocked_by(flight, around):
                return await self._load_alone(key, load, subject, tagging)
            reply = flight.admitted()
            for each in around[-1:]:
                block(each, flight)
            try:
                answer = await reply
            except BaseException:
                self.leave(flight, reply)
                raise
            finally:
                for each in around[-1:]:
                    each.blocked_on.remove(flight)
            if answer is ALONE:
                return await self._load_alone(key, load, subject, tagging)
            if answer is not TAKE_OVER:
                return answer, True
            if self.take_over(flight, tagging):
                break
        return await self._lead(key, load, subject, tagging, flight)

    def abandon(self, flight: Flight) -> None:
        """Give up leading: the first waiter takes over, or the load is forgotten."""
        waiters = flight.waiters
        while waiters:
            first = next(iter(waiters))
            del waiters[first]
            if not first.done():
                flight.choose(first)
                return
        flight.heir = None
        self.remove(flight)

    def remove(self, flight: Flight) -> None:
        """End a load that runs; nothing happens if it has ended already.

        It takes no more frames than the beginning of a load: near the limit of recursion there are no more.
        """
        if not flight.ended:
            flight.ended, flight.joinable = True, False
            self.latest_end = next(_ends)
            running, key = self._running, flight.key
            if running.get(key) is flight and key not in self._permits.beside and not flight.followed:
                del running[key]  # as `Permits.drop`
                flight.over = True
            else:
                self._permits.drop(flight)


def waiting_for(permits: Iterable[LoadPermit]) -> int:
    """Return the number of calls that wait for the loads of other calls."""
    return sum(len(permit.waiters) for permit in permits if isinstance(permit, Flight))
