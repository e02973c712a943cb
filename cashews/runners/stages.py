"""The stages that options put around a load: hard timeout, lock, other caches beneath, soft timeout.

Each is a small object with the next stage inside; `Loader` puts them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from cashews._dataclass import dataclass
from cashews._typing import ABSENT
from cashews.commands import Command
from cashews.engine.context import Detector, add, take_back
from cashews.engine.engine import Engine
from cashews.engine.flights import Flights
from cashews.engine.load_locks import LoadLock, hold
from cashews.exceptions import LoadTimeoutError, LockedError
from cashews.guards.locked import Locked
from cashews.messages import LoadPermit
from cashews.runners.call import Call, Target
from cashews.runners.uncached import Uncached
from cashews.strategies.entry import Outcome
from cashews.strategies.strategy import Serve, Strategy

CallLoad: TypeAlias = Callable[[Call, LoadPermit], Awaitable[Outcome]]
"""Loads one call under a permit."""


@dataclass(frozen=True, slots=True)
class HardTimeout:
    """Runs a function, and ends it once it has taken too long (`hard_timeout=`)."""

    engine: Engine
    target: Target
    seconds: float

    async def __call__(self, call: Call) -> object:
        """Run the function.

        :raises LoadTimeoutError: if it takes too long; a cancellation from outside stays one
        """
        clock = self.engine.clock
        with clock.move_on_at(clock.now() + self.seconds) as scope:
            return await self.target.invoke(call)
        if scope.cancelled_caught:
            raise LoadTimeoutError(call.key, self.seconds)
        return None


@dataclass(frozen=True, slots=True)
class OverCaches:
    """Loads, and stores nothing if another cache has answered beneath (`upper=`)."""

    load: Callable[[Call, LoadPermit, Detector], Awaitable[Outcome]]

    async def __call__(self, call: Call, permit: LoadPermit) -> Outcome:
        beneath = Detector()
        add("detectors", beneath)
        try:
            return await self.load(call, permit, beneath)
        finally:
            take_back("detectors", beneath)


@dataclass(frozen=True, slots=True)
class UnderLock:
    """Loads under a lock of the key, and serves a value that another process has stored meanwhile (`lock=`).

    A store that cannot lock costs a load too many, and no call its result.
    """

    engine: Engine
    strategy: Strategy
    locked: Locked
    load: CallLoad
    uncached: Uncached

    async def __call__(self, call: Call, permit: LoadPermit) -> Outcome:
        engine, name = self.engine, f"{call.key}:lock"
        if permit.nested or engine.is_off(Command.SET_LOCK, call.key) or engine.load_locks.waits_for_itself(name):
            return await self.load(call, permit)
        outcomes: list[Outcome] = []
        with engine.load_locks.waiting(permit, name) as lock:
            try:
                await self.locked(Call((), {}, name), partial(self._load, call, permit, lock, outcomes))
            except Exception as error:  # noqa: BLE001  of a middleware, or the lock is the caller's own
                if outcomes or not isinstance(error, LockedError):
                    self.uncached.tolerate(error, "lock")
        return outcomes[0] if outcomes else await self.load(call, permit)

    async def _load(self, call: Call, permit: LoadPermit, lock: LoadLock, outcomes: list[Outcome], _: Call) -> None:
        hold(lock, permit)
        engine, strategy = self.engine, self.strategy
        found = await engine.ask(strategy.read(call.key, ABSENT))
        verdict = strategy.judge(found, engine.clock.wall(), engine.random.random)
        outcomes.append(verdict.outcome if isinstance(verdict, Serve) else await self.load(call, permit))


@dataclass(frozen=True, slots=True)
class SoftTimeout:
    """Loads in the background, and waits for the outcome only for a while (`soft_timeout=`)."""

    engine: Engine
    flights: Flights
    load: Callable[[Call], Awaitable[tuple[Outcome, bool]]]
    load_behind: Callable[[Call], Awaitable[Outcome]]
    """Loads in a worker of the engine."""
    seconds: float

    async def __call__(self, call: Call) -> tuple[Outcome | None, bool]:
        """Load; no outcome once the timeout has passed, or if the refresh was refused."""
        engine, clock = self.engine, self.engine.clock
        if engine.is_off(Command.GET, call.key) or engine.is_off(Command.SET, call.key):
            return await self.load(call)
        with clock.move_on_at(clock.now() + self.seconds):
            behind, join = partial(self.load_behind, call), self.flights.has(call.key)
            return await engine.refresh_and_wait(self.flights, call.key, behind, join=join), True
        return None, False
