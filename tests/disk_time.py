"""Time that waits for disks: the threads of a store are no tasks, so a clock that settles has to ask them."""

from __future__ import annotations

from typing import Any

from cashews import messages as m
from cashews.backends.disk import DiskStore
from cashews.testing.clock import VirtualClock
from tests.internals import inside


class DiskClock(VirtualClock):
    """A virtual clock for stores on disk: it waits for their threads too before it moves.

    Its wall time is its `now`: seconds since 1970 have no room for fractions of a microsecond, which would make every
    deadline in a test a little early or late.
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(start, epoch=start)
        self.caches: list[Any] = []

    async def settle(self) -> None:
        """Let all tasks run until each waits for something that is neither another task nor a disk."""
        await super().settle()
        while busy := [store for store in stores_of(self.caches) if store.statistics()["waiting"]]:
            for store in busy:
                await served(store)
            await super().settle()


async def served(store: DiskStore) -> None:
    """Wait until everything is answered that was posted to the lanes of a store."""
    if store._reads.statistics()["waiting"]:
        await store._reads.ask(m.Exists(""))
    if store._writes.statistics()["waiting"]:
        await store._writes.ask(m.Unlock("", ""))


def stores_of(caches: list[Any]) -> list[DiskStore]:
    """Return the stores on disk that caches have."""
    backends = [store for cache in caches for store in inside(cache).stores]
    return [backend for backend in backends if isinstance(backend, DiskStore)]
