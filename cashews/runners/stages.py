"""The stages that options put around a load: hard timeout, lock, other caches beneath, soft timeout.

Each is a small object with the next stage inside; `Loader` puts them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import Parameter, Signature
from operator import is_
from typing import Any, TypeAlias, cast

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
from cashews.keys.signatures import signature_of
from cashews.messages import LoadPermit
from cashews.runners.call import Call, Target
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Outcome, Returned
from cashews.strategies.strategy import Serve, Strategy

CallLoad: TypeAlias = Callable[[Call, LoadPermit], Awaitable[Outcome]]
"""Loads one call under a permit."""
Functions: TypeAlias = Sequence[tuple[object, Signature]]
"""Functions that hand calls on, from the outside in, with their signatures."""


def load_lock_name(key: str) -> str:
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

    :param functions: the decorated function, and those beneath it, with their signatures
    """

    __slots__ = ("_call", "_functions")

    def __init__(self, functions: Functions, call: Call) -> None:
        super().__init__()
        self._functions = functions
        self._call = call

    def take(self, function: object, call: Call, event: ValueEvent) -> None:
        for each, signature in self._functions:
            if each is function and self._is_handed_on_as(call, signature):
                super().take(function, call, event)

    def _is_handed_on_as(self, beneath: Call, signature: Signature) -> bool:
        """Say whether a call beneath has the very arguments of the call, however it passes them."""
        call = self._call
        if not (call.kwargs or beneath.kwargs) and len(call.args) == len(beneath.args):
            return all(map(is_, call.args, beneath.args))
        here, there = _arguments(call, self._functions[0][1]), _arguments(beneath, signature)
        return all(there.get(place, ABSENT) is argument for place, argument in here.items())


def _arguments(call: Call, signature: Signature) -> dict[object, object]:
    """Return the arguments of a call by their names, those of ``*args`` by their places."""
    bound = signature.bind(*call.args, **call.kwargs)
    bound.apply_defaults()
    named: dict[object, object] = dict(bound.arguments.items())
    for name, one in signature.parameters.items():
        if one.kind is Parameter.VAR_POSITIONAL:
            named.update(enumerate(cast("tuple[object, ...]", named.pop(name))))
        elif one.kind is Parameter.VAR_KEYWORD:
            named.update(cast("dict[str, object]", named.pop(name)))
    return named


def functions_beneath(function: Any) -> Functions:
    """Return a function and those that its decorators wrap; none if no caching decorator is among them."""
    functions: list[Any] = []
    while callable(function):
        functions.append(function)
        function = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
    is_cached = any(hasattr(each, "peek") for each in functions)
    return tuple((each, signature_of(each)) for each in functions) if is_cached else ()


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
        engine, name = self.engine, load_lock_name(call.key)
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
