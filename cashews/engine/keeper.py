"""Locks that are held here: their leases are renewed, and a body that has lost one is ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from cashews.backends.interface import Asks
from cashews.clock import Clock
from cashews.exceptions import CacheError
from cashews.log import logger
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
class Kept:
    """A lease that is renewed, and whom to tell when that fails."""

    held: HeldLock
    tell: Callable[[], object]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def lose(self) -> None:
        """Say that the lock is another's now."""
        self.held.lost = True
        self.tell()


class Keeper:
    """Renews leases, each in a task of the engine's, until their locks are given back or lost."""

    def __init__(self, engine: Asks, clock: Clock, need_scope: Callable[[], object]) -> None:
        self._engine = engine
        self._clock = clock
        self._need_scope = need_scope
        self._kept: dict[HeldLock, Kept] = {}
        self._new: deque[Kept] = deque()
        self._wanted: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, held: HeldLock, tell: Callable[[], object]) -> None:
        """Renew a lease from now on; calls `tell` once the lock is lost."""
        self._kept[held] = kept = Kept(held, tell)
        self._new.append(kept)
        self._need_scope()
        if self._wanted is not None:
            self._wanted.set()

    def drop(self, held: HeldLock) -> None:
        """Renew a lease no more."""
        kept = self._kept.pop(held, None)
        if kept is not None:
            kept.scope.cancel()

    async def run(self) -> None:
        """Renew what is kept, until the scope ends."""
        for held, kept in tuple(self._kept.items()):  # of a scope that has failed
            self._kept[held] = Kept(held, kept.tell)
        self._new = deque(self._kept.values())
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._wanted = anyio.Event()
                    while self._new:
                        tasks.start_soon(self._renew, self._new.popleft())
                    await self._wanted.wait()
        finally:
            self._wanted = None

    async def _renew(self, kept: Kept) -> None:
        held, lease = kept.held, kept.held.lease or 0.0
        rest = lease - lease / PARTS
        due = held.until - rest
        with kept.scope:
            while True:
                await self._clock.sleep_until(min(due, held.until))
                renewed = await self._renewed(held, lease)
                if renewed is False or held.until <= self._clock.now():
                    break
                due = held.until - rest if renewed else self._clock.now() + lease / ATTEMPTS
            logger.warning("the lock %r was lost while it was held", held.key)
            kept.lose()

    async def _renewed(self, held: HeldLock, lease: float) -> bool | None:
        """Ask for another lease; says whether the lock is still ours, `None` if nobody knows."""
        asked = self._clock.now()
        with self._clock.move_on_at(held.until):
            try:
                renewed = await self._engine.ask(RenewLock(held.key, held.token, lease))
            except CacheError:  # an outage that is not suppressed; the lease lasts a while yet
                return None
            if renewed:
                held.until = asked + lease
            return renewed
        return None
