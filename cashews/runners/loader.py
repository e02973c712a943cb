"""The load path: every function whose outcome is stored runs here, and its outcome is stored here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from cashews._typing import NOT_NOW
from cashews.actors.slots import BareSlot
from cashews.commands import Command
from cashews.engine.context import Detector
from cashews.engine.engine import Engine
from cashews.engine.flights import ALONE, NO_FLIGHT, Answer, Flight
from cashews.exceptions import EncodeError
from cashews.guards.locked import Locked
from cashews.messages import KnownTags, LoadPermit, Set, UnknownTags
from cashews.runners.call import Call, Plan, Target, consult, fixed_durations, lifetime, resolve
from cashews.runners.live import Ending, Live
from cashews.runners.observer import CallObserver
from cashews.runners.plain import PlainLoads
from cashews.runners.stages import (
    CallLoad,
    HardTimeout,
    OverCaches,
    SoftTimeout,
    StandIns,
    UnderLock,
    all_answers,
    functions_beneath,
)
from cashews.strategies.conditions import content_of, worth
from cashews.strategies.entry import Outcome, Raised, Returned, Unstored
from cashews.strategies.replay import kind_of_live
from cashews.strategies.strategy import Strategy


class Loader:
    """Loads the calls of one function: single flight, lock, the function itself, and the store.

    The stages from the outside in, each only if the plan asks for it: `SoftTimeout`, single flight (`protected`),
    `UnderLock`, `OverCaches`, `execute`, and in it `HardTimeout` around the function.
    """

    def __init__(self, engine: Engine, target: Target, strategy: Strategy, plan: Plan, observer: CallObserver) -> None:
        self._engine = engine
        self.observer = observer
        self._counts = observer.counts
        self._observing = engine.observing
        self._target = target
        self._strategy = strategy
        self._plan = plan
        self._now = engine.clock.now
        self.flights = engine.flights()
        self._fixed = fixed_durations(plan)
        self._invoke = target.invoke if plan.hard_timeout is None else HardTimeout(engine, target, plan.hard_timeout)
        self._load: CallLoad = self.execute
        beneath = functions_beneath(target.function) if strategy.covers is not None else ()
        if plan.upper or beneath:
            self._load = OverCaches(self.execute, all_answers if plan.upper else partial(StandIns, beneath))
        if plan.lease is not None:
            locked = Locked(engine, plan.lease, insist=False)
            self._load = UnderLock(engine, strategy, locked, self._load, observer)
        self.load_in_time: Callable[[Call], Awaitable[tuple[Outcome | None, bool]]] = self.load
        """Loads like `load`, but within the soft timeout: no outcome once that has passed."""
        if plan.soft_timeout is not None:
            self.load_in_time = SoftTimeout(engine, self.flights, self.load, self._load_behind, plan.soft_timeout)

        plain = PlainLoads(engine, self.flights, target, strategy, plan, observer)
        self.plain = plain if plain.is_possible() and not beneath else None
        """The loads that the wrapper of the function leads by itself; `None` if it leads none."""

    # --- the ends of plain loads

    def fail(self, flight: Flight, error: Exception) -> Raised:
        """End a load whose function has raised an exception, and return its outcome.

        The load ends first: near the limit of recursion, there may be no room for the rest.
        """
        flight.end_here()
        self.flights.remove(flight)
        outcome = Raised(error)
        if flight.waiters:
            flight.tell(outcome)
        self.observer.loaded(flight.key, self._now() - flight.began, outcome)
        return outcome

    async def finish(self, flight: Flight, call: Call, result: object, cost: float) -> None:
        """End a load with a result that is not stored in place."""
        await self.flights.lead(flight, self._end, (call, Returned(result), cost))

    async def _end(self, ended: tuple[Call, Returned, float], permit: LoadPermit) -> Outcome:
        call, outcome, cost = ended
        self.observer.loaded(call.key, cost, outcome)
        return await self._keep(call, permit, outcome, cost)

    # --- loads of every kind

    def load(self, call: Call) -> Awaitable[tuple[Outcome, bool]]:
        """Load, or share the load of this key that runs; says whether the outcome is another call's."""
        join = self._plan.protected and not self._engine.is_off(Command.GET, call.key)
        return self.flights.load(call.key, self._load, call, self._tagging(call), join=join)

    def join(self, key: str) -> tuple[Flight, BareSlot[Answer]] | tuple[None, None]:
        """Wait for the load of a key that runs, in a context where nothing is in the way of that; see `Flights.join`.

        Tags are worked out before a call waits, and take a call: nobody joins so if there may be any.
        """
        return NO_FLIGHT if self._target.has_tags() else self.flights.join(key)

    def go_on(self, call: Call, flight: Flight, answer: Answer) -> Awaitable[tuple[Outcome, bool]]:
        """Load after an answer to a joined call that is no outcome; see `Flights.go_on`."""
        return self.flights.go_on(flight, answer, self._load, call, self._tagging(call))

    def _tagging(self, call: Call) -> KnownTags | None:
        try:
            return self._target.tagging(call)
        except Exception as error:  # noqa: BLE001  of the user's own callable or argument
            self.observer.tolerate(error, "tags", call.key)
            return UnknownTags(error)

    def is_refreshing(self, key: str) -> bool:
        """Say whether a refresh of a key waits or runs."""
        return self._engine.is_refreshing(self.flights, key)

    def run(self, call: Call) -> Awaitable[object]:
        """Run the function for a call that the cache can do nothing for: nothing is joined, locked or stored."""
        return self._invoke(call)

    def refresh(self, call: Call) -> bool:
        """Have a call loaded in the background; says whether it is going to be."""
        try:
            run, tracer = partial(self._load_behind, call), self._observing.tracer
            asked = self._engine.refresh(self.flights, call.key, run if tracer is None else tracer.behind(run))
        except Exception as error:  # noqa: BLE001  the old value is an answer all the same
            self.observer.tolerate(error, "refresh", call.key)
            return False
        if asked:
            self.observer.refreshing(call.key)
        return asked

    async def _load_behind(self, call: Call) -> Outcome:
        """Load in a worker of the engine."""
        outcome, _ = await self.load(call)
        return await outcome.drained() if isinstance(outcome, Live) else outcome

    def load_alone(self, call: Call) -> Awaitable[tuple[Outcome, bool]]:
        """Run the function and store its outcome, even if another load runs, and without a lock."""
        return self.flights.load(call.key, self.execute, call, self._tagging(call), join=False)

    async def execute(self, call: Call, permit: LoadPermit, beneath: Detector | None = None) -> Outcome:
        """Run the function, and store its outcome if that is worth it.

        :param beneath: has detected the answers of other caches; if there were any, nothing is stored
        """
        if permit.tagging is not None or self._engine.follows:
            await self._announce(permit)
        started = self._now()
        try:
            run = self._invoke(call)
            if self._observing.tracer is not None:
                run = self.observer.traced(call.key, run)
            outcome: Outcome = Returned(await run)
        except Exception as error:  # noqa: BLE001  it is an outcome, and raised to every caller
            outcome = Raised(error)
        cost = self._now() - started
        self.observer.loaded(call.key, cost, outcome)
        return await self._keep(call, permit, outcome, cost, beneath)

    async def _keep(
        self, call: Call, permit: LoadPermit, outcome: Outcome, cost: float, beneath: Detector | None = None
    ) -> Outcome:
        """Store an outcome if that is worth it, and return it; say so if it could not be stored."""
        engine, plan = self._engine, self._plan
        kind = kind_of_live(outcome.value) if type(outcome) is Returned else None
        if kind is not None:  # it has one reader, and others load for themselves
            self.flights.answer(permit, ALONE)
        if cost < plan.min_cost or (beneath is not None and beneath.keys):
            return self._refused(call, outcome)
        if isinstance(permit.tagging, UnknownTags):
            return _unstored(outcome, permit.tagging.error)
        part = "condition"
        try:
            if plan.condition is not None:
                stored = worth(outcome, await consult(plan.condition, content_of(outcome), call))
            else:
                stored = outcome if isinstance(outcome, Returned) else None
            if stored is None:
                return self._refused(call, outcome)
            part = "ttl or tags"
            ttl, own_ttl = self._fixed or self._durations_of(call, content_of(outcome))
            form = self._strategy.seal(stored, ttl, own_ttl, cost, engine.clock.wall)
            if permit.tagging is not None or kind is not None or engine.put(call.key, form, ttl, permit) is NOT_NOW:
                message = self._target.storing(call, stored, form, ttl, permit)
                part = "store"
                if kind is not None:
                    return self._live(kind, outcome, call, message)
                if await engine.ask(message) and self.observer.is_watched():
                    self.observer.stored(call, message)
        except Exception as error:  # noqa: BLE001  the outcome is an answer all the same
            self.observer.tolerate(error, part, call.key)
            return _unstored(outcome, error)
        return outcome

    async def _announce(self, permit: LoadPermit) -> None:
        """Announce a load to its store; the value of one that was not announced is not stored."""
        try:
            await self._engine.announce(permit)
        except Exception as error:  # noqa: BLE001  of a middleware, perhaps
            self.observer.tolerate(error, "load", permit.key)
            permit.tagging = UnknownTags(error)

    def _refused(self, call: Call, outcome: Outcome) -> Outcome:
        """Return an outcome that is not worth storing."""
        if isinstance(outcome, Returned):
            self.observer.refused(call.key)
        return outcome

    def _live(self, kind: str, outcome: Outcome, call: Call, message: Set) -> Outcome:
        """Return a result that can be read only once, and have it stored when it has been read."""
        assert isinstance(outcome, Returned)  # no exception is of a kind that is read
        if not kind:
            reason = "it can be read only once, and nothing writes its class down"
            self.observer.note(EncodeError(call.key, outcome.value, "a recorder", reason), "store", call.key)
            return outcome
        return Ending(self._engine, kind, call, message, self.observer).tapping(outcome)

    def _durations_of(self, call: Call, result: object) -> tuple[float | None, float | None]:
        plan = self._plan
        return lifetime(plan, call, result, self._engine.random.random), resolve(plan.own_ttl, call, result)


def _unstored(outcome: Outcome, error: Exception) -> Outcome:
    return Unstored(outcome.value, error) if isinstance(outcome, Returned) else outcome
