"""Cached functions, callbacks and middlewares in transactions."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, Command, add_prefix, all_keys_lower, invalidate_further
from cashews.testing.clock import VirtualClock

every_tag = pytest.mark.parametrize("tags", [["t"], [lambda result: ["t"] if result else []]], ids=["call", "result"])


class FailedError(Exception):
    """What ends a transaction's block in these tests."""


class Function:
    """A function that answers the number of its run, once its gate is open."""

    def __init__(self):
        self.runs = 0
        self.gate = anyio.Event()
        self.gate.set()

    async def __call__(self):
        self.runs += 1
        run = self.runs
        await self.gate.wait()
        return run


@pytest.fixture
def function():
    return Function()


async def test_what_a_function_returns_is_kept_with_the_transaction(cache, outside, function, held, mode):
    """Guarantee 15: it takes no lock, since many may store it."""
    cached = cache("10m", key="k")(function)
    async with cache.transaction(mode):
        before = held(cache)
        assert await cached() == await cached() == 1
        assert held(cache) == before
        assert await outside(cache.get, "k") is None
    assert await cached() == 1


async def test_what_a_function_returned_in_a_transaction_goes_with_it(cache, function, mode):
    """Guarantee 15."""
    cached = cache("10m", key="k")(function)
    with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode):
            assert await cached() == 1
            raise FailedError
    assert await cache.get("k") is None
    assert await cached() == 2
    assert await cache.get("k") == 2


async def test_callers_outside_do_not_share_the_load_of_one_inside(cache, outside, function, clock):
    """Guarantee 17; D2: what they load is stored, whatever becomes of the transaction."""
    cached = cache("10m", key="k")(function)
    function.gate = anyio.Event()
    results = []

    async def inside():
        with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
            async with cache.transaction():
                results.append(await cached())
                raise FailedError

    async def beside():
        results.append(await outside(cached))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(inside)
        await clock.settle()
        tasks.start_soon(beside)
        await clock.settle()
        function.gate.set()
    assert sorted(results) == [1, 2]
    assert await cache.get("k") == 2


async def test_one_inside_does_not_share_the_load_of_callers_outside(cache, outside, function, clock):
    """Guarantee 17; D2."""
    cached = cache("10m", key="k")(function)
    function.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outside, cached)
        await clock.settle()
        async with cache.transaction() as tx:
            tasks.start_soon(cached)
            await clock.settle()
            assert function.runs == 2
            function.gate.set()
            await clock.settle()
            await tx.rollback()
    assert await cache.get("k") == 1


@pytest.mark.parametrize("strategy", ["early", "hit"])
async def test_a_refresh_behind_the_callers_back_is_no_part_of_it(cache, outside, clock, function, strategy):
    """Guarantees 11, 17: it is stored although the transaction is rolled back, and may outlive it."""
    decorate = cache.early("10m", early_ttl="1m", key="k") if strategy == "early" else cache.hit("10m", 100, 1, key="k")
    cached = decorate(function)
    assert await cached() == 1
    await clock.advance(120)
    with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction():
            function.gate = anyio.Event()
            assert await cached() == 1
            await clock.settle()
            assert function.runs == 2
            raise FailedError
    function.gate.set()
    await clock.settle()
    assert await outside(cached) == 2


async def test_what_was_loaded_before_an_invalidation_in_a_transaction_is_not_stored(cache, outside, clock, function):
    """Guarantee 10: loads that began before the delete, and those that began before the commit."""
    cached = cache("10m", key="k")(function)
    function.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        async with cache.transaction():
            await cache.delete("k")
            tasks.start_soon(outside, cached)
            await clock.settle()
        function.gate.set()
    assert function.runs == 1
    assert await cache.get("k") is None


async def test_what_was_rolled_back_invalidates_no_load_that_comes_after(cache, outside, clock, function):
    """Guarantee 10."""
    cached = cache("10m", key="k")(function)
    function.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        async with cache.transaction() as tx:
            await cache.delete("k")
            tasks.start_soon(outside, cached)
            await clock.settle()
            tx.rollback()
        function.gate.set()
    assert await cache.get("k") == 1


async def test_what_was_loaded_in_a_transaction_is_not_stored_after_another_has_invalidated_it(
    cache, outside, function, mode
):
    """Guarantee 10: although the load had ended by then, its result had not been stored."""
    cached = cache("10m", key="k")(function)
    async with cache.transaction(mode):
        assert await cached() == 1
        await outside(cache.delete, "k")
    assert await cache.get("k") is None
    assert cache.statistics().loads == 0


async def test_what_was_loaded_after_an_own_invalidation_is_stored(cache, function, mode):
    """Guarantee 10: the commit refuses the loads of others, not those of the transaction."""
    cached = cache("10m", key="k")(function)
    async with cache.transaction(mode):
        assert await cached() == 1
        await cache.delete("k")
        assert await cached() == 2
    assert await cache.get("k") == 2
    assert cache.statistics().loads == 0


