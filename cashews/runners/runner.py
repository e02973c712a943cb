"""The runner: asks, lets the strategy judge, and carries out the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

from cashews._typing import ABSENT, AbsentType, assert_never
from cashews.backends.interface import NOT_NOW, NotNowType
from cashews.commands import Command
from cashews.engine.context import AMBIENT, Detector, ambient
from cashews.engine.coordinator.lock_context import LockContext
from cashews.engine.engine import Engine
from cashews.exceptions import CacheClosedError, LoadTimeoutError
from cashews.messages import KnownTags, LoadPermit, Recall, Set
from cashews.runners.call import Call, Plan, Target, consult, lifetime, record_of, resolve
from cashews.strategies.conditions import content_of, worth
from cashews.strategies.entry import Entry, Loaded, Outcome, Raised, Returned
from cashews.strategies.strategy import Load, LoadOrServe, Serve, ServeAndRefresh, Strategy, Verdict, outcome_of

JUDGED = frozenset({AbsentType, NotNowType, Entry, Raised})
"""What needs a judgement; every other thing found is a value, and served as it is."""


class Runner:
    """Runs the calls of one decorated function under one strategy; it alone knows conditions, detection, timeouts."""

    def __init__(self, engine: Engine, target: Target, strategy: Strategy, plan: Plan) -> None:
        self._engine = engine
        self._target = target
        self._strategy = strategy
        self._plan = plan
        self._invoke = target.invoke if plan.hard_timeout is None else self._in_time
        self._load_unlocked = self._over_caches if plan.upper else self._execute
        self._load_once = self._load_unlocked if plan.lease is None else self._under_lock
        self._outcome_or_none = self._outcome if plan.soft_timeout is None else self._outcome_in_time

    def decorated(self) -> Callable[..., Awaitable[Any]]:
        """Return the function that users call. A fresh bare value is served by a straight line."""
        key_of, in_place, read = self._target.key, self._engine.in_place, self._strategy.read
        answer, call = self.answer, Call

        if self._strategy.covers is not None:
            load_or_serve, covered = self._load_or_serve, self._strategy.covers

            @wraps(self._target.function)
            async def run(*args: Any, **kwargs: Any) -> Any:
                return await load_or_serve(call(args, kwargs, key_of(*args, **kwargs)), covered)

            return run

        @wraps(self._target.function)
        async def cached(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            found = in_place(read(key, ABSENT))
            if found.__class__ in JUDGED:
                return await answer(call(args, kwargs, key), found)
            return found

        return cached

    async def answer(self, call: Call, found: object) -> Any:
        """Answer a call, given what was found in place."""
        engine = self._engine
        if found is NOT_NOW:
            found = await engine.ask(self._strategy.read(call.key, ABSENT))
        return await self._act(call, self._strategy.judge(found, engine.clock.wall(), engine.random.random))

    async def _act(self, call: Call, verdict: Verdict) -> Any:  # noqa: RET503  `assert_never` does not return
        match verdict:
            case Serve(outcome):
                return self._served(call, outcome)
            case ServeAndRefresh(outcome):
                self._engine.refresher.tell(call.key, partial(self._refresh, call))
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
        record = record_of(self._engine, self._strategy.name, self._plan, call, content_of(outcome))
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
        outcome, shared = await self._outcome_or_none(call)
        if outcome is None or (isinstance(outcome, Raised) and isinstance(outcome.error, errors)):
            remembered = await self._engine.ask(Recall(call.key, ABSENT))  # a plain read: this call has had its hit
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
        """Load, within the soft timeout; no outcome when that has passed, the load goes on behind."""
        clock, is_off = self._engine.clock, self._engine.is_off
        if is_off(Command.GET, call.key) or is_off(Command.SET, call.key):
            return await self._outcome(call)
        with clock.move_on_at(clock.now() + (self._plan.soft_timeout or 0.0)):
            return await self._engine.refresher.ask(call.key, partial(self._refresh, call)), True
        return None, False

    async def _outcome(self, call: Call) -> tuple[Outcome, bool]:
        """Load alone, or share the load that runs; says whether the outcome is another call's."""
        flights, tagging = self._engine.flights, self._tagging(call)
        if not self._plan.protected or self._engine.is_off(Command.GET, call.key):
            return await flights.alone(call.key, partial(self._load_once, call), tagging), False
        return await flights.run(call.key, partial(self._load_once, call), tagging)

    def _tagging(self, call: Call) -> KnownTags | None:
        """Return what is known of the tags of a call's value, now: arguments may change while the function runs."""
        if self._target.tags is None and not self._engine.tags.rules:
            return None
        return self._target.tagging(call, self._engine.tags.of(call.key))

    async def _refresh(self, call: Call) -> Outcome:
        """Load in a worker of the engine."""
        outcome, _ = await self._outcome(call)
        return outcome

    async def _under_lock(self, call: Call, permit: LoadPermit) -> Outcome:
        """Load, locked against other processes; serve what one of them has stored meanwhile.

        A store that cannot lock costs a load too many, and no caller his result.
        """
        engine = self._engine
        if self._plan.lease is None or engine.is_off(Command.SET_LOCK, call.key):
            return await self._load_unlocked(call, permit)
        lock = engine.locks.claim(f"{call.key}:lock", self._plan.lease)
        async with LockContext(engine.locks, lock, insist=False):
            found = await engine.ask(self._strategy.read(call.key, ABSENT))
            verdict = self._strategy.judge(found, engine.clock.wall(), engine.random.random)
            return verdict.outcome if isinstance(verdict, Serve) else await self._load_unlocked(call, permit)

    async def _over_caches(self, call: Call, permit: LoadPermit) -> Outcome:
        """Load, and keep nothing that came from a cache beneath."""
        here, beneath = AMBIENT.get(), Detector()
        with ambient(detectors=(*(here.detectors if here else ()), beneath)):
            return await self._execute(call, permit, beneath)

    async def _execute(self, call: Call, permit: LoadPermit, beneath: Detector | None = None) -> Outcome:
        """Run the function and keep its outcome, if it is worth it."""
        plan, now = self._plan, self._engine.clock.now
        if permit.tagging is not None:
            permit.since = await self._engine.mark(call.key)
        started = now()
        try:
            outcome: Outcome = Returned(await self._invoke(call))
        except Exception as error:  # noqa: BLE001  it is an outcome, and raised to every caller
            outcome = Raised(error)
        cost = now() - started
        if cost < plan.min_cost or (beneath is not None and beneath.keys):
            return outcome
        if plan.condition is not None:
            kept = worth(outcome, await consult(plan.condition, content_of(outcome), call))
        else:
            kept = outcome if isinstance(outcome, Returned) else None
        if kept is not None:
            try:  # noqa: SIM105  `suppress` costs a tenth of the whole load
                await self._engine.ask(self._sealed(call, kept, cost, permit))
            except CacheClosedError:  # while the function ran: its outcome is an answer all the same
                pass
        return outcome

    async def _in_time(self, call: Call) -> object:
        """Run the function, at most for the hard timeout."""
        clock, timeout = self._engine.clock, self._plan.hard_timeout or 0.0
        with clock.move_on_at(clock.now() + timeout):
            return await self._target.invoke(call)
        raise LoadTimeoutError(call.key, timeout)

    def _sealed(self, call: Call, outcome: Outcome, cost: float, permit: LoadPermit) -> Set:
        """Return the message that has an outcome kept."""
        engine, result = self._engine, content_of(outcome)
        ttl = lifetime(self._plan, call, result, engine.random.random)
        own_ttl = resolve(self._plan.own_ttl, call, result)
        kept = self._strategy.seal(Loaded(outcome, cost, ttl, own_ttl, engine.clock.wall()))
        if permit.tagging is None:
            return Set(call.key, kept, ttl, None, permit)
        return self._target.keeping(call, outcome, kept, ttl, permit)

    # --- what users may ask of a decorated function

    async def peek(self, call: Call, default: object) -> Any:
        """Return what is remembered for a call, without running the function."""
        found = await self._engine.ask(Recall(call.key, ABSENT))
        if found is ABSENT:
            return default
        outcome = outcome_of(found)
        return outcome.fresh() if isinstance(outcome, Raised) else outcome.value

    async def refresh(self, call: Call) -> Any:
        """Run the function, keep its outcome and return it."""
        outcome = await self._engine.flights.alone(call.key, partial(self._execute, call), self._tagging(call))
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome.value
