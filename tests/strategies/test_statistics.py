"""The figures of decorated functions: each call and each load is counted once, for what it was, on every store."""

import gc
from contextlib import suppress

import anyio
import pytest

from cashews import Cache, Command, TransactionMode
from tests.subjects import on_memory

DECORATORS = {
    "simple": lambda cache, **options: cache(**options),
    "early": lambda cache, **options: cache.early(**options),
    "soft": lambda cache, **options: cache.soft(**options),
    "hit": lambda cache, **options: cache.hit(cache_hits=9, **options),
    "dynamic": lambda cache, **options: cache.dynamic(**options),
}
every_strategy = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
COUNTS = ("calls", "hits", "stale", "shared", "loads", "errors", "refused", "refreshes")


def counts(function):
    """Return the figures of a function that are not zero."""
    return {name: getattr(function.statistics(), name) for name in COUNTS if getattr(function.statistics(), name)}


@every_strategy
async def test_hits_and_loads_are_counted(cache, origin, clock, decorate):
    origin.takes = 2.0
    load = decorate(cache, ttl=90, key="{_}")(named(origin))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load, 1)
        await clock.advance(2)
    origin.takes = 0.0
    for argument in (1, 1, 2):
        await load(argument)
    found = load.statistics()
    assert (found.calls, found.hits + found.stale) == (4, 2)
    assert 2 <= found.loads <= 2 + found.refreshes  # those in the background may be on their way
    assert found.load_seconds == pytest.approx(2, abs=0.2)
    assert found.hit_ratio == 0.5


def named(origin):
    async def load(_):
        return await origin()

    return load


async def test_a_function_that_was_never_called_has_nothing_but_zeros(cache, origin):
    load = cache(ttl=90, key="k")(origin)
    assert counts(load) == {}
    assert (load.statistics().hit_ratio, load.statistics().uncached) == (0, {})


@every_strategy
async def test_calls_that_share_a_load_are_counted_as_such(cache, origin, clock, decorate):
    origin.takes = 1.0
    load = decorate(cache, ttl=90, key="k")(origin)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(load)
        await clock.advance(1)
    assert counts(load) == {"calls": 5, "shared": 4, "loads": 1}


@every_strategy
async def test_loads_that_fail_are_counted(cache, origin, decorate):
    origin.error = ValueError()
    load = decorate(cache, ttl=90, key="k")(origin)
    for _ in range(3):
        with suppress(ValueError):
            await load()
    assert counts(load) == {"calls": 3, "loads": 3, "errors": 3}


@every_strategy
@pytest.mark.parametrize(
    "options", [{"condition": lambda *_, **__: False}, {"time_condition": 10}], ids=["condition", "time"]
)
async def test_results_that_are_not_stored_on_purpose_are_counted(cache, origin, decorate, options):
    load = decorate(cache, ttl=90, key="k", **options)(origin)
    await load()
    await load()
    assert counts(load) == {"calls": 2, "loads": 2, "refused": 2}


async def test_a_result_from_a_cache_beneath_is_refused_by_upper(cache, origin):
    inner = cache(ttl=90, key="inner")(origin)
    outer = cache(ttl=90, key="outer", upper=True)(inner)
    await inner()
    await outer()
    assert counts(outer) == {"calls": 1, "loads": 1, "refused": 1}


async def test_an_old_value_that_is_served_while_it_is_refreshed_is_stale(cache, origin, clock):
    load = cache.early(ttl=90, early_ttl=10, key="k")(origin)
    await load()
    await clock.advance(11)
    await load()
    with anyio.fail_after(10):
        while not cache.statistics().refreshes["done"]:
            await anyio.lowlevel.checkpoint()
    assert counts(load) == {"calls": 2, "stale": 1, "loads": 2, "refreshes": 1}
    assert load.statistics().hit_ratio == 0.5


async def test_an_old_value_in_the_place_of_a_failure_is_stale(cache, origin):
    load = cache.failover(ttl=90, key="k")(origin)
    await load()
    origin.error = ValueError()
    assert await load() == 1
    assert counts(load) == {"calls": 2, "stale": 1, "loads": 2, "errors": 1}


async def test_runs_of_a_generator_are_counted(cache):
    @cache.iterator(ttl=90, key="{size}", condition=lambda item, *_, **__: item != 7)
    async def numbers(size):
        for number in range(size):
            yield number
        if size == 5:
            raise ValueError("five")

    for size in (3, 3, 8):
        assert [item async for item in numbers(size)] == list(range(size))
    with pytest.raises(ValueError, match="five"):
        [item async for item in numbers(5)]
    assert counts(numbers) == {"calls": 4, "hits": 1, "loads": 3, "errors": 1, "refused": 1}


async def test_calls_that_are_not_cached_are_counted_with_the_reason(cache, origin):
    load = cache(ttl=90, key="k", tags=["{result.name}"])(origin)
    keyless = cache(ttl=90)(named(origin))
    await load()
    await keyless(object())
    assert load.statistics().uncached == {"ttl or tags failed": 1}
    assert (keyless.statistics().calls, keyless.statistics().uncached) == (1, {"no key": 1})
    assert cache.statistics().uncached == {"ttl or tags failed": 1, "no key": 1}


async def test_calls_in_a_transaction_and_with_switches_are_counted(cache, origin):
    load = cache(ttl=90, key="k")(origin)
    async with cache.transaction(TransactionMode.FAST):
        await load()
        await load()
    with cache.disabling(Command.GET):
        await load()
    assert counts(load) == {"calls": 3, "hits": 1, "loads": 2}


async def test_the_cache_has_the_sum_over_all_functions_and_get_or_set(cache, origin):
    one, two = (cache(ttl=90, key=key)(origin) for key in "ab")
    for function in (one, one, two):
        await function()
    for _ in range(2):
        await cache.get_or_set("c", 1, expire=10)
    calls = cache.statistics().calls
    assert (calls.calls, calls.hits, calls.loads) == (5, 2, 3)
    assert one.statistics().calls == 2


@on_memory
async def test_the_figures_of_functions_that_are_gone_stay_in_the_sum(cache):
    for number in range(3):

        @cache(ttl=90, key=f"{number}")
        async def load():
            return 1

        await load()
        await load()
        assert load.statistics().calls == 2
        del load
    gc.collect()
    calls = cache.statistics().calls
    assert (calls.calls, calls.hits, calls.loads) == (6, 3, 3)


async def test_a_method_has_the_figures_of_all_instances(cache):
    class Users:
        @cache(ttl=90, key="{n}")
        async def get(self, n):
            return n

        @cache.iterator(ttl=90, key="all:{n}")
        async def all(self, n):
            yield n

    one, two = Users(), Users()
    await one.get(1)
    await two.get(1)
    assert [item async for item in one.all(1)] == [1]
    assert one.get.statistics() == two.get.statistics() == Users.get.statistics()
    assert counts(Users.get) == {"calls": 2, "hits": 1, "loads": 1}
    assert one.all.statistics().calls == 1


@on_memory
async def test_each_cache_counts_for_itself(cache, origin):
    load = cache(ttl=90, key="k")(origin)
    async with Cache.open("mem://") as other:
        await load()
        assert other.statistics().calls.calls == 0
