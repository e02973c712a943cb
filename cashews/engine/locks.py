"""Who waits for which lock: first in, first out, without polling."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random

import anyio

from cashews.backends.interface import Asks
from cashews.clock import Clock
from cashews.exceptions import CacheClosedError, LockedError
from cashews.messages import IsLocked, SetLock, Unlock, UnwatchLock, WatchLock

REFUSALS = 3
"""How often a store may refuse a lock that it says is free before waiting is given up."""


FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two looks at a lock whose releases nobody tells us of; each pause is twice the last."""


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
    """

    def __init__(self, engine: Asks, clock: Clock, random: Random) -> None:
        self._engine = engine
        self._clock = clock
        self._random = random
        self._nonce = f"{random.getrandbits(96):024x}"
        self._numbers = count(1)
        self._queues: dict[str, deque[anyio.Event]] = {}
        self._watches: dict[str, list[Watch]] = {}

    @property
    def waiting(self) -> int:
        """How many tasks wait for a lock."""
        return sum(map(len, self._queues.values()))

    def token(self) -> str:
        """Return a new token: whoever knows it holds the lock."""
        return f"{self._nonce}:{next(self._numbers)}"

    def nobody_waits(self, key: str) -> bool:
        """Say whether a lock may be tried without pushing in."""
        return key not in self._queues

    async def take(self, key: str, token: str, expire: float | None) -> bool:
        """Take a lock that is free and that nobody waits for; says whether it was taken."""
        return key not in self._queues and await self._try(key, token, expire)

    async def wait(self, key: str, token: str, expire: float | None) -> None:
        """Take a lock, behind all who wait for it.

        :raises LockedError: if the store refuses it though it says that nobody holds it
        """
        if await self.take(key, token, expire):
            return
        turn = anyio.Event()
        queue = self._queues.setdefault(key, deque())
        queue.append(turn)
        try:
            if queue[0] is not turn:
                await turn.wait()
            await self._contend(key, token, expire)
        finally:
            self._leave(key, queue, turn)

    def _leave(self, key: str, queue: deque[anyio.Event], turn: anyio.Event) -> None:
        queue.remove(turn)
        if queue:
            queue[0].set()
        elif self._queues.get(key) is queue:
            del self._queues[key]

    async def _contend(self, key: str, token: str, expire: float | None) -> None:
        """Try, as the first of a queue, until the lock is ours."""
        taken = False
        try:
            async with self._watching(key) as watch:
                taken = await self._until_taken(watch, key, token, expire)
        except BaseException:
            if taken:  # and cancelled since
                await self.give_back(key, token)
            raise
        if not taken:
            raise LockedError(key, "the store refuses it though nobody holds it")

    async def _until_taken(self, watch: Watch, key: str, token: str, expire: float | None) -> bool:
        refusals = 0
        while refusals < REFUSALS:
            watch.released = anyio.Event()
            if await self._try(key, token, expire):
                return True
            left = await self._engine.ask(IsLocked(key))
            if left is None:
                refusals += 1
            else:
                await self._wait_for(watch, left)
        return False

    async def until_free(self, key: str, deadline: float) -> bool:
        """Wait until a lock is free, at the longest until an instant; says whether it is."""
        left = await self._engine.ask(IsLocked(key))
        if left is None or deadline <= self._clock.now():
            return left is None
        async with self._watching(key) as watch:
            while True:
                watch.released = anyio.Event()
                left = await self._engine.ask(IsLocked(key))
                if left is None:
                    return True
                rest = deadline - self._clock.now()
                if rest <= 0:
                    return False
                await self._wait_for(watch, min(left, rest))

    async def release(self, key: str, token: str) -> bool:
        """Give a lock back and wake who waits for it; says whether the token held it."""
        try:
            released = await self._engine.ask(Unlock(key, token))
        except anyio.get_cancelled_exc_class():
            # asyncio's own Task.cancel() goes through shields, once; nobody knows whether the lock was free by then.
            await self._engine.ask(Unlock(key, token))
            self.wake(key)
            raise
        if released:
            self.wake(key)
        return released

    async def give_back(self, key: str, token: str) -> None:
        """Release a lock after the body it was held for, also when that was cancelled."""
        with anyio.CancelScope(shield=True), suppress(CacheClosedError):  # a store that is gone took its locks along
            await self.release(key, token)

    def wake(self, key: str) -> None:
        """Have those look again who wait for a lock."""
        for watch in self._watches.get(key, ()):
            watch.wake()

    async def _try(self, key: str, token: str, expire: float | None) -> bool:
        try:
            return await self._engine.ask(SetLock(key, token, expire))
        except BaseException:
            await self.give_back(key, token)  # it may have been taken: its reply was on the way
            raise

    @asynccontextmanager
    async def _watching(self, key: str) -> AsyncGenerator[Watch]:
        """Be told of the releases of a lock from now on, so that none is missed while the store is asked."""
        watch = Watch()
        self._watches.setdefault(key, []).append(watch)
        try:
            watch.told = await self._engine.ask(WatchLock(key, watch.wake))
            yield watch
        finally:
            watches = self._watches[key]
            watches.remove(watch)
            if not watches:
                del self._watches[key]
            with anyio.CancelScope(shield=True), suppress(CacheClosedError):
                await self._engine.ask(UnwatchLock(key, watch.wake))

    async def _wait_for(self, watch: Watch, seconds: float) -> None:
        """Wait for a release, as long as the lease lasts; who is not told of releases looks again before."""
        if not watch.told:
            seconds = min(seconds, watch.pause)
            watch.pause = min(2 * watch.pause, LONGEST_PAUSE) * self._random.uniform(0.75, 1.0)
        with self._clock.move_on_at(self._clock.now() + seconds):
            await watch.released.wait()
