"""The runner: asks, lets the strategy judge, and carries out the verdict."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

import anyio

from cashews._typing import ABSENT, AbsentType, assert_never
from cashews.commands import Command
from cashews.conditions import subject, worth
from cashews.engine.ambient import AMBIENT, ambient
from cashews.engine.detection import Detector
from cashews.engine.engine import NOT_NOW, Engine, NotNowType
from cashews.entry import Entry, Loaded, Outcome, Raised, Returned, copied
from cashews.exceptions import LoadTimeoutError
from cashews.messages import Lease, Set
from cashews.strategies.call import Call, Plan, Target, resolve
from cashews.strategies.strategy import Strategy, outcome_of
from cashews.verdicts import Load, LoadOrServe, Serve, ServeAndRefresh

JUDGED = frozenset({AbsentType, NotNowType, Entry, Raised})
"""What needs a judgement; every other thing found is a value, and served as it is."""


class Runner:
    """Runs the calls of one decorated function under one strategy; it alone knows conditions, detection, timeouts."""

    def __init__(self, engine: Engine, target: Target, strategy: Strategy, plan: Plan) -> None:
        self._engine = engine
        self._target = target
        self._strategy = strategy
        self._plan = plan

    def decorated(self) -> Callable[..., Awaitable[Any]]:
        """Return the function that users call. A fresh bare value is served by a straight line."""
        key_of, at_once, read = self._target.key, self._engine.at_once, self._strategy.read
        settle, call = self.settle, Call

        if not self._strategy.reads_first:

            @wraps(self._target.function)
            async def run(*args: Any, **kwargs: Any) -> Any:
                return await settle(call(args, kwargs, key_of(*args, **kwargs)), ABSENT)

            return run

        @wraps(self._target.function)
        async def cached(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            found = at_once(read(key, ABSENT))
            if found.__class__ in JUDGED:
                return await settle(call(args, kwargs, key), found)
            return found

        return cached

    async def settle(self, call: Call, found: object) -> Any:  # noqa: RET503  `assert_never` does not return
        """Answer a call, given what was found in place."""
        engine = self._engine
        if found is NOT_NOW:
            found = await engine.ask(self._strategy.read(call.key, ABSENT))
        verdict = self._strategy.judge(found, engine.clock.wall(), engine.random.random)
        match verdict:
            case Serve(outcome):
                return self._served(call, outcome)
            case ServeAndRefresh(outcome):
                engine.refresher.tell(call.key, partial(self._refresh, call))
                return self._served(call, outcome)
            case Load():
                return await self._load(call)
            case LoadOrServe(errors):
                return await self._load_or_serve(call, errors)
            case _:
                assert_never(verdict)

    # --- answers

    def _served(self, call: Call, outcome: Outcome, error: BaseException | None = None) -> Any:
        """Note that a call was answered from the cache, and answer it."""
        here = AMBIENT.get()
        if here is not None and here.detectors:
            self._record(call, outcome, error, here.detectors)
        if isinstance(outcome, Raised):
            outcome.throw()
        return outcome.value

    def _record(
        self, call: Call, outcome: Outcome, error: BaseException | None, detectors: tuple[Detector, ...]
    ) -> None:
        record: dict[str, Any] = {
            "name": self._strategy.name,
            "ttl": resolve(self._plan.ttl, call, subject(outcome)),
            "backend": self._engine.route_of(call.key).backend.name,
        }
        if error is not None:
            record["exc"] = type(error)
        for detector in detectors:
            detector.record(call.key, record)

    # --- loads

    async def _load(self, call: Call) -> Any:
        outcome, shared = await self._outcome(call)
        if shared:
            return self._served(call, outcome)
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome.value

    async def _load_or_serve(self, call: Call, errors: tuple[type[Exception], ...]) -> Any:
        """Load; if that fails or takes too long, serve what is remembered by then."""
        outcome, shared = await self._outcome_in_time(call)
        if outcome is None or (isinstance(outcome, Raised) and isinstance(outcome.error, errors)):
            remembered = await self._engine.ask(self._strategy.read(call.key, ABSENT))
            if remembered is not ABSENT:
                return self._served(
                    call, outcome_of(remembered), outcome.error if isinstance(outcome, Raised) else None
                )
        if outcome is None:
            return await self._load(call)
        if isinstance(outcome, Raised):
            raise outcome.fresh() if shared else outcome.error
        return self._served(call, outcome) if shared else outcome.value

    async def _outcome_in_time(self, call: Call) -> tuple[Outcome | None, bool]:
        """Load, within the soft timeout if there is one; no outcome when that has passed, the load goes on behind."""
        if self._plan.soft_timeout is None:
            return await self._outcome(call)
        clock = self._engine.clock
        with clock.move_on_at(clock.now() + self._plan.soft_timeout):
            return await self._engine.refresher.ask(call.key, partial(self._refresh, call)), True
        return None, False

    async def _outcome(self, call: Call) -> tuple[Outcome, bool]:
        """Load alone, or share the load that runs."""
        load = partial(self._run, call)
        if not self._plan.protected or self._engine.is_off(Command.GET, call.key):
            return await self._engine.flights.alone(call.key, load), False
        return await self._engine.flights.run(call.key, load)

    async def _refresh(self, call: Call) -> Outcome:
        """Load in a worker of the engine."""
        outcome, _ = await self._outcome(call)
        return outcome

    async def _run(self, call: Call, lease: Lease) -> Outcome:
        """Run the function and keep what is worth it; under a lock against other processes if the plan says so."""
        if self._plan.lease is None or self._engine.is_off(Command.SET_LOCK, call.key):
            return await self._execute(call, lease)
        locks, name = self._engine.locks, f"lock:{call.key}"
        token = locks.token()
        await locks.wait(name, token, self._plan.lease)
        try:
            found = await self._engine.ask(self._strategy.read(call.key, ABSENT))
            verdict = self._strategy.judge(found, self._engine.clock.wall(), self._engine.random.random)
            if isinstance(verdict, Serve):
                return verdict.outcome
            return await self._execute(call, lease)
        finally:
            with anyio.CancelScope(shield=True):
                await locks.release(name, token)

    async def _execute(self, call: Call, lease: Lease) -> Outcome:
        clock = self._engine.clock
        beneath = Detector()
        started = clock.now()
        try:
            outcome: Outcome = Returned(await self._invoke(call, beneath))
        except Exception as error:  # noqa: BLE001  it is an outcome, and raised to every caller
            outcome = Raised(error)
        cost = clock.now() - started
        if not (self._plan.upper and beneath.keys) and cost >= self._plan.min_cost:
            kept = await self._worth(call, outcome)
            if kept is not None:
                await self._keep(call, kept, cost, lease)
        return outcome

    async def _invoke(self, call: Call, beneath: Detector) -> object:
        if self._plan.upper:
            here = AMBIENT.get()
            with ambient(detectors=(*(here.detectors if here else ()), beneath)):
                return await self._call(call)
        return await self._call(call)

    async def _call(self, call: Call) -> object:
        timeout = self._plan.hard_timeout
        if timeout is None:
            return await self._target.function(*call.args, **call.kwargs)
        clock = self._engine.clock
        with clock.move_on_at(clock.now() + timeout):
            return await self._target.function(*call.args, **call.kwargs)
        raise LoadTimeoutError(call.key, timeout)

    async def _worth(self, call: Call, outcome: Outcome) -> Outcome | None:
        condition = self._plan.condition
        if condition is None:
            return outcome if isinstance(outcome, Returned) else None
        answer = condition(subject(outcome), call.args, call.kwargs, key=call.key)
        if inspect.isawaitable(answer):
            answer = await answer
        return worth(outcome, answer)

    async def _keep(self, call: Call, outcome: Outcome, cost: float, lease: Lease) -> None:
        engine, result = self._engine, subject(outcome)
        if isinstance(outcome, Raised):
            outcome = Raised(copied(outcome.error))
        ttl = resolve(self._plan.ttl, call, result)
        if ttl is not None and self._plan.jitter:
            ttl *= 1.0 - self._plan.jitter * engine.random.random()
        loaded = Loaded(outcome, cost, ttl, resolve(self._plan.own_ttl, call, result), engine.clock.wall())
        await engine.ask(Set(call.key, self._strategy.seal(loaded), ttl, None, lease))

    # --- what users may ask of a decorated function

    async def peek(self, call: Call, default: object) -> Any:
        """Return what is remembered for a call, without running the function."""
        found = await self._engine.ask(self._strategy.read(call.key, ABSENT))
        if found is ABSENT:
            return default
        outcome = outcome_of(found)
        return outcome.fresh() if isinstance(outcome, Raised) else outcome.value

    async def refresh(self, call: Call) -> Any:
        """Run the function, keep its outcome and return it."""
        outcome = await self._engine.flights.alone(call.key, partial(self._execute, call))
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome.value
