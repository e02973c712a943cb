"""Everything that waits is one trip to the thread and one transaction."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.disk.conftest import figures, taken, writing

pytestmark = pytest.mark.diskcache


async def together(*calls):
    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(*call)


async def test_concurrent_commands_share_batches(cache):
    await cache.set("first", 0)
    before = figures(cache)
    await together(*[(cache.set, f"k{number}", number) for number in range(100)])
    after = figures(cache)
    assert await cache.get_many(*[f"k{number}" for number in range(100)]) == tuple(range(100))
    assert after["commands"] - before["commands"] == 100
    assert after["batches"] - before["batches"] < 20


async def test_while_a_write_waits_for_its_file_the_others_become_one_batch(cache, directory):
    await cache.set("first", 0)
    async with anyio.create_task_group() as tasks:
        with writing(directory):
            tasks.start_soon(cache.set, "waits", 1)
            await anyio.wait_all_tasks_blocked()
            await taken(cache)
            for number in range(50):
                tasks.start_soon(cache.incr, f"k{number % 5}")
            await anyio.wait_all_tasks_blocked()
            assert figures(cache)["waiting"] == 51
    assert figures(cache)["largest_batch"] == 50
    assert await cache.get_many("k0", "k4") == (10, 10)


async def test_reads_do_not_wait_for_a_long_write(cache, directory):
    await cache.set("k", "old")
    with writing(directory) as other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.set, "k", "new")
            await anyio.wait_all_tasks_blocked()
            assert await cache.get("k") == "old"
            assert await cache.get_expire("k") == -1
            other.rollback()
    assert await cache.get("k") == "new"


async def test_the_event_loop_goes_on_while_a_write_waits(cache, directory):
    await cache.set("k", 1)
    turns = 0
    with writing(directory) as other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.set, "k", 2)
            await anyio.wait_all_tasks_blocked()
            for _ in range(100):
                await checkpoint()
                turns += 1
            assert figures(cache)["waiting"] == 1
            other.rollback()
    assert turns == 100


async def test_changes_in_place_are_atomic_among_tasks(cache):
    """D119."""
    await together(
        *[(cache.incr, "counter") for _ in range(20)],
        *[(cache.set_add, "set", str(number)) for number in range(20)],
        *[(cache.incr_bits, "bits", number) for number in range(20)],
        *[(cache.slice_incr, "slice", 0, number + 1, 100) for number in range(20)],
    )
    assert await cache.get("counter") == 20
    assert len(await cache.set_pop("set", 100)) == 20
    assert await cache.get_bits("bits", *range(20)) == (1,) * 20
    assert await cache.slice_incr("slice", 0, 21, 100) == 21


async def test_one_failure_of_a_batch_is_one_askers(cache):
    await cache.set("text", "text")
    failed = []

    async def fails():
        try:
            await cache.incr("text")
        except TypeError as error:
            failed.append(error)

    await together((cache.set, "a", 1), (fails,), (cache.set, "b", 2), (fails,))
    assert len(failed) == 2
    assert failed[0] is not failed[1]
    assert await cache.get_many("a", "b", "text") == (1, 2, "text")
