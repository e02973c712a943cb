"""Locks that have yet to be given back: their store was out of reach when they were to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import anyio

from cashews._dataclass import dataclass
from cashews.actors.later import start_soon
from cashews.clock import Clock
from cashews.engine.coordinator.keeper import HeldLock

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
"""Seconds between two attempts; each pause is twice the last."""
SURE: Final = 3
"""How often a store has to say that it does not know a lock which it may yet be on the way to take."""

GiveBack: TypeAlias = Callable[[HeldLock], Awaitable["bool | None"]]
"""Asks the store to free a lock; says whether the lock was held, `None` if the store does not answer."""


@dataclass(slots=True, eq=False)
class Owed:
    """A lock that has yet to be given back; `denials` counts how often its store did not know it."""

    lock: HeldLock
    give_back: GiveBack
    until: float
    """The instant at which its lease has ended for certain."""
    denials: int = 0


class Returns:
    """Gives locks back in a task of its own: again and again, until the store answers or the lease has ended."""

    def __init__(self, clock: Clock, ensure_scope: Callable[[], object]) -> None:
        self._clock = clock
        self._ensure_scope = ensure_scope
        self._owed: list[Owed] = []
        self._more: anyio.Event | None = None
        """Set when a lock has been added; `None` while no task runs."""

    def __len__(self) -> int:
        """Return the number of locks that have yet to be given back."""
        return len(self._owed)

    def add(self, lock: HeldLock, give_back: GiveBack) -> None:
        """Give a lock back as soon as possible, unless the store holds it for as long as this process lives."""
        if lock.lease is None:
            return
        # a lock whose taking was not answered may be taken at any time until its letter has expired
        until = lock.until if lock.fence else self._clock.now() + lock.lease
        self._owed.append(Owed(lock, give_back, until))
        self._ensure_scope()
        if self._more is not None:
            self._more.set()

    async def run(self) -> None:
        """Give locks back until the scope ends."""
        pause = FIRST_PAUSE
        try:
            while True:
                self._more = more = anyio.Event()
                if self._owed:
                    await self._give_back_all()
                if not self._owed:
                    await more.wait()
                    pause = FIRST_PAUSE
                    continue
                with self._clock.move_on_at(self._clock.now() + pause):
                    await more.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._more = None

    async def _give_back_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            for owed in self._owed.copy():
                start_soon(tasks, self._give_back, owed)

    async def _give_back(self, owed: Owed) -> None:
        if owed.until > self._clock.now():
            was_held = await owed.give_back(owed.lock)
            owed.denials += was_held is False
            if was_held is None or (not was_held and not owed.lock.fence and owed.denials < SURE):
                return
        self._owed.remove(owed)
