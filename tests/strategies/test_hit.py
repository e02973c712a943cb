"""Hit and dynamic: a value is served a number of times (reading g of the specification)."""

import anyio
import pytest

from cashews import Cache
from cashews.exceptions import WrongArgumentError


class LostError(Exception):
    """An error of a function."""


async def calls(clock, cached, number):
    """Call some times, letting refreshes end in between."""
    served = []
    for _ in range(number):
        served.append(await cached())
        await clock.settle()
    return served


@pytest.mark.parametrize("hits", [1, 2, 5])
async def test_a_value_is_served_so_many_times_and_then_loaded_anew(cache, clock, origin, hits):
    cached = cache.hit(90, hits, key="k")(origin)
    assert await calls(clock, cached, 2 * hits + 3) == [1] * (hits + 1) + [2] * (hits + 1) + [3]


async def test_a_value_expires_whatever_hits_it_has_left(cache, clock, origin):
    cached = cache.hit(90, 100, key="k")(origin)
    await cached()
    await clock.advance(89.99)
    assert await cached() == 1
    await clock.advance(0.01)
    assert await cached() == 2


async def test_update_after_refreshes_in_the_background_at_that_hit(cache, clock, origin):
    cached = cache.hit(90, 10, update_after=2, key="k")(origin)
    assert await calls(clock, cached, 7) == [1, 1, 1, 2, 2, 3, 3]


async def test_dynamic_serves_three_times_and_refreshes_at_the_first_hit(cache, clock, origin):
    cached = cache.dynamic(90, key="k")(origin)
    assert await calls(clock, cached, 4) == [1, 1, 2, 3]


async def test_dynamic_without_refreshes_serves_three_times(cache, clock, origin):
    """They fail here, and what is stored is served on."""
    cached = cache.dynamic(90, key="k")(origin)
    await cached()
    origin.error = LostError()
    assert await calls(clock, cached, 3) == [1, 1, 1]
    with pytest.raises(LostError):
        await cached()


async def test_a_failed_refresh_leaves_the_old_value_in_use(cache, clock, origin):
    cached = cache.hit(90, 4, update_after=2, key="k")(origin)
    await cached()
    origin.error = LostError()
    assert await calls(clock, cached, 4) == [1] * 4
    assert cache.statistics().refreshes["failed"] == 1
    with pytest.raises(LostError):
        await cached()


async def test_without_background_the_caller_waits_for_the_new_value(cache, clock, origin):
    """D15."""
    cached = cache.hit(90, 10, update_after=2, background=False, key="k")(origin)
    assert await calls(clock, cached, 5) == [1, 1, 2, 2, 3]


async def test_without_background_a_failure_costs_no_hit(cache, clock, origin):
    """D15: after an execution so many answers come from the cache, however they come about."""
    cached = cache.hit(90, 3, update_after=1, background=False, key="k")(origin)
    await cached()
    origin.error = LostError()
    assert await calls(clock, cached, 3) == [1, 1, 1]
    with pytest.raises(LostError):
        await cached()


async def test_peeking_costs_no_hit(cache, clock, origin):
    cached = cache.hit(90, 2, key="k")(origin)
    await cached()
    assert [await cached.peek() for _ in range(5)] == [1] * 5
    assert await calls(clock, cached, 3) == [1, 1, 2]


async def test_concurrent_calls_after_the_last_hit_run_the_function_once(cache, clock, origin):
    cached = cache.hit(90, 1, key="k")(origin)
    await calls(clock, cached, 2)
    origin.takes = 1
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
        await clock.advance(1)
    assert results == [2] * 5


async def test_each_key_has_its_own_hits(cache):
    runs = []

    @cache.hit(90, 1, key="{name}")
    async def get(name):
        runs.append(name)
        return name

    for name in "abab":
        await get(name)
    assert runs == ["a", "b"]
    for name in "ab":
        await get(name)
    assert runs == ["a", "b", "a", "b"]


@pytest.mark.parametrize("wrong", [{"cache_hits": 0}, {"cache_hits": 1, "update_after": -1}])
def test_wrong_numbers_are_refused_at_decoration(wrong):
    with pytest.raises(WrongArgumentError):
        Cache().hit(90, **wrong)


async def test_the_ttl_of_dynamic_is_a_day_if_none_is_given(cache, origin):
    cached = cache.dynamic(key="k")(origin)
    await cached()
    assert await cache.get_expire("dynamic:k") == 24 * 3600
