"""Closing leaves no thread and no open file. Guarantee 28."""

import asyncio
import subprocess
import sys
import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.actors.loop import current_loop
from cashews.actors.thread import ActorThread
from cashews.backends.disk.lane import ThreadBell
from cashews.exceptions import CacheClosedError
from tests.disk.conftest import writing

pytestmark = pytest.mark.diskcache


def resident():
    """Return the stacks' functions of all threads, so as to see who still serves a lane."""
    frames = sys._current_frames()
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and "_reside" in names_in(frames.get(thread.ident))
    ]


def ends():
    """Say whether the threads are about to end that have said so to their loop."""
    return any(not resident() for _ in range(100_000))


def names_in(frame):
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def let_go_of(directory):
    """Say whether SQLite has put its log away, as it does when the last connection is closed."""
    return not (directory / "cache.db-wal").exists()


async def test_at_the_end_of_the_block_nothing_is_left(opened, directory):
    async with opened() as cache:
        await cache.set("k", 1)
        await cache.get("k")
        assert len(resident()) == 2
        assert not let_go_of(directory)
    assert resident() == []
    assert let_go_of(directory)


async def test_what_waits_is_done_before_the_end(opened, directory):
    async with opened() as cache:
        await cache.set("first", 0)
        async with anyio.create_task_group() as tasks:
            with writing(directory):
                for number in range(10):
                    tasks.start_soon(cache.set, f"k{number}", number)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(cache.close)
                await anyio.wait_all_tasks_blocked()
    async with opened() as cache:
        assert await cache.get_many("k0", "k9") == (0, 9)


async def test_a_cancelled_scope_leaves_nothing(opened, directory):
    with anyio.CancelScope() as scope:
        async with opened() as cache:
            await cache.set("k", 1)
            scope.cancel()
            await cache.set("k", 2)
    assert scope.cancelled_caught
    assert resident() == []
    assert let_go_of(directory)


async def test_a_cancelled_scope_does_not_wait_for_a_busy_file(opened, directory):
    async with opened(timeout=3_600) as cache:
        await cache.set("k", 1)
    with writing(directory), anyio.CancelScope() as scope:
        async with opened(timeout=3_600) as cache, anyio.create_task_group() as tasks:
            await cache.get("k")
            tasks.start_soon(cache.set, "k", 2)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert resident() == []


async def test_a_closed_cache_refuses_and_opens_again(opened):
    cache = opened()
    async with cache:
        await cache.set("k", 1)
        await cache.close()
        with pytest.raises(CacheClosedError):
            await cache.get("k")
    assert resident() == []


def test_hosted_in_one_loop_after_another(directory):
    cache = Cache()
    cache.setup("disk://", directory=directory, suppress=False)
    for backend in ("asyncio", "trio", "asyncio"):
        assert anyio.run(cache.incr, "k", backend=backend)
        assert ends()
        assert let_go_of(directory)


@pytest.mark.parametrize("steps", range(5))
def test_a_thread_ends_with_its_loop_however_far_it_has_come(steps):
    """The end of asyncio's loop cancels through shields."""

    async def main():
        nonlocal thread
        thread = ActorThread(bell.wait, bell, current_loop(), "waits")
        thread.start()
        waiting = asyncio.ensure_future(thread.wait())
        for _ in range(steps):
            await checkpoint()
        waiting.cancel()
        bell.stop()
        done, _ = await asyncio.wait([waiting], timeout=10)
        assert done

    bell, thread = ThreadBell(), None
    asyncio.run(main())
    thread.finish()
    assert "waits" not in [each.name for each in threading.enumerate()]


PROGRAM = """
import asyncio, sys
from cashews import Cache
cache = Cache()
cache.setup("disk://", directory=sys.argv[1], suppress=False)
async def main():
    await cache.set("k", 1)
    print(await cache.get("k"))
asyncio.run(main())
"""


def test_a_program_that_closes_nothing_ends_without_a_word(directory):
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM, str(directory)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
