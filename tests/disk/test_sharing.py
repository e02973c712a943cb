"""Several caches, in one process or in several, share a directory."""

import subprocess
import sys

import anyio
import pytest

from cashews.engine.coordinator.modes import TransactionMode
from tests.disk.conftest import figures

pytestmark = pytest.mark.diskcache


@pytest.fixture
async def pair(opened):
    async with opened() as first, opened() as second:
        yield first, second


async def test_what_one_writes_the_other_reads(pair):
    first, second = pair
    await first.set("k", "value")
    assert await second.get("k") == "value"
    await second.delete("k")
    assert await first.get("k") is None


async def test_only_one_of_many_takes_a_lock(pair):
    """D120."""
    for number in range(30):
        taken = []

        async def take(cache, token, key=f"k{number}", taken=taken):
            taken.append(await cache.set_lock(key, token, 100))

        async with anyio.create_task_group() as tasks:
            for contender in range(6):
                tasks.start_soon(take, pair[contender % 2], str(contender))
        assert sorted(taken) == [False] * 5 + [True]


async def test_only_one_of_many_stores_where_nothing_is(pair):
    stored = []

    async def store(cache, value):
        stored.append(await cache.set("k", value, exist=False))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(store, pair[number % 2], number)
    assert sum(stored) == 1


async def test_an_unlock_elsewhere_is_noticed(pair, clock):
    """Files do not call: the first of a queue looks again after a pause."""
    first, second = pair
    await first.set_lock("k", "theirs", 100)
    entered = []

    async def work():
        async with second.lock("k"):
            entered.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await clock.advance(1)
        assert entered == []
        await first.unlock("k", "theirs")
        await clock.advance(2)
        assert len(entered) == 1


async def test_no_update_is_lost_between_transactions_of_two_caches(pair, clock):
    """Guarantee 16."""

    async def add(cache):
        async with cache.transaction():
            await cache.set("k", await cache.get("k", 0) + 1)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(add, pair[number % 2])
        for _ in range(200):
            await clock.advance(0.1)
    assert await pair[0].get("k") == 10


async def test_a_commit_over_several_files_is_seen_whole_by_everybody(opened):
    """Guarantee 15, while several commit and read as fast as they can."""
    torn, going, keys = [], True, "abcdef"
    async with opened(shards=3) as first, opened(shards=3) as second:
        await first.set_many(dict.fromkeys(keys, 0))

        async def read():
            while going:
                found = await second.get_many(*reversed(keys))
                if len(set(found)) > 1:
                    torn.append(found)

        async def write(cache, base):
            for number in range(100):
                async with cache.transaction(TransactionMode.FAST):
                    for key in keys:
                        await cache.set(key, base + number)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(read)
            async with anyio.create_task_group() as writers:
                writers.start_soon(write, first, 0)
                writers.start_soon(write, second, 1_000)
            going = False
    assert torn == []


PROGRAM = """
import sys, anyio
from cashews import Cache
async def main():
    async with Cache.open("disk://", directory=sys.argv[1], suppress=False) as cache:
        print("ready", flush=True)
        sys.stdin.readline()
        async def work():
            for _ in range(50):
                await cache.incr("counter")
                await cache.set_add("set", str(await cache.incr("members")))
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(work)
anyio.run(main)
"""


def run_together(directory):
    """Run three processes, none of which begins before all are there."""
    command, pipe = [sys.executable, "-c", PROGRAM, str(directory)], subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0


async def test_processes_count_together(opened, directory):
    run_together(directory)
    async with opened() as cache:
        assert await cache.get("counter") == 600
        assert len(await cache.set_pop("set", 1_000)) == 600
        assert figures(cache)["waiting"] == 0
