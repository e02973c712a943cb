"""Locks that are held here: their leases are renewed, and a body that has lost its lock is ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from cashews._dataclass import dataclass, field
from cashews._log import logger
from cashews.actors.later import start_soon
from cashews.clock import Clock
from cashews.messages import LockHolder, LockPlace

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

PARTS = 3
"""A lease is renewed when one of so many parts of it has passed."""
ATTEMPTS = 10
"""A store that does not answer is asked again after one of so many parts."""


@dataclass(slots=True, eq=False)
class HeldLock(LockHolder, LockPlace):
    """A lock that was taken: its body may run until `until`.

    `fence` is a number that grows from one holder of a key to the next, also across processes: a resource that refuses
    numbers smaller than one it has seen is safe from holders that have lost the lock and do not know yet. It is 0 when
    the body runs without the lock, because `Command.SET_LOCK` is switched off.

    Source: Kleppmann, "How to do distributed locking", 2016.
    """

    key: str
    token: str = field(repr=False)
    fence: int
    lease: float | None
    """For how many seconds it was taken; `None` if the store holds it until it is given back."""
    renewed: bool = False
    """Whether the lease is renewed for as long as the body runs."""
    until: float = 0.0
    """The instant up to which it is ours for certain."""
    lost: bool = False
    store: Any = field(default=None, repr=False)
    """The store that was asked for it; `None` if the message was served without passing a chain."""
    stored_key: str = field(default="", repr=False)
    """Its key there."""
    task: object = field(default=None, repr=False)
    """The task whose body runs under it, as long as that runs."""

    def note_place(self, store: Any, key: str) -> None:
        self.store, self.stored_key = store, key


Renew: TypeAlias = Callable[[HeldLock], Awaitable["bool | None"]]
"""Asks the store for another lease; says whether the lock was still ours, `None` if nobody knows."""


@dataclass(slots=True, eq=False)
class Renewal:
    """A lease that is renewed, and the function that is told of its loss.

    The store is asked in the context in which the lock was taken: a middleware that reads a context variable, for
    example to prefix keys by tenant, renews the lock that it has taken.
    """

    lock: HeldLock
    renew: Renew
    on_loss: Callable[[], object]
    context: Context = field(default_factory=copy_context)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    stopped: bool = False
    number: int = -1
    """The number of its first renewal."""

    def lose(self) -> None:
        """Tell that the lock is another's now."""
        self.lock.lost = True
        self.on_loss()


class Keeper:
    """Renews leases until their locks are given back or lost: in a task each, once the first renewal is due.

    Most locks are given back before that: they cost an entry in a heap.
    """

    def __init__(self, clock: Clock, ensure_scope: Callable[[], object]) -> None:
        self._clock = clock
        self._ensure_scope = ensure_scope
        self._renewals: dict[HeldLock, Renewal] = {}
        self._due: list[tuple[float, int]] = []
        """The instants of first renewals, each with a number; that of a lock which was given back stays in the heap."""
        self._first: dict[int, Renewal] = {}
        """The renewals that have no task yet, by these numbers."""
        self._numbers = count()
        self._earlier: anyio.Event | None = None
        """Set when a renewal is due earlier than all others; `None` while no task runs."""
        self.batches = self.largest_batch = self.turns = self.lives = 0

    def __len__(self) -> int:
        """Return the number of leases that are renewed."""
        return len(self._renewals)

    def start(self, lock: HeldLock, renew: Renew, on_loss: Callable[[], object]) -> None:
        """Renew a lease from now on; calls `on_loss` once the lock is lost."""
        self._renewals[lock] = renewal = Renewal(lock, renew, on_loss)
        entry = self._entry_of(renewal)
        heappush(self._due, entry)
        self._ensure_scope()
        if self._earlier is not None and self._due[0] is entry:
            self._earlier.set()

    def stop(self, lock: HeldLock) -> None:
        """Renew a lease no more."""
        renewal = self._renewals.pop(lock, None)
        if renewal is not None:
            renewal.stopped = True
            renewal.scope.cancel()
            self._first.pop(renewal.number, None)

    async def run(self) -> None:
        """Renew leases until the scope ends."""
        self.lives += 1
        self._take_over()
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._earlier = anyio.Event()
                    for renewal in self._pop_due():
                        renewal.context.run(self._spawn, tasks, renewal)
                    await self._until_due(self._earlier)
        finally:
            self._earlier = None

    def _spawn(self, tasks: TaskGroup, renewal: Renewal) -> None:
        start_soon(tasks, self._renew, renewal)

    def _take_over(self) -> None:
        """Begin with the leases of a scope that has failed, whose tasks and cancel scopes are gone."""
        again = [Renewal(each.lock, each.renew, each.on_loss, each.context) for each in self._renewals.values()]
        self._renewals = {renewal.lock: renewal for renewal in again}
        self._first.clear()
        self._due = [self._entry_of(renewal) for renewal in again]
        heapify(self._due)

    def _entry_of(self, renewal: Renewal) -> tuple[float, int]:
        renewal.number = next(self._numbers)
        self._first[renewal.number] = renewal
        return _first_renewal(renewal.lock), renewal.number

    async def _until_due(self, earlier: anyio.Event) -> None:
        if not self._due:
            await earlier.wait()
            return
        with self._clock.move_on_at(self._due[0][0]):
            await earlier.wait()

    def _pop_due(self) -> list[Renewal]:
        now, due = self._clock.now(), list[Renewal]()
        while self._due and (self._due[0][0] <= now or self._due[0][1] not in self._first):
            renewal = self._first.pop(heappop(self._due)[1], None)
            if renewal is not None:
                due.append(renewal)
        if due:
            self.batches += 1
            self.largest_batch = max(self.largest_batch, len(due))
        return due

    async def _renew(self, renewal: Renewal) -> None:
        lock, lease = renewal.lock, renewal.lock.lease or 0.0
        rest = lease - lease / PARTS
        due = lock.until - rest
        with renewal.scope:
            while True:
                await self._clock.sleep_until(min(due, lock.until))
                renewed = await self._renewed(renewal, lease)
                if renewed is False or lock.until <= self._clock.now():
                    break
                due = lock.until - rest if renewed else self._clock.now() + lease / ATTEMPTS
            if renewal.stopped:  # in the same turn of the loop
                return
            logger.warning("the lock %r was lost while it was held", lock.key)
            renewal.lose()

    async def _renewed(self, renewal: Renewal, lease: float) -> bool | None:
        """Ask for another lease; says whether the lock is still ours, `None` if nobody knows."""
        lock, asked = renewal.lock, self._clock.now()
        self.turns += 1
        with self._clock.move_on_at(lock.until):
            renewed = await renewal.renew(lock)
            if renewed:
                lock.until = asked + lease
            return renewed
        return None


def _first_renewal(lock: HeldLock) -> float:
    lease = lock.lease or 0.0
    return lock.until - lease + lease / PARTS
