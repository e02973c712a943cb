"""Locked: one call of a key at a time, across processes where the store is shared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cashews.backends.interface import NOT_NOW
from cashews.commands import Command
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.lock_context import LockContext
from cashews.engine.engine import Engine
from cashews.guards.guard import resolve_positive
from cashews.messages import SetLock, Unlock
from cashews.runners.call import Call, Compiled

LEASE = 60.0
"""Seconds after which a process that was killed holds its lock no more, if it was not told."""


@dataclass(frozen=True, slots=True)
class Locked:
    """Holds a lock while the function runs; without `wait` a second call raises LockedError instead of waiting."""

    engine: Engine
    lease: Compiled
    wait: bool

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        engine, locks, key = self.engine, self.engine.locks, call.key
        if engine.is_off(Command.SET_LOCK, key):
            return await proceed(call)
        lock = locks.claim(key, resolve_positive("ttl", self.lease, call))
        if lock.renewed or not self._take_in_place(lock):
            async with LockContext(locks, lock, wait=self.wait):
                return await proceed(call)
        try:
            return await proceed(call)
        finally:
            if engine.in_place(Unlock(key, lock.token)) is NOT_NOW:
                await locks.give_back(lock)
            else:
                locks.wake(key)

    def _take_in_place(self, lock: HeldLock) -> bool:
        """Take a lock in place, where that can be done and nobody waits for it; says whether it was taken."""
        if not self.engine.locks.nobody_waits(lock.key):
            return False
        fence = self.engine.in_place(SetLock(lock.key, lock.token, lock.lease))
        return fence is not NOT_NOW and fence > 0
