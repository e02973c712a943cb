"""The stages that options put around a load: hard timeout, lock, other caches beneath, soft timeout.

Each is a small object with the next stage inside; `Loader` puts them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import is_
from typing import Any, TypeAlias

from cashews._dataclass import dataclass
from cashews._typing import ABSENT
from cashews.commands import Command
from cashews.engine.context import Detector, add, take_back
from cashews.engine.engine import Engine
from cashews.engine.flights import Flights
from cashews.engine.load_locks import LoadLock, hold
from cashews.engine.observing import ValueEvent
from cashews.exceptions import LoadTimeoutError, LockedError
from cashews.guards.locked import Locked
from cashews.messages import LoadPermit
from cashews.runners.call import Call, Target
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Outcome, Returned
from cashews.strategies.strategy import Serve, Strategy

CallLoad: TypeAlias = Callable[[Call, LoadPermit], Awaitable[Outcome]]
"""Loads one call under a permit."""


def lock_name(key: str) -> str:
    """Return the name of the lock under which a key is loaded."""
    return f"{key}:lock"


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
    """Loads, and stores nothing if a cache has answered beneath.

    `detector` makes the collector of the answers that count for a call: of all for `upper=`, for a failover of those
    that stood in for its function.
    """

    load: Callable[[Call, LoadPermit, Detector], Awaitable[Outcome]]
    detector: Callable[[Call], Detector]

    async def __call__(self, call: Call, permit: LoadPermit) -> Outcome:
        beneath = self.detector(call)
        add("detectors", beneath)
        try:
            return await self.load(call, permit, beneath)
        finally:
            take_back("detectors", beneath)


def all_answers(_: Call) -> Detector:
    """Return a collector of the answers of every cache."""
    return Detector()


class StandIns(Detector):
    """Collects the answers of caching decorators to one call, beneath the decorator that takes it.

    An answer to a call of other arguments is none: a function that runs may ask itself, or other functions.

    :param functions: the decorated functions beneath
    """

    __slots__ = ("_call", "_functions")

    def __init__(self, functions: Sequence[object], call: Call) -> None:
        super().__init__()
        self._functions = functions
        self._call = call

    def take(self, function: object, call: Call, event: ValueEvent) -> None:
        if any(function is each for each in self._functions) and _is_handed_on(self._call, call):
            super().take(function, call, event)


def _is_handed_on(call: Call, beneath: Call) -> bool:
    """Say whether a call beneath has the very arguments of a call; a bound method or a partial adds some in front."""
    added = len(beneath.args) - len(call.args)
    return (
        added >= 0
        and all(map(is_, call.args, beneath.args[added:]))
        and all(name in beneath.kwargs and beneath.kwargs[name] is value for name, value in call.kwargs.items())
    )


def functions_beneath(function: Any) -> tuple[object, ...]:
    """Return a function and those that its decorators wrap; none if no caching decorator is among them."""
    functions, is_cached = [function], False
    while True:
        is_cached = is_cached or hasattr(function, "peek")
        function = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if function is None:
            return tuple(functions) if is_cached else ()
        functions.append(function)


@dataclass(frozen=True, slots=True)
class UnderLock:
    """Loads under a lock of the key, and serves a value that another process has stored meanwhile (`lock=`).

    A store that cannot lock costs a load too many, and no call its result.
    """

    engine: Engine
    strategy: Strategy
    locked: Locked
    load: CallLoad
    observer: CallObserver

    async def __call__(self, call: Call, permit: LoadPermit) -> Outcome:
        engine, name = self.engine, lock_name(call.key)
        if engine.is_off(Command.SET_LOCK, call.key) or engine.load_locks.waits_for_itself(name):
            return await self.load(call, permit)
        outcomes: list[Outcome] = []
        with engine.load_locks.waiting(permit, name) as lock:
            try:
                await self.locked(Call((), {}, name), partial(self._load, call, permit, lock, outcomes))
            except Exception as error:  # noqa: BLE001  of a middleware, or the lock is the caller's own
                if outcomes or not isinstance(error, LockedError):
                    self.observer.tolerate(error, "lock", call.key)
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
        """Load; no outcome once the timeout has passed, if the refresh was refused, or if nobody can have it."""
        engine, clock = self.engine, self.engine.clock
        if engine.is_off(Command.GET, call.key) or engine.is_off(Command.SET, call.key):
            return await self.load(call)
        with clock.move_on_at(clock.now() + self.seconds):
            behind, join = partial(self.load_behind, call), self.flights.has(call.key)
            outcome = await engine.refresh_and_wait(self.flights, call.key, behind, join=join)
            return None if isinstance(outcome, Returned) and outcome.value is ABSENT else outcome, True
        return None, False
