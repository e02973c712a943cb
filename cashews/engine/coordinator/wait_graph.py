"""The locks of the transactions of this process: a deadlock is found before anybody waits in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio

from cashews.exceptions import LockedError


@dataclass(slots=True, eq=False)
class Waiter:
    """A transaction that waits for a lock until it is handed to it."""

    who: object
    graph: WaitGraph
    name: str
    handed: anyio.Event = field(default_factory=anyio.Event)


class WaitGraph:
    """The holder of each lock of a store, and the transactions that wait for it, in their order.

    `waits`, which the graphs of one engine share, says for what each transaction waits.

    Source: the wait-for graph of Gray and Reuter, "Transaction Processing", 1993, section 7.11.
    """

    def __init__(self, waits: dict[object, list[Waiter]]) -> None:
        self._holders: dict[str, object] = {}
        self._queues: dict[str, deque[Waiter]] = {}
        self._waits = waits

    def __len__(self) -> int:
        return len(self._holders)

    def take(self, name: str, who: object) -> bool:
        """Take a lock that nobody else holds; says whether it is held now."""
        return self._holders.setdefault(name, who) is who

    async def wait(self, name: str, who: object) -> None:
        """Wait until a lock is handed over.

        :raises LockedError: if its holder, or one who is before us, waits for this transaction, by way of others too
        """
        if self._leads_to(who, name):
            raise LockedError(name, "who holds it waits for this transaction, a deadlock")
        waiter = Waiter(who, self, name)
        queue = self._queues.setdefault(name, deque())
        queue.append(waiter)
        waits = self._waits.setdefault(who, [])
        waits.append(waiter)
        try:
            await waiter.handed.wait()
        except BaseException:
            if waiter.handed.is_set():  # and cancelled since
                self.release(name)
            else:
                queue.remove(waiter)
            raise
        finally:
            waits.remove(waiter)
            if not waits:
                self._waits.pop(who, None)
            if not queue and self._queues.get(name) is queue:
                del self._queues[name]

    def release(self, name: str) -> None:
        """Hand a lock to the first who waits for it."""
        queue = self._queues.get(name)
        if not queue:
            del self._holders[name]
            return
        waiter = queue.popleft()
        self._holders[name] = waiter.who
        waiter.handed.set()

    def _leads_to(self, who: object, name: str) -> bool:
        ahead, seen = list(self.before(name)), set[Any]()
        while ahead:
            other = ahead.pop()
            if other is who:
                return True
            if other not in seen:
                seen.add(other)
                for waiter in self._waits.get(other, ()):
                    if not waiter.handed.is_set():
                        ahead += waiter.graph.before(waiter.name, waiter)
        return False

    def before(self, name: str, waiter: Waiter | None = None) -> Iterator[object]:
        """Yield who has a lock before a waiter, or before whoever comes next."""
        if name in self._holders:
            yield self._holders[name]
        for other in self._queues.get(name, ()):
            if other is waiter:
                return
            yield other.who
