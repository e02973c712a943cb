"""Interleavings of starting, closing, refreshing and invalidating that once went wrong."""

import asyncio

import anyio
import pytest

from cashews import Cache, invalidate_further
from cashews.exceptions import LoadCancelledError
from tests.internals import inside


@pytest.fixture
def hosted(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")
    return cache


async def test_a_block_that_opens_before_the_hosted_task_has_run_owns_the_tasks_alone(hosted, clock):
    await hosted.set("key", 1, expire=100)  # asks for a hosted task, which has not run yet
    async with hosted:
        await clock.settle()
        assert hosted.statistics().tasks == 3
    assert hosted.statistics().tasks == 0


async def test_closing_before_the_hosted_task_has_run_leaves_no_task(hosted, clock):
    """Guarantee 28."""
    await hosted.set("key", 1, expire=100)
    await hosted.close()
    await clock.settle()
    assert hosted.statistics().tasks == 0


async def test_a_thousand_failures_in_a_row_do_not_end_the_scope(cache):
    """Guarantee 11."""

    @cache.failover(ttl=100, soft_timeout=1, key="key")
    async def down():
        raise KeyError

    for _ in range(1100):
        with pytest.raises(KeyError):
            await down()
    assert cache.statistics().refreshes["failed"] == 1100


async def test_the_rests_of_failing_keys_are_bounded(cache):
    @cache.failover(ttl=100, soft_timeout=1, key="key:{number}")
    async def down(number):
        raise KeyError(number)

    for number in range(1100):
        with pytest.raises(KeyError):
            await down(number)
    assert inside(cache).rests == 1024


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_functions_that_cancel_themselves_do_not_use_up_the_workers(cache, clock, anyio_backend):
    """Guarantee 11. On trio nothing but a scope can raise what a cancellation raises."""
    assert anyio_backend == "asyncio"
    cancelled = True

    @cache.early(ttl=100, early_ttl=1, key="key:{number}")
    async def load(number):
        if cancelled and clock.now() > 0:
            raise asyncio.CancelledError
        return number, clock.now()

    for number in range(20):
        await load(number)
    await clock.advance(2)
    for number in range(20):
        await load(number)
    await clock.settle()
    assert cache.statistics().refreshes["failed"] == 20
    cancelled = False
    await clock.advance(2)
    await load(0)
    await clock.settle()
    assert await load.peek(0) == (0, 4)
    assert issubclass(LoadCancelledError, Exception)


async def test_what_is_loaded_under_a_lock_in_an_invalidating_block_is_stored(cache):
    calls = 0

    @cache(ttl=100, lock=True, key="key")
    async def count():
        nonlocal calls
        calls += 1
        return calls

    with invalidate_further():
        assert await count() == 1
    assert await count() == 1


async def test_concurrent_calls_in_an_invalidating_block_share_one_load(cache, clock):
    """Guarantee 9."""
    calls = 0

    @cache(ttl=100, key="key")
    async def count():
        nonlocal calls
        calls += 1
        await clock.sleep(1)
        return calls

    with invalidate_further():
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(count)
            await clock.advance(1)
    assert calls == 1
    assert await cache.get("key") == 1


async def test_a_load_from_before_an_invalidating_block_is_not_stored(cache, clock):
    """Guarantee 10."""

    @cache(ttl=100, key="key")
    async def load():
        await clock.sleep(1)
        return "old"

    async with anyio.create_task_group() as group:
        group.start_soon(load)
        await clock.settle()
        with invalidate_further():
            assert await cache.get("key") is None
        await clock.advance(1)
    assert await cache.get("key") is None


async def test_an_invalidating_block_removes_every_page(cache):
    await cache.set_many({f"key:{number}": number for number in range(5000)})
    with invalidate_further():
        assert [pair async for pair in cache.get_match("key:*")] == []
    assert await cache.get_keys_count() == 0


async def test_a_soft_timeout_stores_nothing_while_the_cache_is_disabled(cache):
    """Guarantee 19."""

    @cache.failover(ttl=100, soft_timeout=1, key="key")
    async def load():
        return 1

    with cache.disabling():
        assert await load() == 1
    assert await cache.get("fail:key") is None


async def test_a_body_that_outlives_its_cache_still_returns(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")

    @cache.locked(key="key")
    async def close_it():
        await cache.close()
        return "done"

    assert await close_it() == "done"


async def test_a_load_that_outlives_its_cache_still_answers(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")

    @cache(ttl=10, key="key")
    async def close_it():
        await cache.close()
        return "done"

    assert await close_it() == "done"


async def test_a_default_that_outlives_its_cache_is_still_the_answer(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")

    async def close_it():
        await cache.close()
        return "done"

    assert await cache.get_or_set("key", close_it) == "done"
