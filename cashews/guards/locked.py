"""Locked: one call of a key at a time, across processes where the store is shared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from cashews._arguments import lock_name
from cashews._dataclass import dataclass
from cashews.commands import Command
from cashews.engine.coordinator.lock_context import LockContext
from cashews.engine.engine import Engine
from cashews.guards.guard import AroundCall, resolve_positive
from cashews.runners.call import Call, Compiled, Target

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

    def bound(self, target: Target) -> Callable[..., Awaitable[Any]]:
        """Return the function behind its lock; a call that takes it in place takes one coroutine of ours."""
        if not isinstance(self.lease, float):  # it may be refused at each call
            return AroundCall.bound(self, target)
        key_of, function, invoke, locks_here = target.key, target.function, target.invoke, self.engine.locks_here

        @wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            locks = locks_here()
            lock = locks.seize(key)
            if lock is None:
                return await self(Call(args, kwargs, key), invoke)
            try:
                return await function(*args, **kwargs)
            finally:
                if not locks.let_go(lock):
                    await locks.give_back(lock)

        return run

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        key = lock_name("key", call.key)
        if self.engine.is_off(Command.SET_LOCK, key):
            return await proceed(call)
        lease = resolve_positive("ttl", self.lease, call)
        async with LockContext(self.engine.locks_here, key, lease, wait=self.wait, insist=self.insist, reenter=True):
            return await proceed(call)
