"""Locks that are held here: their leases are renewed, and a body that has lost one is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count

import anyio

from cashews._log import logger
from cashews.backends.interface import Asks
from cashews.clock import Clock
from cashews.exceptions import CacheError
from cashews.messages import RenewLock

PARTS = 3
"""A lease is renewed when one of so many parts of it has passed."""
ATTEMPTS = 10
"""A store that does not answer is asked again after one of so many parts."""


@dataclass(slots=True, eq=False)
class HeldLock:
    """A lock that was taken: the body that it was taken for may run until `until`.

    `fence` is a number that grows from one holder of a key to the next, also across processes: a resource that refuses
    numbers smaller than one it has seen is safe from holders that have lost the lock and do not know yet. It is 0 when
    the body runs without the lock, because `Command.SET_LOCK` is switched off.

    Source: Kleppmann, "How to do distributed locking", 2016.
    """

    key: str
    token: str
    fence: int
    lease: float | None
    """For how many seconds it was taken; `None` if the store keeps it until it is given back."""
    renewed: bool = False
    """Whether the lease is renewed for as long as the body runs."""
    until: float = 0.0
    """The instant up to which it is ours for certain."""
    lost: bool = False


@dataclass(slots=True, eq=False)
class Renewal:
    """A lease that is renewed, and whom to tell when that fails."""

    held: HeldLock
    store: Asks
    tell: Callable[[], object]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    dropped: bool = False

    def lose(self) -> None:
        """Say that the lock is another's now."""
        self.held.lost = True
        self.tell()


class Keeper:
    """Renews leases until their locks are given back or lost: in a task each, once the first renewal is due.

    Most locks are given back before that: they cost an entry in a heap.
    """

    def __init__(self, clock: Clock, ensure_scope: Callable[[], object]) -> None:
        self._clock = clock
        self._ensure_scope = ensure_scope
        self._kept: dict[HeldLock, Renewal] = {}
        self._due: list[tuple[float, int, Renewal]] = []
        self._numbers = count()
        self._earlier: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, held: HeldLock, store: Asks, tell: Callable[[], object]) -> None:
        """Renew a lease from now on; calls `tell` once the lock is lost."""
        self._kept[held] = kept = Renewal(held, store, tell)
        entry = (_first_renewal(held), next(self._numbers), kept)
        heappush(self._due, entry)
        self._ensure_scope()
        if self._earlier is not None and self._due[0] is entry:
            self._earlier.set()

    def drop(self, held: HeldLock) -> None:
        """Renew a lease no more."""
        kept = self._kept.pop(held, None)
        if kept is not None:
            kept.dropped = True
            kept.scope.cancel()

    async def run(self) -> None:
        """Renew what is kept, until the scope ends."""
        again = [
            Renewal(kept.held, kept.store, kept.tell) for kept in self._kept.values()
        ]  # of a scope that has failed
        self._kept = {kept.held: kept for kept in again}
        self._due = [(_first_renewal(kept.held), next(self._numbers), kept) for kept in again]
        heapify(self._due)
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._earlier = anyio.Event()
                    for kept in self._now_due():
                        tasks.start_soon(self._renew, kept)
                    await self._until_due(self._earlier)
        finally:
            self._earlier = None

    async def _until_due(self, earlier: anyio.Event) -> None:
        if not self._due:
            await earlier.wait()
            return
        with self._clock.move_on_at(self._due[0][0]):
            await earlier.wait()

    def _now_due(self) -> Iterator[Renewal]:
        now = self._clock.now()
        while self._due and (self._due[0][0] <= now or self._due[0][2].dropped):
            kept = heappop(self._due)[2]
            if not kept.dropped:
                yield kept

    async def _renew(self, kept: Renewal) -> None:
        held, lease = kept.held, kept.held.lease or 0.0
        rest = lease - lease / PARTS
        due = held.until - rest
        with kept.scope:
            while True:
                await self._clock.sleep_until(min(due, held.until))
                renewed = await self._renewed(kept, lease)
                if renewed is False or held.until <= self._clock.now():
                    break
                due = held.until - rest if renewed else self._clock.now() + lease / ATTEMPTS
            if kept.dropped:  # in the same turn of the loop
                return
            logger.warning("the lock %r was lost while it was held", held.key)
            kept.lose()

    async def _renewed(self, kept: Renewal, lease: float) -> bool | None:
        """Ask for another lease; says whether the lock is still ours, `None` if nobody knows."""
        held, asked = kept.held, self._clock.now()
        with self._clock.move_on_at(held.until):
            try:
                renewed = await kept.store.ask(RenewLock(held.key, held.token, lease))
            except CacheError:  # an outage that is not suppressed; the lease lasts a while yet
                return None
            except Exception:  # noqa: BLE001  of a middleware: it is no failure of the engine
                logger.exception("the lock %r could not be renewed", held.key)
                return None
            if renewed:
                held.until = asked + lease
            return renewed
        return None


def _first_renewal(held: HeldLock) -> float:
    lease = held.lease or 0.0
    return held.until - lease + lease / PARTS
