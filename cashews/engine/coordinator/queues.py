"""Queues of waiters by lock: first in, first out. Pure: no clock, no event, and no queue moves by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

W = TypeVar("W")


class LockQueues(Generic[W]):
    """One queue for each lock that somebody waits for; an empty queue is no more.

    The first of a queue is the next holder of its lock. Joining and leaving take the same time at any length, wherever
    in the queue the waiter stands: a thousand cancelled waiters cost a thousand steps.
    """

    __slots__ = ("by_lock",)

    def __init__(self) -> None:
        self.by_lock: dict[str, OrderedDict[W, None]] = {}
        """The queues, for reading: `key in queues.by_lock` says whether anybody waits, and costs the least."""

    def __len__(self) -> int:
        """Return the number of waiters of all locks."""
        return sum(map(len, self.by_lock.values()))

    def join(self, key: str, waiter: W) -> bool:
        """Put a waiter at the end of a lock's queue; says whether it is the first."""
        queue = self.by_lock.get(key)
        if queue is None:
            queue = self.by_lock[key] = OrderedDict()
        queue[waiter] = None
        return len(queue) == 1

    def leave(self, key: str, waiter: W) -> W | None:
        """Take a waiter out of a queue; returns the waiter that is first from now on because of that."""
        queue = self.by_lock[key]
        was_first = next(iter(queue)) is waiter
        del queue[waiter]
        if not queue:
            del self.by_lock[key]
            return None
        return next(iter(queue)) if was_first else None

    def pop(self, key: str) -> W:
        """Take the first waiter out of a lock's queue and return it."""
        queue = self.by_lock[key]
        first, _ = queue.popitem(last=False)
        if not queue:
            del self.by_lock[key]
        return first

    def ahead(self, key: str, waiter: W | None = None) -> Iterator[W]:
        """Yield the waiters ahead of one, or ahead of a newcomer, the first one first."""
        for other in self.by_lock.get(key, ()):
            if other is waiter:
                return
            yield other
