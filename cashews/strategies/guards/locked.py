"""Locked: one call of a key at a time, across processes where the store is shared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cashews.commands import Command
from cashews.engine.engine import NOT_NOW, Engine
from cashews.exceptions import LockedError
from cashews.messages import SetLock, Unlock
from cashews.strategies.call import Call, Compiled
from cashews.strategies.guards.guard import resolve_lasting

LEASE = 60.0
"""Seconds that a call holds its lock at most, if it was not told."""


@dataclass(frozen=True, slots=True)
class Locked:
    """Holds a lock while the function runs; without `wait` a second call raises LockedError instead of waiting."""

    engine: Engine
    lease: Compiled
    wait: bool

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        locks, key = self.engine.locks, call.key
        token, lease = locks.token(), resolve_lasting("ttl", self.lease, call)
        if not (locks.nobody_waits(key) and self.engine.at_once(SetLock(key, token, lease)) is True):
            if self.engine.is_off(Command.SET_LOCK, key):
                return await proceed(call)
            await self._take(key, token, lease)
        try:
            return await proceed(call)
        finally:
            if self.engine.at_once(Unlock(key, token)) is NOT_NOW:
                await locks.give_back(key, token)
            else:
                locks.wake(key)

    async def _take(self, key: str, token: str, lease: float) -> None:
        if self.wait:
            await self.engine.locks.wait(key, token, lease)
        elif not await self.engine.locks.take(key, token, lease):
            raise LockedError(key)
