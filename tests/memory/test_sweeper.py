"""The sweeper: expired values leave though nobody touches them, in small turns, without polling."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, Cause


async def test_expired_values_leave_though_nobody_touches_them(clock, stored):
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set_many({"a": 1, "b": 2}, expire=10)
        await cache.set_add("s", "x", expire=20)
        await cache.set("stays", 1)
        await clock.advance(9)
        assert sorted(stored(cache)) == ["a", "b", "s", "stays"]
        await clock.advance(2.1)
        assert sorted(stored(cache)) == ["s", "stays"]
        await clock.advance(10)
        assert stored(cache) == ["stays"]
        assert cache.statistics().backends[""]["expired"] == 3


@pytest.mark.parametrize("interval", [0.1, 0.3, 1, 10])
async def test_they_leave_at_the_latest_one_interval_after_their_deadline(clock, stored, interval):
    """D87. Whatever the interval and its rounding, the sweeper comes to rest."""
    async with Cache.open("mem://", clock=clock, check_interval=interval) as cache:
        removed = []
        cache.on_remove(lambda key, *_: removed.append((key, clock.now())))
        ttls = {f"k{number}": 0.05 + number * 1.7 for number in range(200)}
        for key, ttl in ttls.items():
            await cache.set(key, 1, ttl)
        await clock.advance(400)
        assert stored(cache) == []
        for key, instant in removed:
            assert ttls[key] - 0.001 <= instant <= ttls[key] + interval * 1.000_001


async def test_an_earlier_deadline_wakes_the_sweeper(clock, stored):
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("late", 1, expire=100_000)
        await clock.settle()
        await cache.set("soon", 1, expire=5)
        await clock.advance(7)
        assert stored(cache) == ["late"]


async def test_the_sweeper_sleeps_until_something_is_due(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        await clock.settle()
        assert clock.statistics().next_deadline == float("inf")
        await cache.set("k", 1, expire=50)
        await clock.settle()
        assert clock.statistics().next_deadline == pytest.approx(51, abs=1)
        await cache.delete("k")
        await clock.advance(100)
        assert clock.statistics().next_deadline == float("inf")
        assert clock.statistics().sleepers == 0


async def test_many_that_expire_at_once_leave_in_small_turns(clock, stored):
    """Guarantee 25."""
    async with Cache.open("mem://", clock=clock, size=20_000) as cache:
        await cache.set_many({str(number): number for number in range(20_000)}, expire=10)
        begun, seen = anyio.Event(), [20_000]
        cache.on_remove(lambda *_: begun.set())

        async def watch():
            await begun.wait()
            while seen[-1]:
                seen.append(len(stored(cache)))
                await checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await clock.advance(15)
        assert max(before - after for before, after in pairwise(seen)) <= 2_000


async def test_an_interval_of_zero_sweeps_nothing_and_needs_no_task(clock, stored):
    """D34: what is touched is gone all the same."""
    async with Cache.open("mem://?check_interval=0", clock=clock) as cache:
        await clock.settle()
        before = cache.statistics().tasks
        await cache.set_many({"a": 1, "b": 2}, expire=1)
        await clock.advance(1_000)
        assert cache.statistics().tasks == before
        assert stored(cache) == ["a", "b"]
        assert await cache.get("a") is None
        assert stored(cache) == ["b"]
        assert await cache.get_keys_count() == 0
        assert clock.statistics().scopes == 0


async def test_a_cancelled_clear_is_finished_by_the_sweeper(clock):
    """Guarantees 25, 27: nothing that was cleared is kept alive."""
    async with Cache.open("mem://", clock=clock, size=10_000) as cache:
        removed = []
        cache.on_remove(lambda *removal: removed.append(removal))
        await cache.set_many({str(number): number for number in range(10_000)})
        await clock.settle()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await cache.clear()
        assert scope.cancelled_caught
        assert await cache.get("1") is None
        await clock.settle()
        assert len(removed) == 10_000
        assert {cause for _, _, cause in removed} == {Cause.DELETED}


async def test_a_cleared_cache_sweeps_on(clock, stored):
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("a", 1, expire=5)
        await cache.clear()
        await cache.set("b", 1, expire=10)
        await clock.advance(12)
        assert stored(cache) == []
        assert cache.statistics().backends[""]["expired"] == 1
