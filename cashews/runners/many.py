"""The runner of functions of many ids: it reads all ids in one message, and loads the missing ones in one run.

Each id has a load of its own, which calls with other ids may join, and which an invalidation of its key makes void. All
loads that a call begins are one run of the function: a joint load. A call begins its own loads first and waits for the
others then, so two calls never wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import wraps
from typing import Any

from cashews._typing import ABSENT
from cashews.actors.loop import ReplySlot
from cashews.commands import Command
from cashews.engine.context import AMBIENT
from cashews.engine.engine import Engine
from cashews.engine.flights import ALONE, TAKE_OVER, Answer, Flight, Waiter
from cashews.engine.load_locks import LOADING, JointLoad, is_blocked_by, loading_here
from cashews.engine.observing import Source
from cashews.exceptions import NoKeyError
from cashews.messages import DeleteMany, KnownTags, LoadPermit, RecallMany, Set, UnknownTags
from cashews.messages.loads import Waits
from cashews.runners.batches import announce_all, ask_all
from cashews.runners.call import Call, Plan, Target, answer_of, consult, lifetime
from cashews.runners.ids import Ids
from cashews.runners.loader import fixed_durations
from cashews.runners.observer import CallObserver
from cashews.strategies.conditions import Condition, content_of, worth
from cashews.strategies.entry import Outcome, Raised, Returned
from cashews.strategies.strategy import bare


class Share(Waiter):
    """The part of a call in the load of another one: one id."""

    __slots__ = ("_wanted", "flight", "one", "outcome")

    def __init__(self, wanted: Wanted, one: Hashable, flight: Flight) -> None:
        self._wanted = wanted
        self.one = one
        self.flight = flight
        self.outcome: Answer | None = None

    @property
    def given(self) -> bool:
        return self.outcome is not None

    @property
    def answer(self) -> Answer:
        assert self.outcome is not None
        return self.outcome

    def give(self, value: Answer) -> None:
        self.outcome = value
        self._wanted.arrived.append(self)
        bell = self._wanted.bell
        if bell is not None and not bell.given:
            bell.give(None)


class Wanted:
    """The ids of one call: those that are loaded or waited for, and the values that are there already.

    Whatever arrives first is taken first: a call that was chosen to lead a load leads it, and waits for nothing else
    before.
    """

    __slots__ = ("args", "arrived", "bell", "calls", "joined", "keyless", "keys", "kwargs", "own", "values")

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        self.keys: dict[Hashable, str] = {}
        """The key of each id that can have one."""
        self.calls: dict[Hashable, Call] = {}
        """The calls of the ids that are loaded, as if the function took one id."""
        self.values: dict[Hashable, Any] = {}
        self.own: dict[Hashable, LoadPermit] = {}
        """The loads that this call runs."""
        self.keyless: list[Hashable] = []
        """The ids that can have no key: they are loaded, and not stored."""
        self.joined: dict[Hashable, Share] = {}
        """The loads of other calls that this one waits for."""
        self.arrived: list[Share] = []
        self.bell: ReplySlot[None] | None = None


class ManyRunner:
    """Answers the calls of one decorated function of many ids, which returns a mapping.

    :param target: the function, with the keys and tags of calls of one id
    :param absent: whether ids that the function leaves out are remembered as absent, in the form of `None`
    """

    def __init__(self, engine: Engine, target: Target, ids: Ids, plan: Plan, *, absent: bool) -> None:
        self._engine = engine
        self._target = target
        self._ids = ids
        self._plan = plan
        self._absent = absent
        self._fixed = fixed_durations(plan)
        self._flights = engine.flights()
        self.observer = CallObserver(engine, target.function, "many", plan)

    def decorated(self) -> Callable[..., Coroutine[Any, Any, dict[Hashable, Any]]]:
        """Return the function that users call."""

        @wraps(self._target.function)
        async def many(*args: Any, **kwargs: Any) -> dict[Hashable, Any]:
            return await self._answer(args, kwargs)

        return many

    async def _answer(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Hashable, Any]:
        order = self._ids.of(args, kwargs)
        wanted = self._begin(order, args, kwargs)
        try:
            found = await self._read(wanted)
        except Exception as error:  # noqa: BLE001  of a middleware, or the cache is closed
            self.observer.tolerate(error, "read")
            self.observer.counts.others += len(wanted.keys)
            return dict(await self._ids.run(self._target.function, order, args, kwargs))
        missing = self._sort(wanted, found)
        values = wanted.values
        if missing or wanted.keyless:
            await self._load(wanted, missing)
            values = {one: values[one] for one in order if one in values}
        return {one: value for one, value in values.items() if value is not None} if self._absent else values

    def _begin(self, order: Sequence[Hashable], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Wanted:
        wanted, key_of, keys = Wanted(args, kwargs), self._target.key, self._ids.keys
        try:
            wanted.keys = dict(zip(order, keys(key_of, order, args, kwargs), strict=True))
        except NoKeyError:
            for one in order:
                try:
                    wanted.keys[one] = keys(key_of, (one,), args, kwargs)[0]
                except NoKeyError as error:
                    self.observer.note(error, "key")
                    self.observer.counts.others += 1
                    wanted.keyless.append(one)
        return wanted

    # --- hits

    async def _read(self, wanted: Wanted) -> tuple[object, ...]:
        """Read all ids in one message."""
        if not wanted.keys:
            return ()
        found: tuple[object, ...] = await self._engine.ask(RecallMany(tuple(wanted.keys.values()), ABSENT))
        return found

    def _sort(self, wanted: Wanted, found: Iterable[object]) -> list[Hashable]:
        """Take the values that were found; returns the ids that have none."""
        missing: list[Hashable] = []
        values = wanted.values
        for one, value in zip(wanted.keys, found, strict=True):
            if value is ABSENT:
                missing.append(one)
            else:
                values[one] = answer_of(value, shared=True) if type(value) is Raised else value
        counts = self.observer.counts
        counts.hits += len(values)
        counts.others += len(missing)
        if self.observer.is_watched():
            self._tell(wanted, missing)
        return missing

    def _tell(self, wanted: Wanted, missing: Iterable[Hashable]) -> None:
        for one, value in wanted.values.items():
            self.observer.answered(Source.HIT, self._call(wanted, one), Returned(value))
        for one in missing:
            self.observer.missed(wanted.keys[one])

    def _call(self, wanted: Wanted, one: Hashable) -> Call:
        """Return the call of one id, as if the function took that alone."""
        return Call(*self._ids.call_of(one, wanted.args, wanted.kwargs), wanted.keys[one])

    # --- loads

    async def _load(self, wanted: Wanted, missing: Iterable[Hashable]) -> None:
        """Load the missing ids, or share the loads of others that run."""
        loading = LOADING.get()
        with ExitStack() as stack:
            stack.callback(self._leave, wanted)
            self._join_or_begin(wanted, missing, loading)
            await self._run_own(wanted)
            while wanted.joined:
                await self._wait(wanted, loading)
                arrived, wanted.arrived = wanted.arrived, []
                for share in arrived:
                    self._take(wanted, share, loading)
                await self._run_own(wanted)

    def _join_or_begin(self, wanted: Wanted, ones: Iterable[Hashable], loading: tuple[Waits, ...]) -> None:
        """Join the loads of some ids that run, and begin the others."""
        here, engine, flights = AMBIENT.get(), self._engine, self._flights
        is_shared = self._plan.protected and (here is None or not here.transactions)
        has_tags = self._target.has_tags()
        new: dict[str, KnownTags | None] = {}
        ids: list[Hashable] = []
        twins: list[Hashable] = []
        """Ids with the key of another one, whose load they join."""
        for one in ones:
            call = wanted.calls[one] = self._call(wanted, one)
            key, tagging = call.key, self._tagging(call) if has_tags else None
            if not is_shared or engine.is_off(Command.GET, key):
                wanted.own[one] = engine.permits.take(key, tagging)
            elif key in new:
                twins.append(one)
            elif (flight := flights.find(key)) is None:
                new[key] = tagging
                ids.append(one)
            elif loading and is_blocked_by(flight, loading):
                wanted.own[one] = engine.permits.take(key, tagging)
            else:
                wanted.joined[one] = share = Share(wanted, one, flight)
                flight.waiters[share] = None
        if new:
            wanted.own.update(zip(ids, flights.begin_all(new), strict=True))
        if twins:
            self._join_or_begin(wanted, twins, loading)

    def _tagging(self, call: Call) -> KnownTags | None:
        try:
            return self._target.tagging(call)
        except Exception as error:  # noqa: BLE001  of the user's own callable or argument
            self.observer.tolerate(error, "tags", call.key)
            return UnknownTags(error)

    async def _wait(self, wanted: Wanted, loading: tuple[Waits, ...]) -> None:
        """Wait until one of the loads of other calls has ended, or is to be led by this one."""
        flights = [share.flight for share in wanted.joined.values()]
        for load in loading[-1:]:
            load.blocked_on += flights
        wanted.bell = self._engine.loop().reply_slot()
        try:
            if not wanted.arrived:
                await wanted.bell
        finally:
            for load in loading[-1:]:
                for flight in flights:
                    load.blocked_on.remove(flight)

    def _take(self, wanted: Wanted, share: Share, loading: tuple[Waits, ...]) -> None:
        """Take the outcome of another call's load, or the lead of it."""
        one, flight, outcome = share.one, share.flight, share.answer
        del wanted.joined[one]
        if outcome is ALONE:
            wanted.own[one] = self._engine.permits.take(wanted.keys[one], self._tagging(wanted.calls[one]))
        elif outcome is not TAKE_OVER:
            self.observer.counts.shared += 1
            if self.observer.is_watched():
                self.observer.answered(Source.SHARED, wanted.calls[one], outcome)
            value = answer_of(outcome, shared=True)
            if value is not ABSENT:
                wanted.values[one] = value
        elif self._flights.take_over(flight, self._tagging(wanted.calls[one])):
            wanted.own[one] = flight
        else:
            self._join_or_begin(wanted, (one,), loading)

    def _leave(self, wanted: Wanted) -> None:
        """Give up the loads that have not ended, and wait for none."""
        joined, wanted.joined = wanted.joined, {}
        for share in joined.values():
            self._flights.leave(share.flight, share)
        own, wanted.own = wanted.own, {}
        for permit in own.values():
            self._drop(permit)

    def _drop(self, permit: LoadPermit) -> None:
        if isinstance(permit, Flight):
            self._flights.abandon(permit)
        else:
            self._engine.permits.drop(permit)

    async def _run_own(self, wanted: Wanted) -> None:
        """Run the function once for all ids that this call loads, store the outcomes, and give them to the waiters."""
        ids, wanted.keyless = [*wanted.own, *wanted.keyless], []
        if not ids:
            return
        now = self._engine.clock.now
        with loading_here(JointLoad(wanted.own.values())):
            await self._announce(wanted)
            started, outcome = now(), None
            try:
                try:
                    run = self._ids.run(self._target.function, ids, wanted.args, wanted.kwargs)
                    found = await self.observer.traced("", run)
                except Exception as error:
                    outcome = Raised(error)
                    raise
                finally:
                    self.observer.loaded("", now() - started, outcome)
                outcomes = {one: Returned(found.get(one, ABSENT)) for one in wanted.own}
                await self._store(wanted, outcomes, now() - started)
            except Exception as error:
                self._end(wanted, dict.fromkeys(wanted.own, Raised(error)))
                raise
        wanted.values.update({one: found[one] for one in ids if one in found})
        self._end(wanted, outcomes)

    async def _announce(self, wanted: Wanted) -> None:
        """Announce the loads to their stores where these ask for it; values of loads that were not are not stored."""
        follows = self._engine.follows
        permits = [permit for permit in wanted.own.values() if follows or permit.tagging is not None]
        try:
            await announce_all(self._engine, permits)
        except Exception as error:  # noqa: BLE001  of the store, which does not suppress it
            self.observer.tolerate(error, "load")
            for permit in permits:
                permit.tagging = UnknownTags(error)

    def _end(self, wanted: Wanted, outcomes: Mapping[Hashable, Outcome]) -> None:
        own, wanted.own = wanted.own, {}
        self._flights.end_all((permit, outcomes[one]) for one, permit in own.items())

    async def _store(self, wanted: Wanted, outcomes: Mapping[Hashable, Returned], cost: float) -> None:
        if cost < self._plan.min_cost:
            for one in wanted.own:
                self.observer.refused(wanted.keys[one])
            return
        sealed = await self._sealed_all(wanted, outcomes)
        replies = await ask_all(self._engine, [message for _, message in sealed])
        is_watched = self.observer.is_watched()
        for (call, message), reply in zip(sealed, replies, strict=True):
            if isinstance(reply, Exception):
                self.observer.tolerate(reply, "store", call.key)
            elif reply and is_watched:
                self.observer.stored(call, message)

    async def _sealed_all(self, wanted: Wanted, outcomes: Mapping[Hashable, Returned]) -> list[tuple[Call, Set]]:
        """Return the calls whose outcomes are to be stored, each with the message that stores it."""
        sealed: list[tuple[Call, Set]] = []
        condition = self._plan.condition
        for one, permit in wanted.own.items():
            call, stored = wanted.calls[one], self._storable(outcomes[one])
            if stored is not None and condition is not None:
                stored = await self._judged(condition, call, stored)
            if stored is None or isinstance(permit.tagging, UnknownTags):
                continue
            try:
                sealed.append((call, self._sealed(call, stored, permit)))
            except Exception as error:  # noqa: BLE001  the outcome is an answer all the same
                self.observer.tolerate(error, "ttl or tags", call.key)
        return sealed

    def _storable(self, outcome: Returned) -> Outcome | None:
        """Return the outcome of one id as it may be stored, `None` if the function has left the id out."""
        if outcome.value is not ABSENT:
            return outcome
        return Returned(None) if self._absent else None

    async def _judged(self, condition: Condition, call: Call, outcome: Outcome) -> Outcome | None:
        """Return the outcome to store after the answer of the condition, `None` for nothing."""
        try:
            stored = worth(outcome, await consult(condition, content_of(outcome), call))
        except Exception as error:  # noqa: BLE001  likewise
            self.observer.tolerate(error, "condition", call.key)
            return None
        if stored is None:
            self.observer.refused(call.key)
        return stored

    def _sealed(self, call: Call, stored: Outcome, permit: LoadPermit) -> Set:
        if self._fixed is not None:
            ttl, _ = self._fixed
        else:
            ttl = lifetime(self._plan, call, content_of(stored), self._engine.random.random)
        return self._target.storing(call, stored, bare(stored), ttl, permit)

    # --- the methods of a decorated function

    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Remove the stored values of a call's ids."""
        keys = self._begin(self._ids.of(args, kwargs), args, kwargs).keys
        if keys:
            await self._engine.ask(DeleteMany(tuple(keys.values())))
