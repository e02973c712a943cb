"""Concurrent calls of one key run the function once, and nobody's end is another's (guarantee 9; D1-D5)."""

import asyncio
import gc
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from itertools import count
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.actors.loop import current_loop
from cashews.engine.flights import MOST_TOLD
from cashews.testing.clock import VirtualClock
from tests.internals import inside

REQUEST = ContextVar("request", default="nobody's")

STRATEGIES: dict[str, Callable] = {
    "simple": lambda cache, **options: cache("10m", key="k", **options),
    "early": lambda cache, **options: cache.early("10m", key="k", **options),
    "soft": lambda cache, **options: cache.soft("10m", key="k", **options),
    "hit": lambda cache, **options: cache.hit("10m", 100, key="k", **options),
    "dynamic": lambda cache, **options: cache.dynamic("10m", key="k", **options),
    "failover": lambda cache, **options: cache.failover("10m", key="k", **options),
}
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", clock=clock, random=Random(1)) as opened:
        yield opened


class Gated:
    """A function that waits at a gate, and notes in whose context it ran."""

    def __init__(self):
        self.gate = anyio.Event()
        self.runs = []
        self.error = None

    async def __call__(self):
        self.runs.append(REQUEST.get())
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return len(self.runs)


class Party:
    """Calls of one function, each in a task, a cancel scope and a context of its own."""

    def __init__(self, tasks, clock, cached):
        self.tasks = tasks
        self.clock = clock
        self.cached = cached
        self.scopes = {}
        self.results = {}
        self.errors = {}

    async def enter(self, *names):
        """Have calls begin, one after the other."""
        for name in names:
            self.tasks.start_soon(self._call, name)
            await self.clock.settle()

    async def _call(self, name):
        REQUEST.set(name)
        with anyio.CancelScope() as self.scopes[name]:
            try:
                self.results[name] = await self.cached()
            except Exception as error:  # noqa: BLE001  whatever it is, the test says what it should be
                self.errors[name] = error

    def cancel(self, *names):
        for name in names:
            self.scopes[name].cancel()


@every_strategy
@pytest.mark.parametrize("options", [{}, {"lock": True}, {"upper": True}, {"hard_timeout": 99}], ids=str)
async def test_concurrent_calls_run_the_function_once(cache, clock, strategy, options):
    """D5: `upper=True` and every strategy too."""
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache, **options)(function))
        await party.enter(*"abcde")
        function.gate.set()
    assert party.results == dict.fromkeys("abcde", 1)
    assert function.runs == ["a"]


async def test_ten_thousand_callers_run_the_function_once(cache, clock):
    function = Gated()
    cached = cache("10m", key="k")(function)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        for _ in range(10_000):
            tasks.start_soon(call)
        await clock.settle()
        assert cache.statistics().load_waiters == 9_999
        function.gate.set()
    assert results == [1] * 10_000


async def test_a_crowd_is_woken_in_portions(cache, clock):
    """The event loop turns in between: other tasks wait for a portion, and not for the crowd."""
    function = Gated()
    cached = cache("10m", key="k")(function)
    results, portions = [], []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        for _ in range(4 * MOST_TOLD):
            tasks.start_soon(call)
        await clock.settle()
        function.gate.set()
        while len(results) < 4 * MOST_TOLD:
            before = len(results)
            await checkpoint()
            portions.append(len(results) - before)
    assert results == [1] * 4 * MOST_TOLD
    assert max(portions) <= 2 * MOST_TOLD, "trio runs the tasks of one turn in any order: this one between two portions"


