"""The runner: asks, lets the strategy judge, and carries out the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import wraps
from threading import get_ident
from typing import Any, TypeVar

from cashews._typing import ABSENT, NOT_NOW, AbsentType, NotNowType, assert_never
from cashews.engine.context import AMBIENT
from cashews.engine.engine import Engine
from cashews.engine.flights import ALONE, TAKE_OVER, Answer, Flight
from cashews.engine.observing import Source
from cashews.exceptions import NoKeyError
from cashews.keys.writing import written
from cashews.messages import Recall
from cashews.runners.call import Call, Plan, Target, answer_of, head_of
from cashews.runners.explanation import Explainer
from cashews.runners.loader import Loader
from cashews.runners.observer import CallObserver
from cashews.runners.wrappers import look_first, run_first
from cashews.strategies.entry import Entry, Outcome, Raised, Returned
from cashews.strategies.replay import Replay
from cashews.strategies.strategy import Load, LoadOrServe, Serve, ServeAndRefresh, Strategy, Verdict, outcome_of

T = TypeVar("T")
JUDGED = frozenset({AbsentType, NotNowType, Entry, Raised, Replay})
"""The types of findings that need a judgement; a finding of any other type is a value, and is the answer."""
KINDS = {"type": type, "JUDGED": JUDGED, "ABSENT": ABSENT, "Entry": Entry, "Returned": Returned, "Replay": Replay}
"""The names for kinds of findings in the text of wrappers."""


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
        self._draw = engine.random.random
        self._loader = Loader(engine, target, strategy, plan, self.observer)

    def decorated(self) -> Callable[..., Awaitable[Any]]:
        """Return the function that users call."""
        target, strategy, loader = self._target, self._strategy, self._loader
        head = head_of(target, self._plan, self.observer.name)
        values = {"NoKeyError": NoKeyError, "Call": Call, "run_alone": self._run_alone, "counts": self._counts}
        values |= {"Exception": Exception, "BaseException": BaseException, "function": target.function}
        if loader.plain is not None:
            values |= {"begin": loader.plain.beginner(), "land": loader.plain.lander(), "finish": loader.finish}
            values |= {"fail": loader.fail, "hand_over": loader.flights.hand_over}
        if strategy.covers is None:
            text = look_first(strategy, leads=loader.plain is not None)
            values |= {"lines": self._engine, "wall": self._engine.clock.wall, **KINDS}
            values |= {"load": loader.load, "answer_of": answer_of, "shared_answer": self._shared}
            values |= {"running": self._engine.running, "join": loader.join, "leave": loader.flights.leave}
            values |= {"go_on": self._go_on, "TAKE_OVER": TAKE_OVER, "ALONE": ALONE}
            values |= {"answer": self._answer, "observing": self._observing, "missed": self.observer.missed}
            values |= {"NOT_NOW": NOT_NOW, "pause": self._pause}
        else:
            text = run_first(leads=loader.plain is not None)
            values |= {"load_or_serve": self._load_or_serve, "stand_in": self._stand_in, "covered": strategy.covers}
        return wraps(target.function)(written(head, self.observer.name, text, values))

    async def _run_alone(self, error: NoKeyError, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the function for a call that can have no key, and say so once."""
        self._counts.others += 1
        self.observer.note(error, "key")
        return await self.run(args, kwargs)

    async def _answer(self, call: Call, found: object) -> Any:  # noqa: RET503  `assert_never` does not return
        """Answer a call, given the finding of a straight line that is neither the answer nor absence."""
        if found is NOT_NOW:
            found = self._engine.in_place(self._strategy.read(call.key, ABSENT), True)
        counts, strategy = self._counts, self._strategy
        if found is NOT_NOW:
            found = await self._read(call)
        verdict = None if found is NOT_NOW else strategy.judge(found, self._engine.clock.wall(), self._draw)
        match verdict:
            case Load():
                counts.others += 1
                return await self._load(call)
            case Serve(outcome):
                counts.hits += 1
                return self._served(Source.HIT, call, outcome, found)
            case ServeAndRefresh(outcome):
                counts.others += 1
                counts.stale += 1
                self._loader.refresh(call)
                return self._served(Source.STALE, call, outcome, found)
            case LoadOrServe(errors):
                counts.others += 1
                return await self._load_or_serve(call, errors)
            case None:
                counts.others += 1
                return await self._loader.run(call)
            case _:
                assert_never(verdict)

    async def _pause(self) -> None:
        """Have the engine ready: it lets other tasks run once the budget is spent, and opens again.

        An error comes again when the engine is asked.
        """
        with suppress(Exception):
            await self._engine.prepare()

    async def _read(self, call: Call) -> object:
        """Ask for the stored form of a call; `NOT_NOW` if the cache cannot read.

        From another loop than the home's, the end of a load may be heard of before a read of earlier. A second read is
        younger than that end, and so than the value that was stored by then.
        """
        engine, flights, read = self._engine, self._loader.flights, self._strategy.read(call.key, ABSENT)
        end = flights.latest_end
        try:
            found = await engine.ask(read)
            if found is ABSENT and end != flights.latest_end and engine.home_thread != get_ident():
                found = await engine.ask(read)
            return found
        except Exception as error:  # noqa: BLE001  of a middleware, or the cache is closed
            self.observer.tolerate(error, "read", call.key)
            return NOT_NOW

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
        """Answer a call for which nothing is stored that may be served."""
        if self._observing.listeners:
            self.observer.missed(call.key)
        outcome, shared = await self._loader.load(call)
        return self._shared(call, outcome) if shared else answer_of(outcome, shared=False)

    async def _go_on(self, call: Call, flight: Flight, answer: Answer) -> Any:
        """Answer a call that has waited for another one's load, and has to load after all."""
        outcome, shared = await self._loader.go_on(call, flight, answer)
        return self._shared(call, outcome) if shared else answer_of(outcome, shared=False)

    def _load_uncached(self, call: Call, error: Exception) -> Awaitable[Any]:
        """Run the function, which has not run: the cache cannot load."""
        self.observer.tolerate(error, "load", call.key)
        return self._loader.run(call)

    async def _load_or_serve(self, call: Call, errors: tuple[type[Exception], ...]) -> Any:
        """Load; if that fails with one of some errors or takes too long, serve the stored outcome."""
        alone: Awaitable[Any] | None = None
        if self._engine.is_closed:
            await self._pause()  # which opens it again as a read would; the store of a load's outcome does not
        try:
            outcome, shared = await self._loader.load_in_time(call)
        except Exception as failure:  # noqa: BLE001  as in `_load`
            outcome, shared, alone = None, False, self._load_uncached(call, failure)
        if alone is not None:
            return await alone
        return await self._stand_in(call, outcome, errors, shared=shared)

    async def _stand_in(
        self, call: Call, outcome: Outcome | None, errors: tuple[type[Exception], ...], *, shared: bool = False
    ) -> Any:
        """Answer a call with the outcome of its load, or with the stored one if that has failed or takes too long."""
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
