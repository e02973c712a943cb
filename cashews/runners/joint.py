"""The loads of functions of many ids: all loads that a call begins are one run of the function, a joint load.

Each id has a load of its own, which calls with other ids may join, and which an invalidation of its key makes void. A
call begins its own loads first and waits for the others then, so two calls never wait for each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from cashews._typing import ABSENT, NOT_NOW
from cashews.commands import Command
from cashews.engine.context import AMBIENT
from cashews.engine.engine import Engine
from cashews.engine.flights import ALONE, TAKE_OVER, Flight
from cashews.engine.load_locks import LOADING, JointLoad, is_blocked_by, loading_here
from cashews.engine.observing import Source
from cashews.messages import KnownTags, Set, UnknownTags
from cashews.messages.loads import Waits, block
from cashews.runners.batches import announce_all, ask_all
from cashews.runners.call import Call, Plan, Target, answer_of, consult, fixed_durations, lifetime
from cashews.runners.ids import Ids
from cashews.runners.observer import CallObserver
from cashews.runners.wanted import Share, Wanted
from cashews.strategies.conditions import Condition, content_of, worth
from cashews.strategies.entry import Raised, Returned
from cashews.strategies.strategy import bare, outcome_of


class JointLoader:
    """Loads ids of the calls of one function: single flight for each, and one run of the function for all.

    :param absent: whether ids that the function leaves out are stored, in the form of `None`
    """

    def __init__(
        self, engine: Engine, target: Target, ids: Ids, plan: Plan, observer: CallObserver, *, absent: bool
    ) -> None:
        self._engine = engine
        self._target = target
        self._ids = ids
        self._plan = plan
        self._observer = observer
        self._absent = None if absent else ABSENT
        fixed = fixed_durations(plan)
        self._is_fixed = fixed is not None
        self._ttl = None if fixed is None else fixed[0]
        self._flights = engine.flights()

    async def load(self, wanted: Wanted) -> None:
        """Load the ids of a call, or share the loads of others that run."""
        loading = LOADING.get()
        try:
            self._join_or_begin(wanted, wanted.keys, loading)
            await self._run_own(wanted)
            while wanted.joined:
                await self._wait(wanted, loading)
                arrived, wanted.arrived = wanted.arrived, []
                for share in arrived:
                    self._take(wanted, share, loading)
                await self._run_own(wanted)
        finally:
            self._leave(wanted)

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
            key = wanted.keys[one]
            tagging = self._tagging(wanted, one) if has_tags else None
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
                flight.admit(share)
        if new:
            wanted.own.update(zip(ids, flights.begin_all(new), strict=True))
        if twins:
            self._join_or_begin(wanted, twins, loading)

    def _call(self, wanted: Wanted, one: Hashable) -> Call:
        """Return the call of one id, as if the function took that alone."""
        return self._ids.call(one, wanted.args, wanted.kwargs, wanted.keys[one])

    def _tagging(self, wanted: Wanted, one: Hashable) -> KnownTags | None:
        try:
            return self._target.tagging(self._call(wanted, one))
        except Exception as error:  # noqa: BLE001  of the user's own callable or argument
            self._observer.tolerate(error, "tags", wanted.keys[one])
            return UnknownTags(error)

    async def _wait(self, wanted: Wanted, loading: tuple[Waits, ...]) -> None:
        """Wait until one of the loads of other calls has ended, or is to be led by this one."""
        flights = [share.flight for share in wanted.joined.values()]
        for load in loading[-1:]:
            block(load, *flights)
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
        is_led = outcome is ALONE or outcome is TAKE_OVER
        tagging = self._tagging(wanted, one) if is_led else None  # if it fails, `_leave` hands the lead on
        del wanted.joined[one]
        if outcome is ALONE:
            wanted.own[one] = self._engine.permits.take(wanted.keys[one], tagging)
        elif outcome is not TAKE_OVER:
            self._observer.counts.shared += 1
            if self._observer.is_watched() and content_of(outcome) is not ABSENT:
                self._observer.answered(Source.SHARED, self._call(wanted, one), outcome)
            wanted.values[one] = answer_of(outcome, shared=True)
        elif self._flights.take_over(flight, tagging):
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
                    found = await self._observer.traced("", run)
                except Exception as error:
                    outcome = Raised(error)
                    raise
                finally:
                    self._observer.loaded("", now() - started, outcome)
                wanted.values.update([(one, found.get(one, ABSENT)) for one in ids])
                await self._store(wanted, now() - started)
            except Exception as error:
                self._end(wanted, Raised(error))
                raise
        self._end(wanted)

    async def _announce(self, wanted: Wanted) -> None:
        """Announce the loads to their stores where these ask for it; values of loads that were not are not stored."""
        follows = self._engine.follows
        permits = [permit for permit in wanted.own.values() if follows or permit.tagging is not None]
        if not permits:
            return
        try:
            await announce_all(self._engine, permits)
        except Exception as error:  # noqa: BLE001  of the store, which does not suppress it
            self._observer.tolerate(error, "load")
            for permit in permits:
                permit.tagging = UnknownTags(error)

    def _end(self, wanted: Wanted, failure: Raised | None = None) -> None:
        """End the loads, and tell their outcomes to the calls that wait for them."""
        own, wanted.own = wanted.own, {}
        self._flights.end_all(own.values())
        for one, permit in own.items():
            if isinstance(permit, Flight) and permit.waiters:
                permit.tell(failure or Returned(wanted.values[one]))

    async def _store(self, wanted: Wanted, cost: float) -> None:
        if cost < self._plan.min_cost:
            for one in wanted.own:
                self._observer.refused(wanted.keys[one])
            return
        messages = await self._put_all(wanted)
        if not messages:
            return
        replies = await ask_all(self._engine, list(messages.values()))
        is_watched = self._observer.is_watched()
        for (one, message), reply in zip(messages.items(), replies, strict=True):
            if isinstance(reply, Exception):
                self._observer.tolerate(reply, "store", message.key)
            elif reply and is_watched:
                self._observer.stored(self._call(wanted, one), message)

    async def _put_all(self, wanted: Wanted) -> dict[Hashable, Set]:
        """Put the values that can be put in place, and return the messages that store the others, by their ids."""
        messages: dict[Hashable, Set] = {}
        engine, condition, values, absent = self._engine, self._plan.condition, wanted.values, self._absent
        for one, permit in wanted.own.items():
            form = values[one]
            if form is ABSENT and (form := absent) is ABSENT:
                continue
            if condition is not None:
                form = await self._judged(condition, self._call(wanted, one), form)
            if form is ABSENT or isinstance(permit.tagging, UnknownTags):
                continue
            try:
                ttl = self._ttl if self._is_fixed else self._ttl_of(self._call(wanted, one), form)
                if permit.tagging is not None or engine.put(permit.key, form, ttl, permit) is NOT_NOW:
                    call = self._call(wanted, one)
                    messages[one] = self._target.storing(call, outcome_of(form), form, ttl, permit)
            except Exception as error:  # noqa: BLE001  the value is an answer all the same
                self._observer.tolerate(error, "ttl or tags", permit.key)
        return messages

    async def _judged(self, condition: Condition, call: Call, value: object) -> object:
        """Return the form to store after the answer of the condition, `ABSENT` for nothing."""
        try:
            stored = worth(Returned(value), await consult(condition, value, call))
        except Exception as error:  # noqa: BLE001  likewise
            self._observer.tolerate(error, "condition", call.key)
            return ABSENT
        if stored is None:
            self._observer.refused(call.key)
        return ABSENT if stored is None else bare(stored)

    def _ttl_of(self, call: Call, form: object) -> float | None:
        return lifetime(self._plan, call, content_of(outcome_of(form)), self._engine.random.random)
