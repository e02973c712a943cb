"""Locked: one call of a key at a time, across processes where the store is shared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from cashews._arguments import lock_name
from cashews._dataclass import dataclass
from cashews.commands import Command
from cashews.engine.coordinator.lock_context import LockContext
from cashews.engine.engine import Engine
from cashews.exceptions import LockReenteredError
from cashews.guards.guard import AroundCall, resolve_positive
from cashews.runners.call import Call, Compiled

LEASE = 60.0
"""The seconds of a lease, if none are given: for how long a process that was killed blocks others."""


@dataclass(frozen=True, slots=True)
class Locked(AroundCall):
    """Holds a lock while the function runs. A task that holds it already, as in a recursion, runs the function.

    `wait`: a second call waits for the lock; it raises LockedError otherwise. `insist`: a call whose lock the store
    refuses, or loses, fails; it runs without the lock otherwise.
    """

    engine: Engine
    lease: Compiled
    wait: bool = True
    insist: bool = True

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        key = lock_name("key", call.key)
        if self.engine.is_off(Command.SET_LOCK, key):
            return await proceed(call)
        locks = self.engine.locks_here()
        lease = resolve_positive("ttl", self.lease, call)
        lock = locks.claim(key, lease)
        if not locks.take_in_place(lock):
            async with AsyncExitStack() as stack:
                with suppress(LockReenteredError):  # the task holds it already: recursion runs
                    await stack.enter_async_context(self._context(key, lease))
                return await proceed(call)
        try:
            return await proceed(call)
        finally:
            if not locks.release_in_place(lock):
                await locks.give_back(lock)

    def _context(self, key: str, lease: float) -> LockContext:
        return LockContext(self.engine.locks_here, key, lease, wait=self.wait, insist=self.insist)
