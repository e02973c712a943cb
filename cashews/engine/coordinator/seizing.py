"""Locks that are seized: taken by the straight line to their store, since they are free and nobody waits for them."""

from __future__ import annotations

import math
from collections.abc import Callable

from cashews._typing import NOT_NOW
from cashews.actors.portal import HOLDER
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.lock_stores import LockStores
from cashews.engine.coordinator.task_locks import TaskLocks
from cashews.engine.coordinator.tokens import UNNAMED, numbered_token
from cashews.engine.coordinator.watches import Watches
from cashews.messages import TRANSACTION


class Seizing:
    """Takes free locks for bodies of the tasks of one event loop, and gives them back: no message, and no wait.

    A lock that is seized is its own holder in the store. None is seized that a task waits for, of any event loop.

    :param task_here: answers the calling task, if the others that hold locks and wait for them run in its event loop
    """

    def __init__(
        self,
        stores: LockStores,
        tasks: TaskLocks,
        watches: Watches,
        task_here: Callable[[], object | None],
    ) -> None:
        self._stores = stores
        self._tasks = tasks
        self._watched = watches.table.by_key
        self._wake = watches.wake
        self._task_here = task_here

    def seize(self, key: str, token: str = UNNAMED) -> HeldLock | None:
        """Take a lock for a body of the calling task, which ends with `let_go`; `None` if that cannot be done in place.

        :param token: the token of the lock; one that nobody else gets to see needs none of its own
        """
        task, held, lines = self._task_here(), self._tasks.held, self._stores.direct_locks
        if task is None or key in held or key in self._watched or key.endswith(TRANSACTION):
            return None
        lock = HeldLock(key, token, 0, None)  # the rest by assignment: each keyword would cost 60 ns
        lock.until, lock.store, lock.stored_key, lock.task = math.inf, lines.store, key, HOLDER.get() or task
        fence = lines.take(key, lock)
        if fence is NOT_NOW or fence <= 0:
            return None
        lock.fence = fence
        held[key] = [lock]
        return lock

    def let_go(self, lock: HeldLock) -> bool:
        """End the body of a lock that was seized, and give the lock back if that can be done in place.

        Says whether that was done; a lock that another holds by now is left to it.
        """
        key, held = lock.key, self._tasks.held
        if held.get(key) == [lock]:
            del held[key]
        else:
            self._tasks.note_left(lock)
        if self._stores.direct_locks.release(key, lock) is NOT_NOW:
            give_token(lock)
            return False
        if key in self._watched:
            self._wake(key)
        return True


def give_token(lock: HeldLock) -> None:
    """Give a lock that was seized the token with which a message gives it back, if it has none of its own."""
    if lock.token is UNNAMED:
        lock.token = numbered_token()
