"""Without a block: tasks live in the event loop, and the content of memory outlives it."""

from __future__ import annotations

import asyncio
import gc
import logging

import anyio
import anyio.to_thread
import pytest

from cashews import Cache
from cashews.exceptions import EventLoopError
from cashews.testing.clock import ClockStatistics
from tests.internals import inside

NOTHING_WAITS = ClockStatistics(sleepers=0, scopes=0, next_deadline=None)


@pytest.fixture
def hosted(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")
    return cache


async def test_a_cache_at_rest_needs_no_task(hosted, clock, tasks_now):
    before = tasks_now()
    await hosted.set("k", 1)
    await hosted.incr("c")
    await hosted.delete_match("x*")
    async with hosted.lock("l", 10):
        pass
    await clock.settle()
    assert tasks_now() == before
    assert hosted.statistics().tasks == 0


async def test_the_first_deadline_starts_the_sweeper(hosted, clock, tasks_now, stored_in):
    before = tasks_now()
    await hosted.set("k", 1, expire=5)
    await clock.advance(7)
    assert stored_in(hosted) == []
    await hosted.close()
    assert tasks_now() == before
    assert clock.statistics() == NOTHING_WAITS


async def test_the_hosted_tasks_carry_no_context_and_no_cancellation_of_who_started_them(hosted, clock, stored_in):
    """Guarantee 11."""
    with anyio.CancelScope() as scope:
        await hosted.set("k", 1, expire=5)
        await clock.settle()
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    await clock.advance(7)
    assert stored_in(hosted) == []
    await hosted.close()


async def test_a_failure_of_a_hosted_task_is_logged_and_the_next_use_starts_again(clock, serving, caplog):
    runs = []

    async def fail():
        runs.append(clock.now())
        await clock.sleep(1)
        raise LookupError

    serving(fail)
    cache = Cache(clock=clock)
    cache.setup("stub://")
    backend = inside(cache).store()
    with caplog.at_level(logging.ERROR, "cashews"):
        await cache.get("k")
        backend.environment.ensure_scope()
        await clock.advance(2)
        assert "the engine has failed; its next use starts it again" in caplog.text
        await cache.get("k")
        backend.environment.ensure_scope()
        await clock.advance(2)
    assert runs == [0, 2]
    await cache.close()


def test_several_event_loops_in_turn_keep_the_content_and_sweep_again(hosted, clock, anyio_backend, stored_in):
    """D46: also when the deadline was set in an earlier loop."""

    async def use():
        assert await hosted.get("stays", 1) == 1
        await hosted.set("stays", 1)
        await clock.advance(20)
        assert stored_in(hosted) == ["stays"]
        await hosted.set("from the loop before", 1, expire=10)
        await hosted.set("gone at once", 1, expire=1)
        await clock.advance(3)
        assert sorted(stored_in(hosted)) == ["from the loop before", "stays"]

    for backend in ("asyncio", anyio_backend, "asyncio", anyio_backend):
        anyio.run(use, backend=backend)
        gc.collect()
        assert clock.statistics() == NOTHING_WAITS


def test_hosted_tasks_die_with_their_loop(hosted, clock, anyio_backend):
    """Guarantee 28: without a word; warnings are errors."""

    async def use():
        await hosted.set("k", 1, expire=10)
        await clock.settle()
        assert hosted.statistics().tasks > 0

    anyio.run(use, backend=anyio_backend)
    gc.collect()
    assert hosted.statistics().tasks == 0
    assert clock.statistics() == NOTHING_WAITS


def test_a_scope_may_be_opened_in_a_loop_after_another(clock, anyio_backend):
    """D46."""
    cache = Cache.open("mem://", clock=clock)

    async def use():
        async with cache:
            await cache.set("k", 1, expire=10)
            await clock.advance(5)
            assert await cache.get("k") == 1
            assert await cache.get_keys_count() == 1

    for backend in ("asyncio", anyio_backend, "asyncio"):
        anyio.run(use, backend=backend)
    assert clock.statistics() == NOTHING_WAITS


def test_outside_of_a_loop_is_an_error(hosted):
    with pytest.raises(EventLoopError, match="outside of an event loop"):
        hosted.get("k").send(None)


def test_a_loop_that_was_closed_without_ending_its_tasks_does_not_break_the_next_one(hosted, clock, stored_in):
    """D46: who closes a loop by hand leaves our task pending in it; the cache goes on in the next loop."""

    async def use(key):
        await hosted.set(key, 1, expire=10)
        await clock.settle()
        await hosted.set(f"{key}, earlier", 1, expire=5)
        await clock.advance(20)
        assert [kept for kept in stored_in(hosted) if kept.startswith(key)] == []
        await hosted.set(key, 1, expire=100)

    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        for number, loop in enumerate(loops):
            loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
            loop.run_until_complete(use(f"k{number}"))
            loop.close()
    finally:
        for loop in loops:
            loop.close()


def test_a_loop_that_was_closed_before_our_task_began_says_nothing_of_it(hosted, anyio_backend):
    """Guarantee 28: Python warns of a coroutine that was never awaited."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"

    async def use():
        await hosted.set("k", 1, expire=10)
        asyncio.get_running_loop().stop()  # after this turn, in which our task has not begun

    task = loop.create_task(use())
    loop.run_forever()
    assert task.done()
    loop.close()
    del loop, task
    assert anyio.run(hosted.get, "k", backend=anyio_backend) == 1
    gc.collect()
