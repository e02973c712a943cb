"""The memory store actor: errands, which take several turns, go on in its own task. Guarantees 18, 25, 28."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache

MANY = 12_000


def figures(cache):
    (memory, *_) = cache.statistics().actors
    return memory


def left(cache):
    return cache.statistics().backends[""]["keys"]


async def delete_match(cache):
    await cache.delete_match("k*")


async def delete_tags(cache):
    await cache.delete_tags("t")


async def clear(cache):
    await cache.clear()


DELETIONS = {"delete_match": delete_match, "delete_tags": delete_tags, "clear": clear}
over_deletions = pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)


@pytest.fixture(params=["open", "resting", "unswept"])
async def cache(request, clock):
    interval = 0 if request.param == "unswept" else 1
    cache = Cache(clock=clock)
    cache.setup("mem://", size=10 * MANY, check_interval=interval)
    if request.param == "resting":
        yield cache
        await cache.close()
    else:
        async with cache:
            await clock.settle()
            yield cache


async def tagged(cache):
    for number in range(MANY):
        await cache.set(f"k{number}", number, tags=["t"])
    await cache.set("other", 1)


@over_deletions
@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_a_deletion_goes_on_when_its_asker_is_cancelled(cache, clock, delete, turns):
    """A cancelled caller leaves no half a deletion, wherever it has come."""
    await tagged(cache)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delete, cache)
        for _ in range(turns):
            await checkpoint()
        tasks.cancel_scope.cancel()
    await clock.settle()
    begun = left(cache) <= 1
    assert begun or (turns == 0 and left(cache) == MANY + 1)
    assert await cache.get("k7") == (None if begun else 7)
    assert await cache.get("other") == (None if begun and delete is clear else 1)


@over_deletions
async def test_a_deletion_takes_small_turns(cache, delete):
    """Guarantee 25: others have theirs in between."""
    await tagged(cache)
    removed, seen = [], [MANY]
    cache.on_remove(lambda *removal: removed.append(removal))

    async def watch():
        while len(removed) < MANY:
            await checkpoint()
            seen.append(MANY - len(removed))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await delete(cache)
    assert max(before - after for before, after in pairwise(seen)) <= MANY / 2


@over_deletions
async def test_a_deletion_is_done_when_it_returns(cache, delete):
    await tagged(cache)
    await delete(cache)
    assert await cache.get_keys_count() == (0 if delete is clear else 1)


async def test_several_errands_take_turns(clock):
    """None waits for the end of another: the second to come may be the first to end."""
    ended = []
    async with Cache.open("mem://", clock=clock, size=10 * MANY) as cache:
        for number in range(MANY):
            await cache.set(f"k{number}", number)
        for number in range(1_500):
            await cache.set(f"few{number}", number, tags=["few"])

        async def run(errand, name):
            await errand
            ended.append(name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, cache.delete_match("k*"), "many")
            await checkpoint()
            tasks.start_soon(run, cache.delete_tags("few"), "few")
    assert ended == ["few", "many"]


async def test_an_errand_of_one_turn_is_served_in_place(clock):
    """The mailbox is for what takes several turns; its first turn is served where it is asked for."""
    async with Cache.open("mem://", clock=clock) as cache:
        await clock.settle()
        before = figures(cache)
        for number in range(100):
            await cache.set(f"k{number}", number, tags=["t"])
        await cache.delete_match("k1*")
        await cache.delete_tags("t")
        await cache.get_keys_count()
        await cache.clear()
        assert figures(cache) == before


async def test_the_rest_of_a_long_errand_is_the_actors(clock):
    async with Cache.open("mem://", clock=clock, size=10 * MANY) as cache:
        await cache.set_many({str(number): number for number in range(MANY)})
        await clock.settle()
        before = figures(cache)
        await cache.delete_match("*")
        assert figures(cache).turns - before.turns >= MANY / 2_000 - 1


async def test_who_waits_for_an_errand_when_its_scope_ends_goes_on_alone(clock):
    """The tasks of a hosted cache end as it is opened as a block; a deletion is done all the same."""
    cache, done = Cache(clock=clock), []
    cache.setup("mem://", size=10 * MANY)
    await cache.set_many({str(number): number for number in range(MANY)}, expire=100)
    await clock.settle()

    async def delete():
        await cache.delete_match("*")
        done.append(left(cache))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delete)
        await checkpoint()
        await checkpoint()
        async with cache:
            await clock.settle()
            assert done == [0]
    assert figures(cache).restarts == 1


async def test_who_waits_for_an_errand_when_the_cache_is_closed_is_answered(clock):
    async with Cache.open("mem://", clock=clock, size=10 * MANY) as cache, anyio.create_task_group() as tasks:
        await cache.set_many({str(number): number for number in range(MANY)})
        tasks.start_soon(cache.delete_match, "*")
        await checkpoint()
        await checkpoint()
        await cache.close()
    assert left(cache) == 0


async def test_a_count_sweeps_first_and_is_given_up_with_its_asker(clock):
    async with Cache.open("mem://", clock=clock, size=10 * MANY, check_interval=1_000) as cache:
        await cache.set_many({str(number): number for number in range(MANY)}, expire=1)
        await clock.advance(2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.get_keys_count)
            await checkpoint()
            tasks.cancel_scope.cancel()
        assert await cache.get_keys_count() == 0