def tracked():
    """Return the number of objects that the garbage collector walks over."""
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize("bound", [False, True], ids=["function", "method"])
async def test_a_waiter_has_no_object_beside_its_call_and_the_slot_of_its_loop(cache, clock, bound):
    """A crowd is as dear as the objects in it: the garbage collector walks over all of them."""
    loop, gate = current_loop(), anyio.Event()

    class Users:
        async def load(self, uid):
            await gate.wait()

    async def load(uid):
        await gate.wait()
        return uid

    async def wait(uid):
        await loop.bare_slot()
        return uid

    async def crowd(function, uid):
        """Return the number of objects that 200 waiters make."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(function, [uid])
            await clock.settle()
            before, shared = tracked(), [uid]
            for _ in range(200):
                tasks.start_soon(function, shared)
            await clock.settle()
            made = tracked() - before
            tasks.cancel_scope.cancel()
        return made

    cached = cache("10m", key="{uid}")(Users().load if bound else load)
    # the least of three: objects of earlier tests may come or go meanwhile
    objects = [min([await crowd(function, uid) for uid in range(3)]) for function in (wait, cached)]
    assert objects[1] < objects[0] + 20


async def test_who_does_not_want_it_runs_the_function_each_for_himself(cache, clock):
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, cache("10m", key="k", protected=False)(function))
        await party.enter(*"abc")
        function.gate.set()
    assert function.runs == ["a", "b", "c"]


# --- cancellation


@every_strategy
async def test_a_waiter_takes_over_from_a_cancelled_leader(cache, clock, strategy):
    """And runs the function in its own context (D1, D2); the other waiters notice nothing."""
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache)(function))
        await party.enter(*"abcd")
        party.cancel("a")
        await clock.settle()
        assert function.runs == ["a", "b"]
        function.gate.set()
    assert party.results == dict.fromkeys("bcd", 2)
    assert party.errors == {}


async def test_a_waiter_that_takes_over_stores_under_the_tags_of_its_call(cache, clock):
    """They are worked out before it waits, since its arguments may change meanwhile."""
    gate = anyio.Event()

    @cache("10m", key="k", tags=["name:{user[0]}"])
    async def load(user):
        await gate.wait()
        return user

    async with anyio.create_task_group() as tasks:
        user = ["before"]
        party = Party(tasks, clock, lambda: load(user))
        await party.enter(*"ab")
        user[0] = "after"
        party.cancel("a")
        await clock.settle()
        gate.set()
    assert party.results == {"b": ["after"]}
    await cache.delete_tags("name:before")
    assert await cache.get("k") is None


@every_strategy
async def test_leadership_is_handed_on_as_often_as_it_has_to_be(cache, clock, strategy):
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache)(function))
        await party.enter(*"abcd")
        for name in "abc":
            party.cancel(name)
            await clock.settle()
        assert function.runs == ["a", "b", "c", "d"]
        function.gate.set()
    assert party.results == {"d": 4}


@every_strategy
@pytest.mark.parametrize("order", ["ab", "ba", "abc", "cba", "bca"])
async def test_those_who_are_cancelled_together_hand_over_to_who_is_left(cache, clock, strategy, order):
    """In one turn of the loop: the one who is chosen to take over may be cancelled already."""
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache)(function))
        await party.enter(*"abcd")
        party.cancel(*order)
        await clock.settle()
        function.gate.set()
        await clock.settle()
        left = set("abcd") - set(order)
        assert set(party.results) == left
        assert party.errors == {}
        tasks.cancel_scope.cancel()
    assert cache.statistics().loads == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("order", ["ab", "ba", "abc", "cba", "bca", "d", "a"])
async def test_the_same_by_asyncio_itself(cache, clock, order):
    """D1."""
    function = Gated()
    cached = cache("10m", key="k")(function)
    calls = {}
    for name in "abcd":
        calls[name] = asyncio.ensure_future(cached())
        await clock.settle()
    for name in order:
        calls[name].cancel()
    await clock.settle()
    function.gate.set()
    left = [call for name, call in calls.items() if name not in order]
    _, waiting = await asyncio.wait(calls.values(), timeout=1)
    assert not waiting
    assert len({call.result() for call in left}) == 1
    assert cache.statistics().loads == 0


@every_strategy
async def test_a_cancelled_waiter_touches_nobody(cache, clock, strategy):
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache)(function))
        await party.enter(*"abcd")
        party.cancel("b", "d")
        await clock.settle()
        assert cache.statistics().load_waiters == 1
        function.gate.set()
    assert party.results == {"a": 1, "c": 1}
    assert function.runs == ["a"]


async def test_a_waiter_that_is_cancelled_as_the_load_ends_touches_nobody(cache, clock):
    """It has not left when the others are answered."""
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, cache("10m", key="k")(function))
        await party.enter(*"abc")
        function.gate.set()
        party.cancel("b")
    assert party.results == {"a": 1, "c": 1}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_waiter_that_is_cancelled_once_it_was_chosen_to_lead_hands_that_on(cache, clock):
    """The answer is in its slot, and its task has not run since."""
    function = Gated()
    cached = cache("10m", key="k")(function)
    calls = [asyncio.ensure_future(cached()) for _ in "abc"]
    await clock.settle()
    calls[0].cancel()
    asyncio.get_running_loop().call_soon(calls[1].cancel)  # after the leader's step, before the next one's
    await clock.settle()
    function.gate.set()
    _, waiting = await asyncio.wait(calls, timeout=1)
    assert not waiting
    assert [call.cancelled() for call in calls] == [True, True, False]
    assert len(function.runs) == 2, "the second call never led"


# --- errors


@every_strategy
async def test_each_waiter_gets_an_exception_object_of_its_own(cache, clock, strategy):
    """The leader the function's own; D20."""
    function = Gated()
    function.error = LookupError("no such thing")
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache)(function))
        await party.enter(*"abcd")
        function.gate.set()
    errors = list(party.errors.values())
    assert party.errors["a"] is function.error
    assert len(set(map(id, errors))) == 4
    assert all(type(error) is LookupError and error.args == ("no such thing",) for error in errors)
    lengths = [len(traceback.extract_tb(error.__traceback__)) for error in errors[1:]]
    assert len(set(lengths)) == 1
    assert function.runs == ["a"]


