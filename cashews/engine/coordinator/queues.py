"""Who waits for which lock: first in, first out, without polling; and bodies that run while they hold one."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random

import anyio

from cashews._log import logger
from cashews.backends.interface import NOT_NOW, Asks
from cashews.clock import Clock
from cashews.engine.coordinator.keeper import HeldLock, Keeper
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    LockedError,
    LockRefusedError,
)
from cashews.messages import HELD, LockTimeLeft, SetLock, Unlock, UnwatchLock, WatchLock

REFUSALS = 3
"""How often a store may refuse a lock that it says is free before waiting is given up."""

PROMPT = 10
"""How often in a row a lock that is free by the time we ask who holds it is tried again without a pause."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two looks at a lock whose releases nobody tells us of; each pause is twice the last."""

SAFETY_PAUSE = 10.0
"""Seconds between two looks at a lock whose releases we are told of: what tells us may fail."""


class Watch:
    """Somebody who wants to know when a lock is released."""

    __slots__ = ("pause", "released", "told")

    def __init__(self) -> None:
        self.released = anyio.Event()
        self.told = False
        """Whether the releases of other processes set `released`, too."""
        self.pause = FIRST_PAUSE

    def wake(self) -> None:
        """Say that the lock was released."""
        self.released.set()


class LockQueues:
    """The waiters of this process by lock.

    Only the first of each queue tries; an unlock or the holder's deadline wakes it.

    :param outlives: says whether the store of a key keeps locks beyond this process
    """

    def __init__(
        self, store: Asks, clock: Clock, random: Random, keeper: Keeper, outlives: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._keeper = keeper
        self._outlives = outlives
        self._nonce = f"{random.getrandbits(96):024x}"
        self._numbers = count(1)
        self._queues: dict[str, deque[anyio.Event]] = {}
        self._watches: dict[str, list[Watch]] = {}

    @property
    def waiting(self) -> int:
        """How many tasks wait for a lock."""
        return sum(map(len, self._queues.values()))

    def claim(self, key: str, lease: float, *, renew: bool = True) -> HeldLock:
        """Return a lock that is to be taken, with a token of its own; whoever knows the token holds the lock.

        A lock that would be renewed for as long as this process lives needs no lease in a store that ends with it.
        """
        kept = lease if self._outlives(key) or not renew else None
        token = f"{self._nonce}:{next(self._numbers)}"
        return HeldLock(key, token, 0, kept, renewed=renew and kept is not None)

    def nobody_waits(self, key: str) -> bool:
        """Say whether a lock may be tried without pushing in."""
        return key not in self._queues

    async def take(self, lock: HeldLock) -> bool:
        """Take a lock that is free and that nobody waits for; says whether it was taken."""
        return lock.key not in self._queues and await self._try(lock) > 0

    def take_in_place(self, lock: HeldLock) -> bool:
        """Take a lock that is free, needs no renewal and that nobody waits for, if the store can do it in place.

        Such a lock is given back with `release_in_place`.
        """
        if lock.renewed or lock.key in self._queues:
            return False
        fence = self._store.in_place(SetLock(lock.key, lock.token, lock.lease))
        return fence is not NOT_NOW and fence > 0

    async def wait(self, lock: HeldLock, deadline: float = math.inf) -> None:
        """Take a lock, behind all who wait for it.

        :raises LockedError: if it is not free at the deadline
        :raises LockRefusedError: if the store refuses it though it says that nobody holds it
        """
        if await self.take(lock):
            return
        if deadline == math.inf:
            await self._wait(lock)
            return
        started = self._clock.now()
        with self._clock.move_on_at(deadline) as patience:
            await self._wait(lock)
        if not lock.fence or patience.cancelled_caught:
            raise LockedError(lock.key, f"it was not free within {deadline - started:.3g} s")

    async def _wait(self, lock: HeldLock) -> None:
        key, turn = lock.key, anyio.Event()
        queue = self._queues.setdefault(key, deque())
        queue.append(turn)
        try:
            if queue[0] is not turn:
                await turn.wait()
            await self._contend(lock)
        finally:
            self._leave(key, queue, turn)

    def _leave(self, key: str, queue: deque[anyio.Event], turn: anyio.Event) -> None:
        queue.remove(turn)
        if queue:
            queue[0].set()
        elif self._queues.get(key) is queue:
            del self._queues[key]

    async def _contend(self, lock: HeldLock) -> None:
        """Try, as the first of a queue, until the lock is ours."""
        taken = False
        try:
            async with self._watching(lock.key) as watch:
                taken = await self._until_taken(watch, lock)
        except BaseException:
            if taken:  # and cancelled since
                await self.give_back(lock, quietly=True)
            raise
        if not taken:
            raise LockRefusedError(lock.key)

    async def _until_taken(self, watch: Watch, lock: HeldLock) -> bool:
        refusals = passings = 0
        while refusals < REFUSALS:
            watch.released = anyio.Event()
            answer = await self._try(lock)
            if answer > 0:
                return True
            left = await self._store.ask(LockTimeLeft(lock.key))
            if left is not None:
                await self._wait_for(watch, self._at_most(lock.key, left))
            elif answer != HELD:
                refusals += 1
            else:  # by somebody who has released it since; time and again only if `LockTimeLeft` is not served
                passings += 1
                if passings > PROMPT:
                    await self._wait_for(watch, LONGEST_PAUSE)
        return False

    async def until_free(self, key: str, deadline: float) -> bool:
        """Wait until a lock is free, at the longest until an instant; says whether it is."""
        left = await self._store.ask(LockTimeLeft(key))
        if left is None or deadline <= self._clock.now():
            return left is None
        async with self._watching(key) as watch:
            while True:
                watch.released = anyio.Event()
                left = await self._store.ask(LockTimeLeft(key))
                if left is None:
                    return True
                rest = deadline - self._clock.now()
                if rest <= 0:
                    return False
                await self._wait_for(watch, min(self._at_most(key, left), rest))

    async def release(self, key: str, token: str) -> bool:
        """Give a lock back and wake who waits for it; says whether the token held it."""
        try:
            released = await self._store.ask(Unlock(key, token))
        except anyio.get_cancelled_exc_class():
            # asyncio's own Task.cancel() goes through shields, once; nobody knows whether the lock was free by then.
            await self._store.ask(Unlock(key, token))
            self.wake(key)
            raise
        if released:
            self.wake(key)
        return released

    async def give_back(self, lock: HeldLock, *, quietly: bool = False) -> None:
        """Release a lock after the body it was held for, also when that was cancelled.

        :param quietly: log an outage, so that it does not replace the error that is on its way
        :raises CacheBackendInteractionError: if the store cannot be reached
        """
        with anyio.CancelScope(shield=True), suppress(CacheClosedError):  # a store that is gone took its locks along
            try:
                await self.release(lock.key, lock.token)
            except CacheBackendInteractionError as error:
                if not quietly:
                    raise
                logger.warning("the lock %r could not be given back: %s", lock.key, error)

    def release_in_place(self, lock: HeldLock) -> bool:
        """Give a lock back in place, if the store can do it; says whether it could."""
        if self._store.in_place(Unlock(lock.key, lock.token)) is NOT_NOW:
            return False
        self.wake(lock.key)
        return True

    def wake(self, key: str) -> None:
        """Have those look again who wait for a lock."""
        for watch in self._watches.get(key, ()):
            watch.wake()

    async def _try(self, lock: HeldLock) -> int:
        asked = self._clock.now()
        try:
            answer = await self._store.ask(SetLock(lock.key, lock.token, lock.lease))
        except BaseException:
            await self.give_back(lock, quietly=True)  # it may have been taken: its reply was on the way
            raise
        lock.until = math.inf if lock.lease is None else asked + lock.lease
        lock.fence = max(answer, 0)
        if not answer:
            await self.give_back(lock)  # likewise: an outage is answered like a refusal
        return answer

    @asynccontextmanager
    async def _watching(self, key: str) -> AsyncGenerator[Watch]:
        """Be told of the releases of a lock from now on, so that none is missed while the store is asked."""
        watch = Watch()
        self._watches.setdefault(key, []).append(watch)
        try:
            watch.told = await self._store.ask(WatchLock(key, watch.wake))
            yield watch
        finally:
            watches = self._watches[key]
            watches.remove(watch)
            if not watches:
                del self._watches[key]
            with anyio.CancelScope(shield=True), suppress(CacheClosedError, CacheBackendInteractionError):
                await self._store.ask(UnwatchLock(key, watch.wake))

    def _at_most(self, key: str, seconds: float) -> float:
        """Return after how many seconds to look again at a lock at the latest."""
        return min(seconds, SAFETY_PAUSE) if self._outlives(key) else seconds

    async def _wait_for(self, watch: Watch, seconds: float) -> None:
        """Wait for a release, as long as the lease lasts; look again before, for releases that we are not told of."""
        if not watch.told:
            seconds = min(seconds, watch.pause)
            watch.pause = min(2 * watch.pause, LONGEST_PAUSE) * self._random.uniform(0.75, 1.0)
        with self._clock.move_on_at(self._clock.now() + seconds):
            await watch.released.wait()

    # --- leases

    def keep(self, lock: HeldLock, tell: Callable[[], object]) -> None:
        """Renew the lease of a lock that was taken, if it was claimed so; calls `tell` if the lock is lost."""
        if lock.renewed:
            self._keeper.keep(lock, self._store, tell)

    def drop(self, lock: HeldLock) -> None:
        """Renew the lease no more."""
        if lock.renewed:
            self._keeper.drop(lock)

    def until(self, timeout: float | None) -> float:
        """Return the instant at which a timeout that begins now has passed."""
        return math.inf if timeout is None else self._clock.now() + timeout
