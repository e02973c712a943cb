"""Tasks that look at a lock again when it is released, or when its lease may have ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import count
from random import Random
from typing import Final

import anyio

from cashews.actors.loop import Loop
from cashews.actors.shared import SHARED
from cashews.backends.interface import Asks
from cashews.clock import Clock
from cashews.exceptions import CacheBackendInteractionError, CacheClosedError
from cashews.messages import LockTimeLeft, UnwatchLock, WatchLock

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
"""Seconds between two looks at a lock whose releases the store does not tell; each pause is twice the last."""
SAFETY_PAUSE: Final = 10.0
"""Seconds between two looks at a lock whose releases the store tells: its message may be lost."""
BRIEF: Final = 0.1
"""The seconds for which a task that is cancelled, or whose deadline has passed, waits for a store to clean up."""


class Watch:
    """A task that looks at a lock again when it is released."""

    __slots__ = ("_loop", "arrival", "pause", "released", "told")

    def __init__(self, loop: Loop, arrival: float) -> None:
        self._loop = loop
        self.arrival = arrival
        """The number of its task among those of all event loops that want the lock; infinite if it only looks."""
        self.released = anyio.Event()
        self.told = False
        """Whether the releases of other processes set `released`, too."""
        self.pause = FIRST_PAUSE

    @property
    def alive(self) -> bool:
        """Whether the task's event loop lives."""
        return self._loop.alive

    def wake(self) -> None:
        """Say that the lock was released; a task of a loop that has ended is not told."""
        if self._loop.here:
            self.released.set()
        else:
            self._loop.post(self.released.set)


class WatchTable:
    """The watches of all event loops, by the key of their lock."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[Watch]] = {}
        """The watches, for reading: `key in table.by_key` says whether anybody watches, and costs the least."""
        self.arrivals = count()
        """The numbers of tasks that want a lock, in the order in which they came."""

    def __len__(self) -> int:
        return len(self.by_key)

    def add(self, key: str, watch: Watch) -> None:
        """Add a watch."""
        with SHARED:
            self.by_key.setdefault(key, []).append(watch)

    def remove(self, key: str, watch: Watch) -> None:
        """Remove a watch, unless it is gone."""
        with SHARED:
            watches = self.by_key.get(key, [])
            if watch in watches:
                watches.remove(watch)
            if not watches:
                self.by_key.pop(key, None)

    def of(self, key: str) -> tuple[Watch, ...]:
        """Return the watches of a lock."""
        return tuple(self.by_key.get(key, ()))

    def is_wanted(self, key: str, before: float = math.inf) -> bool:
        """Say whether a task waits to take a lock, of any event loop that runs, and came before a number."""
        return any(watch.arrival < before and watch.alive for watch in self.of(key))

    def every(self) -> list[tuple[str, Watch]]:
        """Return all watches, each with its key."""
        with SHARED:
            return [(key, watch) for key, watches in self.by_key.items() for watch in watches]


class Watches:
    """The watches of the locks in one store, or in all stores of an engine, by the tasks of one event loop.

    :param store: takes the messages
    :param outlives: says whether the store of a key holds locks beyond this process
    :param loop: answers the event loop of the calling task
    :param table: the watches of the same locks by tasks of other event loops
    """

    def __init__(
        self,
        store: Asks,
        outlives: Callable[[str], bool],
        *,
        clock: Clock,
        random: Random,
        loop: Callable[[], Loop],
        table: WatchTable | None = None,
    ) -> None:
        self._store = store
        self._outlives = outlives
        self._clock = clock
        self._random = random
        self._loop = loop
        self.table = WatchTable() if table is None else table
        """Those of other event loops are there as well: a release wakes them, too."""

    def __len__(self) -> int:
        """Return the number of locks that are watched."""
        return len(self.table)

    async def until_free(self, key: str, deadline: float) -> bool:
        """Wait until a lock is free, at the longest until an instant; says whether it is."""
        if deadline <= self._clock.now():
            return await self._store.ask(LockTimeLeft(key)) is None
        with self._clock.move_on_at(deadline + BRIEF):  # for a store that does not answer
            return await self._until_free(key, deadline)
        return False

    async def _until_free(self, key: str, deadline: float) -> bool:
        if await self._store.ask(LockTimeLeft(key)) is None:
            return True
        watch = self.add(key)
        try:
            await self.listen(key, watch)
            while True:
                watch.released = anyio.Event()
                left = await self._store.ask(LockTimeLeft(key))
                if left is None:
                    return True
                rest = deadline - self._clock.now()
                if rest <= 0:
                    return False
                await self.wait(key, watch, left, at_most=rest)
        finally:
            await self.unwatch(key, watch)

    def wake(self, key: str) -> None:
        """Have the tasks look again that watch a lock."""
        for watch in self.table.of(key):
            watch.wake()

    def wake_all(self) -> None:
        """Have all tasks look again: a cache that has been closed tells them so."""
        for _, watch in self.table.every():
            watch.wake()

    def forget(self) -> None:
        """Forget the watches of a loop that has ended."""
        for key, watch in self.table.every():
            if not watch.alive:
                self.table.remove(key, watch)

    def add(self, key: str, arrival: float = math.inf) -> Watch:
        """Have the calling task be told of the releases of a lock by this process, until it ends the watch."""
        watch = Watch(self._loop(), arrival)
        self.table.add(key, watch)
        return watch

    async def listen(self, key: str, watch: Watch) -> None:
        """Be told of all releases from now on, so that none is missed while the store is asked."""
        watch.told = await self._store.ask(WatchLock(key, watch.wake))

    async def unwatch(self, key: str, watch: Watch) -> None:
        """End a watch."""
        self.table.remove(key, watch)
        with briefly(self._clock), suppress(CacheClosedError, CacheBackendInteractionError):
            await self._store.ask(UnwatchLock(key, watch.wake))

    async def wait(self, key: str, watch: Watch, left: float, at_most: float = math.inf) -> None:
        """Wait for a release, as long as the lease lasts; look again before, where the store does not tell."""
        seconds = min(left, at_most)
        if self._outlives(key):
            seconds = min(seconds, SAFETY_PAUSE)
        if not watch.told:
            seconds = min(seconds, watch.pause)
            watch.pause = min(2 * watch.pause, LONGEST_PAUSE) * self._random.uniform(0.75, 1.0)
        with self._clock.move_on_at(self._clock.now() + seconds):
            await watch.released.wait()


@contextmanager
def briefly(clock: Clock) -> Generator[anyio.CancelScope]:
    """Let a block run although its task is cancelled, but not for long."""
    with clock.move_on_at(clock.now() + BRIEF) as scope:
        scope.shield = True
        yield scope
