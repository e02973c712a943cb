"""Transactions of this process that hold or await keys of one store. Pure: a deadlock is found before anybody waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cashews._dataclass import dataclass
from cashews.actors.loop import SharedReplySlot
from cashews.actors.shared import SHARED
from cashews.engine.coordinator.queues import LockQueues
from cashews.exceptions import LockedError


@dataclass(slots=True, eq=False)
class KeyWaiter:
    """A transaction that waits for a key, and the place in which its task learns that it holds the key."""

    transaction: object
    graph: WaitGraph
    key: str
    reply: SharedReplySlot[None]
    handed: bool = False
    """Whether the key is the transaction's, known to its task or not yet."""


class WaitGraph:
    """The transaction that holds each key of a store, and the transactions that wait for it, in their order.

    `waits` lists the waiters of each transaction; the graphs of all stores of one engine share it, so that a deadlock
    over several stores is found, too. Transactions of several event loops share them as well.

    Source: the wait-for graph of Gray and Reuter, "Transaction Processing", 1993, section 7.11.
    """

    def __init__(self, waits: dict[object, list[KeyWaiter]]) -> None:
        self._holders: dict[str, object] = {}
        self._queues: LockQueues[KeyWaiter] = LockQueues()
        self._waits = waits

    def __len__(self) -> int:
        """Return the number of keys that are held."""
        return len(self._holders)

    def take(self, key: str, transaction: object) -> bool:
        """Take a key that no other transaction holds; says whether this one holds it now."""
        return self._holders.setdefault(key, transaction) is transaction

    def join(self, key: str, transaction: object, reply: SharedReplySlot[None]) -> KeyWaiter | None:
        """Put a transaction at the end of a key's queue; `None` if it holds the key, which is free by now.

        Each waiter has to `leave` in the end.

        :raises LockedError: if the holder, or a transaction that waits already, waits for this one in turn
        """
        with SHARED:
            if self.take(key, transaction):  # it was released in another thread
                return None
            if self._leads_to(transaction, key):
                raise LockedError(key, "its holder waits for this transaction, a deadlock")
            waiter = KeyWaiter(transaction, self, key, reply)
            self._queues.join(key, waiter)
            self._waits.setdefault(transaction, []).append(waiter)
            return waiter

    def leave(self, waiter: KeyWaiter) -> None:
        """Forget a waiter that has been handed its key, or waits for it no longer; nothing if it is forgotten."""
        with SHARED:
            waits = self._waits.get(waiter.transaction, [])
            if waiter not in waits:
                return
            if not waiter.handed:
                self._queues.leave(waiter.key, waiter)
            waits.remove(waiter)
            if not waits:
                del self._waits[waiter.transaction]

    def release(self, key: str, holder: object) -> KeyWaiter | None:
        """Give a key of a holder to the first waiter and return it; free the key if nobody waits.

        Nothing happens if another holds it by now: a holder whose event loop has ended loses its keys.
        """
        waiters = self.release_all((key,), holder)
        return waiters[0] if waiters else None

    def release_all(self, keys: Iterable[str], holder: object) -> list[KeyWaiter]:
        """Release several keys, and return the waiters to which keys were given."""
        holders, queues, waiters = self._holders, self._queues, list[KeyWaiter]()
        with SHARED:
            for key in keys:
                if holders.get(key) is not holder:
                    continue
                if key not in queues.by_lock:
                    del holders[key]
                    continue
                waiter = queues.pop(key)
                holders[key] = waiter.transaction
                waiter.handed = True
                waiters.append(waiter)
        return waiters

    def holder(self, key: str) -> object:
        """Return the transaction that holds a key, if there is one."""
        return self._holders.get(key)

    def _leads_to(self, transaction: object, key: str) -> bool:
        """Say whether waiting for a key would close a circle of transactions that wait for one another."""
        ahead, seen = list(self._before(key)), set[Any]()
        while ahead:
            other = ahead.pop()
            if other is transaction:
                return True
            if other not in seen:
                seen.add(other)
                for waiter in self._waits.get(other, ()):
                    if not waiter.handed:
                        ahead += waiter.graph._before(waiter.key, waiter)  # noqa: SLF001  of the same class
        return False

    def _before(self, key: str, waiter: KeyWaiter | None = None) -> Iterator[object]:
        """Yield the transactions that come before a waiter, or before a newcomer: the holder, then the queue."""
        if key in self._holders:
            yield self._holders[key]
        for other in self._queues.ahead(key, waiter):
            yield other.transaction