@every_strategy
async def test_an_error_of_the_condition_reaches_no_caller_and_the_function_runs_once(cache, clock, strategy):
    """Guarantee 29: nothing is stored, and every caller has the result."""
    function = Gated()

    def condition(*_, **__):
        raise ZeroDivisionError

    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, strategy(cache, condition=condition)(function))
        await party.enter(*"abc")
        function.gate.set()
    assert (party.results, party.errors) == (dict.fromkeys("abc", 1), {})
    assert function.runs == ["a"]
    assert cache.statistics().uncached == {"condition failed": 1}


# --- tasks and contexts


async def test_the_leader_runs_the_function_in_its_own_task_and_context(cache):
    """D2."""

    @cache("10m", key="k")
    async def whose():
        task = anyio.get_current_task().id
        request = REQUEST.get()
        REQUEST.set("from within")
        return task, request

    REQUEST.set("mine")
    assert await whose() == (anyio.get_current_task().id, "mine")
    assert REQUEST.get() == "from within"


async def test_the_function_is_cancelled_with_its_leader(cache, clock):
    cleaned = []

    @cache("10m", key="k")
    async def forever():
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(REQUEST.get())

    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, forever)
        await party.enter("a", "b")
        party.cancel("a")
        await clock.settle()
        assert cleaned == ["a"]
        party.cancel("b")
    assert cleaned == ["a", "b"]
    assert cache.statistics().loads == 0


# --- recursion


@every_strategy
async def test_recursion_into_the_same_key_runs_the_function(cache, strategy):
    """D4."""
    depth = count(1)

    @strategy(cache)
    async def deep():
        return 1 if next(depth) == 3 else 1 + await deep()

    with anyio.fail_after(5):
        assert await deep() == 3


async def test_recursion_through_a_task_of_the_load_runs_the_function(cache):
    depth = count(1)

    @cache("10m", key="k")
    async def deep():
        found = []

        async def deeper():
            found.append(await deep())

        if next(depth) == 1:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(deeper)
        return [*found, "end"]

    with anyio.fail_after(5):
        assert await deep() == [["end"], "end"]


async def test_recursion_over_a_circle_of_functions_runs_them(cache):
    depth = count(1)

    @cache("10m", key="a")
    async def a():
        return "end" if next(depth) == 3 else await b()

    @cache("10m", key="b")
    async def b():
        return await a()

    with anyio.fail_after(5):
        assert await a() == "end"


