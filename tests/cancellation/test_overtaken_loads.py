"""Every write and removal of a key overtakes its loads, and nobody joins an overtaken load (guarantees 9, 10)."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Command
from cashews.engine.context import AMBIENT

REMOVALS = {
    "delete": lambda cache: cache.delete("k"),
    "delete_many": lambda cache: cache.delete_many("k"),
    "delete_match": lambda cache: cache.delete_match("k*"),
    "clear": lambda cache: cache.clear(),
    "expire 0": lambda cache: cache.expire("k", 0),
    "set for 0 s": lambda cache: cache.set("k", "gone", 0),
}
WRITES = {
    "set": (lambda cache: cache.set("k", "new"), "new"),
    "set with tags": (lambda cache: cache.set("k", "new", 60, tags=["other"]), "new"),
    "set_many": (lambda cache: cache.set_many({"x": 1, "k": "new"}), "new"),
    "incr": (lambda cache: cache.incr("k", 7), 7),
}


class Slow:
    """A function that takes a second; its result is the state of the world at its beginning."""

    def __init__(self, clock):
        self.clock = clock
        self.world = "old"
        self.runs = 0

    async def __call__(self):
        self.runs += 1
        seen = self.world
        await self.clock.sleep(1)
        return seen


@pytest.fixture
def slow(clock):
    return Slow(clock)


def of_the_result(result):
    return [f"result:{result}"]


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
@pytest.mark.parametrize("shared", [True, False])
async def test_a_deletion_of_any_tags_hides_no_load_from_a_later_removal(cache, clock, slow, remove, shared):
    cached = cache(90, key="k", tags=["all", of_the_result], protected=shared)(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(0.5)
        await cache.delete_tags("nobody's")
        await remove(cache)
        await clock.advance(1)
    assert await cached.peek() is None
    assert cache.statistics().loads == 0


@pytest.mark.parametrize(("write", "written"), WRITES.values(), ids=WRITES)
async def test_a_write_of_the_key_is_not_overwritten_by_an_older_load(cache, clock, slow, write, written):
    cached = cache(90, key="k")(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(0.5)
        await write(cache)
        await clock.advance(1)
    assert await cache.get("k") == written


@pytest.mark.parametrize("chained", [False, True])
async def test_a_write_in_a_transaction_is_not_overwritten_by_a_load_that_began_before_its_commit(
    cache, clock, slow, chained
):
    if chained:
        cache.add_middleware(passing)
    cached = cache(90, key="k")(slow)
    async with anyio.create_task_group() as tasks:
        async with cache.transaction():
            await cache.set("k", "new")
            tasks.start_soon(outside, cached)
            await clock.advance(0.5)
        await clock.advance(1)
    assert await cache.get("k") == "new"


async def test_a_write_that_is_rolled_back_overtakes_nothing(cache, clock, slow):
    cached = cache(90, key="k")(slow)
    async with anyio.create_task_group() as tasks:
        async with cache.transaction() as transaction:
            await cache.set("k", "new")
            await transaction.rollback()
            tasks.start_soon(outside, cached)
            await clock.advance(0.5)
        await clock.advance(1)
    assert await cache.get("k") == "old"


async def test_a_write_that_is_switched_off_overtakes_nothing(cache, clock, slow):
    cached = cache(90, key="k")(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(0.5)
        with cache.disabling(Command.DELETE):
            await cache.delete("k")
        await clock.advance(1)
    assert await cache.get("k") == "old"


async def passing(call, _cmd, _backend, *args, **kwargs):
    return await call(*args, **kwargs)


async def outside(cached):
    """Call a function outside of the transaction that started the task."""
    AMBIENT.set(None)  # no public way leads out of a transaction
    await cached()


@pytest.mark.parametrize("strategy", ["failover", "soft"])
async def test_nobody_waits_within_a_soft_timeout_for_a_load_that_was_overtaken(cache, clock, slow, strategy):
    decorate = {
        "failover": lambda: cache.failover(90, key="k", prefix="", soft_timeout=10),
        "soft": lambda: cache.soft(90, key="k", prefix="", soft_ttl=0.001, soft_timeout=10),
    }[strategy]()
    cached = decorate(slow)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        if strategy == "soft":
            tasks.start_soon(call)
            await clock.advance(2)
        tasks.start_soon(call)
        await clock.advance(0.5)
        slow.world = "new"
        await cache.delete("k")
        tasks.start_soon(call)
        await clock.advance(2)
    assert results[-2:] == ["old", "new"]


# --- a load is a function's


async def test_two_functions_with_one_key_do_not_answer_each_others_calls(cache, clock):
    protect = cache.thunder_protection(key="{user}")
    answers = {}

    async def name(user):
        await clock.sleep(1)
        return f"name of {user}"

    async def salary(user):
        await clock.sleep(1)
        return f"salary of {user}"

    async def call(function):
        answers[function.__name__] = await function(1)

    async with anyio.create_task_group() as tasks:
        for function in (protect(name), protect(salary)):
            tasks.start_soon(call, function)
        await clock.advance(1)
    assert answers == {"name": "name of 1", "salary": "salary of 1"}


@pytest.mark.parametrize("soft_timeout", [None, 10])
async def test_two_cached_functions_that_share_a_key_have_loads_of_their_own(cache, clock, soft_timeout):
    answers = []

    def function(answer):
        async def run():
            await clock.sleep(1)
            return answer

        return cache.failover(90, key="k", soft_timeout=soft_timeout)(run)

    async def call(cached):
        answers.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, function("one"))
        tasks.start_soon(call, function("another"))
        await clock.advance(1)
    assert sorted(answers) == ["another", "one"]


async def test_a_load_is_shared_when_that_of_another_function_with_its_key_has_ended(cache, clock):
    """Guarantee 9."""
    runs = []

    def function(name, seconds):
        async def run():
            runs.append(name)
            await clock.sleep(seconds)

        return cache.failover(90, key="k")(run)

    short, long = function("short", 1), function("long", 2)
    async with anyio.create_task_group() as tasks:
        for cached in (short, long):
            tasks.start_soon(cached)
            await clock.settle()
        await clock.advance(1)
        tasks.start_soon(long)
        await clock.advance(1)
    assert runs == ["short", "long"]


# --- loads that need loads


async def test_loads_that_need_many_loads_are_searched_for_cycles_once_each(cache):
    """A lattice: each load needs all loads of the next layer at once, so there are 7**7 ways through it."""
    layers = width = 7

    @cache(90, key="{layer}:{_number}")
    async def load(layer, _number):
        await checkpoint()
        if layer == layers:
            return 1
        async with anyio.create_task_group() as tasks:
            for other in range(width):
                tasks.start_soon(load, layer + 1, other)
        return 1

    with anyio.fail_after(10):
        assert await load(0, 0) == 1
    assert cache.statistics().load_waiters == 0


@pytest.mark.parametrize("protected", [True, False])
async def test_functions_under_locks_that_need_each_other_do_not_wait_for_ever(cache, clock, protected):
    """Each runs the other's function in its own place, as recursion does, until the function says that it is enough."""
    depth = {"one": 0, "another": 0}
    functions = {}

    def function(name, other):
        @cache(90, key=name, lock=True, protected=protected)
        async def run():
            depth[name] += 1
            await clock.sleep(1)
            return name if depth[name] > 2 else await functions[other]()

        functions[name] = run

    function("one", "another")
    function("another", "one")
    async with anyio.create_task_group() as tasks:
        for run in functions.values():
            tasks.start_soon(run)
        for _ in range(8):
            await clock.advance(1)
        assert cache.statistics().loads == 0
