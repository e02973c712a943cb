"""Caches whose event loop was closed or left by hand, and whose scope becomes another. Guarantees 23, 28."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from cashews import Cache
from tests.servers import binaries

REAL = 10.0
"""Seconds of real time that a reply from a server or a disk may take."""


@pytest.fixture(
    params=[
        *[pytest.param(kind, id=f"redis@{kind}", marks=pytest.mark.redis) for kind in binaries() or ["none"]],
        pytest.param("disk", marks=pytest.mark.diskcache),
    ]
)
def stored(request, tmp_path):
    """A cache of which nothing was asked yet, on a server or on disk; the loop that it is used in may come and go."""
    cache = Cache()
    if request.param == "disk":
        cache.setup("disk://", directory=tmp_path / "cache", suppress=False)
    else:
        cache.setup(request.getfixturevalue("empty")(request.param).url, suppress=False)
    yield cache
    anyio.run(cache.close)  # in a loop of its own: the thread that a loop has left behind would keep the process alive


def actors(cache):
    return {actor.name: actor for actor in cache.statistics().actors}


async def count(cache, times=20):
    """Ask for one thing after the other, beside others that read: replies must pair."""
    numbers, found = [], []

    async def read(key):
        found.append((key, await cache.get(key)))

    for key in ("a", "b"):
        await cache.set(key, key)
    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(read, "a")
            tasks.start_soon(read, "b")
            numbers.append(await cache.incr("n"))
    assert all(key == value for key, value in found)
    return numbers


async def turned(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


def test_two_loops_in_turn_mix_up_no_reply(stored, by_hand):
    """A loop that was stopped comes back with the tasks it had; they have no part in what is asked now."""
    loops, numbers = [by_hand(), by_hand()], []
    for number in range(6):
        numbers += loops[number % 2].run_until_complete(asyncio.wait_for(count(stored), REAL))
    assert numbers == list(range(1, 121))
    assert all(actor.restarts == 5 for name, actor in actors(stored).items() if name.startswith(("redis", "disk w")))


def test_a_loop_that_is_stopped_while_its_actor_begins_disturbs_no_other(stored, by_hand):
    """It was about to connect, or had just done so, and goes on with that when it comes back."""
    loops, left, numbers = [by_hand(), by_hand()], [], []
    for turns in range(12):
        stopped, other = loops[turns % 2], loops[1 - turns % 2]
        left.append(stopped.create_task(stored.get("left")))
        stopped.run_until_complete(turned(turns))
        numbers += other.run_until_complete(asyncio.wait_for(count(stored, 3), REAL))
        stopped.run_until_complete(turned(50))
        numbers += other.run_until_complete(asyncio.wait_for(count(stored, 3), REAL))
    assert numbers == list(range(1, 73))


def test_letters_of_a_loop_that_was_closed_are_gone(stored, by_hand):
    left = []
    for round_ in range(3):
        loop = by_hand()
        assert loop.run_until_complete(asyncio.wait_for(count(stored, 5), REAL))[-1] == 5 * (round_ + 1)
        left += [loop.create_task(stored.set("left", number)) for number in range(100)]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def test_a_hosted_cache_that_is_opened_is_served_though_its_block_waits_first(stored):
    """Its tasks ended as the block opened, and began again before the store was asked."""
    assert await stored.incr("n") == 1
    with anyio.fail_after(REAL):
        async with stored:
            await anyio.wait_all_tasks_blocked()
            assert await stored.incr("n") == 2
        async with stored:
            await anyio.wait_all_tasks_blocked()
            assert await stored.incr("n") == 3


async def test_who_waits_for_a_refresh_when_the_hosted_tasks_end_loads_for_himself(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")
    runs, found = [], []

    @cache.failover(ttl=100, soft_timeout=50, key="k")
    async def slow():
        runs.append(clock.now())
        if len(runs) == 1:
            await anyio.sleep_forever()
        return len(runs)

    async def ask():
        found.append(await slow())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.settle()
        assert runs == [0]
        async with cache:
            await clock.settle()
            assert found == [2]
