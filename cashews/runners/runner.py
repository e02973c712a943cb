"""The runner: asks, lets the strategy judge, and carries out the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from cashews._typing import ABSENT, NOT_NOW, AbsentType, NotNowType, assert_never
from cashews.backends.direct import SHUT, StraightLines
from cashews.engine.context import AMBIENT
from cashews.engine.engine import Engine
from cashews.engine.observing import Source
from cashews.exceptions import NoKeyError
from cashews.messages import Recall
from cashews.runners.call import Call, Plan, Target, answer_of
from cashews.runners.explanation import Explainer
from cashews.runners.loader import Loader
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Entry, Outcome, Raised, Returned
from cashews.strategies.replay import Replay
from cashews.strategies.strategy import Load, LoadOrServe, Serve, ServeAndRefresh, Strategy, Verdict, outcome_of

T = TypeVar("T")
JUDGED = frozenset({AbsentType, NotNowType, Entry, Raised, Replay})
"""The types of findings that need a judgement; a finding of any other type is a value, and is the answer."""


class Runner:
    """Answers the calls of one decorated function under one strategy."""

    def __init__(self, engine: Engine, target: Target, strategy: Strategy, plan: Plan) -> None:
        self._engine = engine
        self._target = target
        self._strategy = strategy
        self._plan = plan
        self.observer = CallObserver(engine, target.function, strategy.name, plan)
        self._counts = self.observer.counts
        self._observing = engine.observing
        self._loader = Loader(engine, target, strategy, plan, self.observer)

    def decorated(self) -> Callable[..., Awaitable[Any]]:
        """Return the function that users call."""
        return self._served_first() if self._strategy.covers is None else self._run_first(self._strategy.covers)

    def _run_first(self, covered: tuple[type[Exception], ...]) -> Callable[..., Awaitable[Any]]:
        """Return the function that users call, of a strategy that runs theirs at each call."""
        key_of, load_or_serve, run_alone, counts = self._target.key, self._load_or_serve, self._run_alone, self._counts

        @wraps(self._target.function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            try:
                call = Call(args, kwargs, key_of(*args, **kwargs))
            except NoKeyError as error:
                alone = run_alone(error, args, kwargs)
            else:
                counts.others += 1
                return await load_or_serve(call, covered)
            return await alone

        return run

    def _served_first(self) -> Callable[..., Awaitable[Any]]:
        """Return the function that users call. A fresh value is served by a straight line."""
        # The only reads that are not `await engine.ask(...)`: a hit takes 0.80 µs this way, and 1.15 µs the other.
        key_of, in_place, read = self._target.key, self._engine.in_place, self._strategy.read
        straight: StraightLines = self._engine if read is Recall else SHUT  # for a read that changes its entry
        wall, is_fresh = self._engine.clock.wall, self._strategy.is_fresh
        answer, load, run_alone, counts = self._answer, self._loader.load, self._run_alone, self._counts
        observing, missed, shared_answer = self._observing, self.observer.missed, self._shared
        is_watched = self.observer.is_watched

        @wraps(self._target.function)
        async def cached(*args: Any, **kwargs: Any) -> Any:
            try:
                key = key_of(*args, **kwargs)
            except NoKeyError as error:
                alone = run_alone(error, args, kwargs)
            else:
                found = straight.look(key)
                if found is NOT_NOW:
                    found = in_place(read(key, ABSENT), True)
                    if found is not ABSENT and is_watched():
                        return await answer(Call(args, kwargs, key), found)
                if type(found) not in JUDGED:
                    counts.hits += 1
                    return found
                if found is ABSENT:
                    counts.others += 1
                    if observing.listeners:
                        missed(key)
                    call = Call(args, kwargs, key)
                    outcome, shared = await load(call)
                    return shared_answer(call, outcome) if shared else answer_of(outcome, shared=False)
                if type(found) is not Entry or not is_fresh(found, wall()):
                    return await answer(Call(args, kwargs, key), found)
                counts.hits += 1
                return answer_of(found.outcome, shared=True)
            return await alone  # not in the handler: an error of the function has no context of ours

        return cached

    async def _run_alone(self, error: NoKeyError, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the function for a call that can have no key, and say so once."""
        self._counts.others += 1
        self.observer.note(error, "key")
        return await self.run(args, kwargs)

    async def _answer(self, call: Call, found: object) -> Any:  # noqa: RET503  `assert_never` does not return
        """Answer a call, given the finding of a read in place."""
        if type(found) not in JUDGED:
            self._counts.hits += 1
            return self._served(Source.HIT, call, Returned(found), found)
        engine = self._engine
        verdict: Verdict | None = None
        try:
            if found is NOT_NOW:
                found = await engine.ask(self._strategy.read(call.key, ABSENT))
            verdict = self._strategy.judge(found, engine.clock.wall(), engine.random.random)
        except Exception as error:  # noqa: BLE001  of a middleware, or the cache is closed
            self.observer.tolerate(error, "read", call.key)
            self._counts.others += 1
        match verdict:
            case None:
                return await self._loader.run(call)
            case Serve(outcome):
                self._counts.hits += 1
                return self._served(Source.HIT, call, outcome, found)
            case ServeAndRefresh(outcome):
                self._counts.others += 1
                self._counts.stale += 1
                self._loader.refresh(call)
                return self._served(Source.STALE, call, outcome, found)
            case Load():
                self._counts.others += 1
                return await self._load(call)
            case LoadOrServe(errors):
                self._counts.others += 1
                return await self._load_or_serve(call, errors)
            case _:
                assert_never(verdict)

    def _served(
        self, source: Source, call: Call, outcome: Outcome, found: object = None, error: BaseException | None = None
    ) -> Any:
        """Answer a call with an outcome that is not of its own load.

        :param found: the stored form of the outcome, if it is known
        :param error: the exception that the answer stands in for
        """
        here = AMBIENT.get()
        if self._observing.listeners or (here is not None and here.detectors):
            self.observer.answered(source, call, outcome, found, error)
        return answer_of(outcome, shared=True)

    def _shared(self, call: Call, outcome: Outcome) -> Any:
        """Answer a call with the outcome of another one's load."""
        self._counts.shared += 1
        return self._served(Source.SHARED, call, outcome)

    async def _load(self, call: Call) -> Any:
        self.observer.missed(call.key)
        outcome, shared = await self._loader.load(call)
        return self._shared(call, outcome) if shared else answer_of(outcome, shared=False)

    def _load_uncached(self, call: Call, error: Exception) -> Awaitable[Any]:
        """Run the function, which has not run: the cache cannot load."""
        self.observer.tolerate(error, "load", call.key)
        return self._loader.run(call)

    async def _load_or_serve(self, call: Call, errors: tuple[type[Exception], ...]) -> Any:
        """Load; if that fails with one of some errors or takes too long, serve the stored outcome."""
        alone: Awaitable[Any] | None = None
        try:
            outcome, shared = await self._loader.load_in_time(call)
        except Exception as failure:  # noqa: BLE001  as in `_load`
            outcome, shared, alone = None, False, self._load_uncached(call, failure)
        if alone is not None:
            return await alone
        if outcome is None or (isinstance(outcome, Raised) and isinstance(outcome.error, errors)):
            remembered = await self._remembered(call)
            if remembered is not ABSENT:
                self._counts.stale += 1
                error = outcome.error if isinstance(outcome, Raised) else None
                return self._served(Source.STALE, call, outcome_of(remembered), remembered, error)
        if outcome is None:
            return await self._load(call)
        return self._shared(call, outcome) if shared else answer_of(outcome, shared=False)

    async def _remembered(self, call: Call) -> object:
        """Return the stored form of a call, by a plain read: this call has had its hit."""
        try:
            return await self._engine.ask(Recall(call.key, ABSENT))
        except Exception as error:  # noqa: BLE001  then the function's own failure is the answer
            self.observer.tolerate(error, "read", call.key)
            return ABSENT

    # --- the methods of a decorated function

    async def peek(self, call: Call, default: object) -> Any:
        """Return the stored outcome of a call, an exception as a value, without running the function."""
        found = await self._engine.ask(Recall(call.key, ABSENT))
        if found is ABSENT:
            return default
        outcome = outcome_of(found)
        return outcome.fresh() if isinstance(outcome, Raised) else answer_of(outcome, shared=True)

    def explainer(self) -> Explainer:
        """Return the function that explains calls."""
        loader, name = self._loader, self.observer.name
        return Explainer(self._engine, self._target, self._plan, name, self._look, loader.is_refreshing)

    async def _look(self, key: str) -> tuple[bool, Verdict]:
        found = await self._engine.ask(Recall(key, ABSENT))
        return found is not ABSENT, self._strategy.foresee(found, self._engine.clock.wall())

    async def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the function for a call that can have no key, uncached."""
        return await self._loader.run(Call(args, kwargs, ""))

    async def refresh(self, call: Call) -> Any:
        """Run the function, store its outcome and return it."""
        outcome, _ = await self._loader.load_alone(call)
        return answer_of(outcome, shared=False)
