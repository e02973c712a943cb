"""The block of a lock: its body runs while the lock is held."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import anyio

from cashews._dataclass import dataclass
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.tokens import numbered_token
from cashews.exceptions import LockLostError, LockReenteredError, LockRefusedError


@dataclass(slots=True, eq=False)
class Body:
    """A body that runs in a block, its lock, and the scope that ends it if the lock is lost."""

    lock: HeldLock
    task: object
    locks: StoreLocks
    """Those of the event loop in which the body runs."""
    is_seized: bool = False
    scope: anyio.CancelScope | None = None


class LockContext:
    """Holds a lock while the body runs. The lease is renewed; a body that insists is cancelled if the lock is lost.

    One object may be entered by many tasks, of any event loop, and again and again: each time it takes the lock anew.

    :param locks: answers the locks of the event loop of the calling task
    :param lease: for how many seconds the lock is taken
    :param renew: renew the lease while the body runs
    :param wait: wait for the lock if it is not free; raise LockedError otherwise
    :param timeout: the seconds to wait at most
    :param insist: raise LockRefusedError if the store cannot lock, and end the body if the lock is lost; run the body
        without the lock otherwise
    :param reenter: run the body in a task that holds the lock already; raise LockReenteredError otherwise
    """

    __slots__ = ("_bodies", "_insist", "_key", "_lease", "_locks", "_reenter", "_renew", "_timeout", "_wait")

    def __init__(
        self,
        locks: Callable[[], StoreLocks],
        key: str,
        lease: float,
        *,
        renew: bool = True,
        wait: bool = True,
        timeout: float | None = None,
        insist: bool = True,
        reenter: bool = False,
    ) -> None:
        self._locks = locks
        self._key = key
        self._lease = lease
        self._renew = renew
        self._wait = wait
        self._timeout = timeout
        self._insist = insist
        self._reenter = reenter
        self._bodies: list[Body] = []
        """More than one only if a lock is lost, or its lease has ended, before its body has."""

    async def __aenter__(self) -> HeldLock:
        locks = self._locks()
        seized = locks.seize(self._key, numbered_token()) if self._renew else None
        lock = await self._take(locks) if seized is None else seized
        body = Body(lock, locks.task(), locks, is_seized=seized is not None)
        self._bodies.append(body)
        if lock.fence and seized is None:
            locks.note_entered(lock)
            if lock.renewed:
                body.scope = anyio.CancelScope()
                body.scope.__enter__()
                locks.start_renewing(lock, body.scope.cancel if self._insist else _let_it_run)
        return lock

    async def _take(self, locks: StoreLocks) -> HeldLock:
        """Return a lock that was taken, or one without a fence for a body that runs without it."""
        without = HeldLock(self._key, "", 0, None)
        if locks.is_off(self._key):
            return without
        lock, timeout = locks.claim(self._key, self._lease, renew=self._renew), self._timeout
        try:
            await locks.acquire(lock, locks.until(timeout), wait=self._wait, within=timeout)
        except LockReenteredError:
            if not self._reenter:
                raise
            return without
        except LockRefusedError:
            if self._insist:
                raise
        return lock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        body = self._leave()
        lock, scope, locks = body.lock, body.scope, body.locks
        locks.stop_renewing(lock)
        try:
            if lock.fence and not (body.is_seized and locks.let_go(lock)):
                locks.note_left(lock)
                await locks.give_back(lock, quietly=error is not None)
        finally:
            swallowed = scope is not None and scope.__exit__(kind, error, trace)
        if lock.lost and self._insist and (error is None or swallowed):
            raise LockLostError(lock.key)
        return swallowed

    def _leave(self) -> Body:
        """Return the body that ends: the last one of this task, or the last one, if it was entered by another task."""
        bodies = self._bodies
        if len(bodies) > 1:
            task = self._locks().task()
            for body in reversed(bodies):
                if body.task is task:
                    bodies.remove(body)
                    return body
        return bodies.pop()


def _let_it_run() -> None:
    """Do nothing: a body that does not insist on its lock goes on without it."""