async def test_two_tasks_whose_loads_need_each_other_do_not_wait_for_ever(cache):
    """A's load needs b, B's load needs a: the second to ask runs the function instead of waiting."""
    inside = set()
    met = anyio.Event()

    def needing(name, other):
        async def load():
            if name in inside:
                return f"{name} again"
            inside.add(name)
            if len(inside) == 2:
                met.set()
            await met.wait()
            return f"{name} of {await functions[other]()}"

        return cache("10m", key=name)(load)

    functions = {"a": needing("a", "b"), "b": needing("b", "a")}
    results = {}

    async def call(name):
        results[name] = await functions[name]()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "a")
            tasks.start_soon(call, "b")
    assert sorted(results) == ["a", "b"]
    assert all(result.startswith(f"{name} of ") for name, result in results.items())
    assert cache.statistics().loads == 0


async def test_three_tasks_in_a_circle_do_not_wait_for_ever(cache):
    inside = []
    met = anyio.Event()
    names = "abc"

    def needing(name):
        other = names[(names.index(name) + 1) % 3]

        async def load():
            if name in inside:
                return f"{name} again"
            inside.append(name)
            if len(inside) == 3:
                met.set()
            await met.wait()
            return await functions[other]()

        return cache("10m", key=name)(load)

    functions = {name: needing(name) for name in names}
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(functions[name])
    statistics = cache.statistics()
    assert (statistics.loads, statistics.load_waiters) == (0, 0)


@pytest.mark.parametrize("error", [None, LookupError])
async def test_a_load_is_blocked_on_no_load_beneath_it_that_has_ended(cache, error):
    """It may run for hours, and ask a million times."""
    blocked_on = []

    @cache("10m", key="beneath:{number}")
    async def beneath(number):
        blocked_on.append(len(outer_load().blocked_on))
        if error is not None:
            raise error
        return number

    @cache("10m", key="outer")
    async def outer():
        for number in range(3):
            with suppress(LookupError):
                await beneath(number)
        return len(outer_load().blocked_on)

    def outer_load():
        (load,) = inside(cache).engine.permits.of("outer")
        return load

    assert await outer() == 0
    assert blocked_on == [1, 1, 1]


async def test_calls_of_other_keys_do_not_wait(cache, clock):
    gate = anyio.Event()

    @cache("10m", key="k:{name}")
    async def get(name):
        if name == "slow":
            await gate.wait()
        return name

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, "slow")
        await clock.settle()
        assert await get("quick") == "quick"
        gate.set()


# --- get_or_set


async def test_get_or_set_runs_its_default_once(cache, clock):
    """D5, D26."""
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, lambda: cache.get_or_set("k", function, "10m"))
        await party.enter(*"abc")
        party.cancel("a")
        await clock.settle()
        function.gate.set()
    assert party.results == {"b": 2, "c": 2}
    assert function.runs == ["a", "b"]
    assert await cache.get("k") == 2


async def test_a_default_that_is_not_needed_is_not_left_unawaited(cache, clock):
    """D26: that would warn, and warnings are errors here."""
    function = Gated()
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, lambda: cache.get_or_set("k", function(), "10m"))
        await party.enter(*"abc")
        party.cancel("b")
        await clock.settle()
        function.gate.set()
    assert party.results == {"a": 1, "c": 1}
    assert await cache.get_or_set("k", function()) == 1


async def test_get_or_set_raises_to_each_caller_and_stores_nothing(cache, clock):
    function = Gated()
    function.error = LookupError("no such thing")
    async with anyio.create_task_group() as tasks:
        party = Party(tasks, clock, lambda: cache.get_or_set("k", function, "10m"))
        await party.enter(*"abc")
        function.gate.set()
    assert len({id(error) for error in party.errors.values()}) == 3
    assert function.runs == ["a"]
    assert not await cache.exists("k")


async def test_a_load_of_another_loop_turn_is_another_load(cache):
    function = Gated()
    function.gate.set()
    cached = cache(lambda: 0, key="k")(function)
    for run in (1, 2):
        await checkpoint()
        assert await cached() == run
