"""The figures of the actors: `statistics().actors`."""

from __future__ import annotations

import anyio
import pytest

from cashews import Cache
from cashews.actors.actor import ActorStatistics


def actors(cache):
    return {actor.name: actor for actor in cache.statistics().actors}


async def test_every_actor_of_a_cache_is_listed(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        assert list(actors(cache)) == ["memory", "refresher", "coordinator"]
        assert all(isinstance(actor, ActorStatistics) for actor in cache.statistics().actors)


async def test_with_several_stores_the_prefix_is_part_of_the_name(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")
    cache.setup("mem://", prefix="users:")
    assert sorted(actors(cache)) == ["coordinator", "memory ''", "memory 'users:'", "refresher"]


@pytest.mark.redis
async def test_each_connection_is_an_actor(server, clock):
    async with Cache.open(server.url, clock=clock, connections=3) as cache:
        assert [name for name in actors(cache) if "redis" in name] == ["redis", "redis 2", "redis 3"]


@pytest.mark.redis
async def test_a_connections_batches_and_turns_are_counted(server, clock):
    async with Cache.open(server.url, clock=clock) as cache:
        await cache.ping()
        before = actors(cache)["redis"]
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(cache.set, f"k{number}", number)
        after = actors(cache)["redis"]
        assert after.turns - before.turns == 50
        assert after.batches - before.batches < 10
        assert after.largest_batch > 10
        assert (after.waiting, after.restarts) == (0, 0)


@pytest.mark.diskcache
async def test_each_lane_is_an_actor(tmp_path, clock):
    async with Cache.open("disk://", directory=tmp_path, clock=clock) as cache:
        await cache.set("k", 1)
        await cache.get("k")
        figures = actors(cache)
        assert [name for name in figures if "disk" in name] == ["disk reads", "disk writes"]
        assert figures["disk writes"].turns == figures["disk reads"].turns == 1


async def test_a_refresh_is_a_turn_and_an_opening_again_is_a_restart(clock):
    cache = Cache.open("mem://", clock=clock)
    for number in range(3):
        async with cache:

            @cache.early(90, key="k", early_ttl=30)
            async def function():
                return 1

            await function()
            await clock.advance(80)
            await function()
            await clock.settle()
            assert (actors(cache)["refresher"].turns, actors(cache)["refresher"].restarts) == (number + 1, number)
            await cache.clear()