@pytest.mark.over_slots
@every_tag
async def test_what_was_loaded_after_an_own_deletion_of_its_tags_is_stored(cache, function, mode, tags):
    """Guarantees 10, 18: the commit deletes tags before it writes."""
    cached = cache("10m", key="k", tags=tags)(function)
    assert await cached() == 1
    async with cache.transaction(mode):
        await cache.delete_tags("t")
        assert await cached() == 2
    assert await cache.get("k") == 2
    assert await cache.get_key_tags("k") == ("t",)
    assert cache.statistics().loads == 0
    await cache.delete_tags("t")
    assert await cache.get("k") is None


@pytest.mark.over_slots
@every_tag
async def test_a_load_that_an_own_deletion_of_its_tags_overtakes_is_not_stored(cache, clock, function, mode, tags):
    """Guarantees 10, 18."""
    cached = cache("10m", key="k", tags=tags)(function)
    function.gate = anyio.Event()
    async with cache.transaction(mode), anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.settle()
        await cache.delete_tags("t")
        function.gate.set()
    assert function.runs == 1
    assert await cache.get("k") is None


@pytest.mark.over_slots
@every_tag
async def test_a_load_after_an_own_deletion_of_its_tags_is_overtaken_by_that_of_another(
    cache, outside, function, mode, tags
):
    """Guarantees 10, 18."""
    cached = cache("10m", key="k", tags=tags)(function)
    async with cache.transaction(mode):
        await cache.delete_tags("t")
        assert await cached() == 1
        await outside(cache.delete_tags, "t")
    assert await cache.get("k") is None


async def test_a_load_that_was_invalidated_while_it_ran_leaves_what_was_written(cache, clock, function):
    """Guarantee 10: it is not stored, and takes nothing away."""
    cached = cache("10m", key="k")(function)
    function.gate = anyio.Event()
    async with cache.transaction(), anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.settle()
        await cache.delete("k")
        await cache.set("k", "written")
        function.gate.set()
        await clock.settle()
        assert await cache.get("k") == "written"
    assert await cache.get("k") == "written"


async def test_no_lease_outlives_its_transaction(cache, function, mode):
    """Guarantee 10: whichever way it ends."""
    cached = cache("10m", key="k")(function)
    async with cache.transaction(mode) as tx:
        await cached()
        await tx.commit()
        assert cache.statistics().loads == 0
        await cached()
        tx.rollback()
        assert cache.statistics().loads == 0
        await cached.refresh()
    assert cache.statistics().loads == 0
    with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode):
            await cached.refresh()
            raise FailedError
    assert cache.statistics().loads == 0


async def test_an_invalidation_of_another_cache_is_its_own_affair(cache, clock, function, outside):
    """Guarantee 10."""
    cached = cache("10m", key="k")(function)
    function.gate = anyio.Event()
    async with Cache.open("mem://", clock=VirtualClock()) as other, anyio.create_task_group() as tasks:
        async with cache.transaction():
            await other.delete("k")
            tasks.start_soon(outside, cached)
            await clock.settle()
        function.gate.set()
    assert await cache.get("k") == 1


async def test_a_cached_iterator_is_kept_with_the_transaction(cache, outside, mode):
    """Guarantees 13, 15."""
    runs = []

    @cache.iterator("10m", key="k")
    async def count():
        runs.append(1)
        for number in range(250):
            yield number

    async with cache.transaction(mode):
        assert [number async for number in count()] == list(range(250))
        assert not await outside(cache.exists, "k")
        assert [number async for number in count()] == list(range(250))
    assert [number async for number in count()] == list(range(250))
    assert len(runs) == 1


async def test_invalidating_further_removes_with_the_commit(cache, outside, mode):
    """Guarantee 21."""
    await cache.set("k", 1)
    async with cache.transaction(mode):
        with invalidate_further():
            assert await cache.get("k") is None
        assert await outside(cache.get, "k") == 1
    assert await cache.get("k") is None


@pytest.mark.over_slots
@pytest.mark.parametrize("middleware", [add_prefix("app:"), all_keys_lower()])
async def test_middlewares_stand_before_a_transaction(subject, clock, mode, middleware):
    """Guarantee 20: they rename what is kept, and what is read."""
    async with subject.open(clock, middlewares=[middleware]) as cache:
        async with cache.transaction(mode):
            await cache.set("Key", 1)
            await cache.set_many({"Other": 2})
            assert await cache.get("Key") == 1
            assert len([key async for key in cache.scan("*")]) == 2
            assert await cache.incr("Other") == 3
            await cache.delete("Key")
        assert await cache.get_many("Key", "Other") == (None, 3)


async def test_middlewares_and_callbacks_see_each_command_once(cache, mode):
    """Guarantee 20: when it is asked, and not again at the commit."""
    seen = []
    with cache.callback(lambda key, result: seen.append((key, result)), Command.SET):
        async with cache.transaction(mode):
            await cache.set("k", 1)
            assert seen == [("k", True)]
    assert seen == [("k", True)]


async def test_concurrent_calls_in_a_transaction_run_the_function_each(cache, function):
    """Guarantees 9, 17: what is loaded there may be rolled back, so nobody waits for it."""
    cached = cache("10m", key="k")(function)
    async with cache.transaction(), anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        tasks.start_soon(cached)
        await checkpoint()
    assert await cache.get("k") in {1, 2}
