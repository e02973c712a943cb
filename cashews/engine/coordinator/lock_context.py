"""The block of a lock: its body runs while the lock is held."""

from __future__ import annotations

from types import TracebackType

import anyio

from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.exceptions import (
    LockedError,
    LockLostError,
    LockRefusedError,
)


class LockContext:
    """Holds a lock while the body runs. The lease is renewed; a body that insists is cancelled if the lock is lost.

    :param wait: wait for the lock if it is not free; raise LockedError otherwise
    :param timeout: the seconds to wait at most
    :param insist: raise LockRefusedError if the store cannot lock, and end the body if the lock is lost; run the body
        without the lock otherwise
    """

    __slots__ = ("_insist", "_lock", "_locks", "_scope", "_timeout", "_wait")

    def __init__(
        self,
        locks: StoreLocks,
        lock: HeldLock,
        *,
        wait: bool = True,
        timeout: float | None = None,
        insist: bool = True,
    ) -> None:
        self._locks = locks
        self._lock = lock
        self._wait = wait
        self._timeout = timeout
        self._insist = insist
        self._scope: anyio.CancelScope | None = None

    async def __aenter__(self) -> HeldLock:
        lock = self._lock
        try:
            await self._take()
        except LockRefusedError:
            if self._insist:
                raise
        if lock.fence and lock.renewed:
            self._scope = anyio.CancelScope()
            self._scope.__enter__()
            self._locks.start_renewing(lock, self._scope.cancel if self._insist else _let_it_run)
        return lock

    async def _take(self) -> None:
        if self._wait:
            await self._locks.wait(self._lock, self._locks.until(self._timeout))
        elif not await self._locks.take(self._lock):
            raise LockedError(self._lock.key)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        scope, lock = self._scope, self._lock
        self._locks.stop_renewing(lock)
        try:
            if lock.fence:
                await self._locks.give_back(lock, quietly=error is not None)
        finally:
            swallowed = scope is not None and scope.__exit__(kind, error, trace)
        if lock.lost and self._insist and (error is None or swallowed):
            raise LockLostError(lock.key)
        return swallowed


def _let_it_run() -> None:
    """Do nothing: a body that does not insist on its lock goes on without it."""
