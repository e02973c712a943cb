"""The scope: what the block of a cache promises about tasks, errors and use after its end."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading

import anyio
import pytest

from cashews import Cache, Command
from cashews.exceptions import CacheClosedError, EventLoopError
from cashews.testing.clock import ClockStatistics
from tests.internals import inside

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

NOTHING_WAITS = ClockStatistics(sleepers=0, scopes=0, next_deadline=None)


async def test_nothing_is_left_behind(clock, tasks_now):
    """Guarantee 28."""
    before, threads = tasks_now(), threading.active_count()
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("k", 1, expire=10)
        await clock.settle()
        assert tasks_now() > before
        assert cache.statistics().tasks > 0
    assert tasks_now() == before
    assert threading.active_count() == threads
    assert clock.statistics() == NOTHING_WAITS
    assert cache.statistics().tasks == 0


class OneError(Exception):
    """Of the body."""


class FinalError(BaseException):
    """Of the body, and no Exception."""


@pytest.mark.parametrize(
    "error", [OneError("mine"), FinalError("mine"), KeyError("k"), ExceptionGroup("g", [OneError()])]
)
async def test_an_error_of_the_body_leaves_as_it_is(clock, tasks_now, error):
    """Guarantee 28: never wrapped in a group, never swallowed."""

    async def use():
        async with Cache.open("mem://", clock=clock) as cache:
            await cache.set("k", 1, expire=10)
            await clock.settle()
            raise error

    before = tasks_now()
    with pytest.raises(type(error)) as left:
        await use()
    assert left.value is error
    assert tasks_now() == before


async def test_an_error_before_any_task_has_begun_leaves_too(clock):
    with pytest.raises(OneError):
        async with Cache.open("mem://", clock=clock):
            raise OneError


async def test_a_cancelled_scope_cleans_up(clock, tasks_now, serving):
    """Guarantee 28."""
    serving(anyio.sleep_forever)
    before = tasks_now()
    with anyio.CancelScope() as scope:
        async with Cache.open("stub://", clock=clock) as cache:
            await clock.settle()
            scope.cancel()
            await anyio.sleep_forever()
        pytest.fail("the cancellation was swallowed")
    assert scope.cancelled_caught
    assert tasks_now() == before
    assert inside(cache).store().closed == 1
    assert clock.statistics() == NOTHING_WAITS


async def test_cancelling_around_a_group_cancels_every_cache_in_it(clock, tasks_now):
    before = tasks_now()

    async def use():
        async with Cache.open("mem://", clock=clock) as cache:
            await cache.set("k", 1, expire=10)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(use)
        await clock.settle()
        tasks.cancel_scope.cancel()
    assert tasks_now() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_asyncio_cancels_is_cancelled(clock):
    """Guarantee 28: `task.cancel()`, without a cancel scope of anyio's."""

    async def use():
        async with Cache.open("mem://", clock=clock) as cache:
            await cache.set("k", 1, expire=10)
            await anyio.sleep_forever()

    task = asyncio.get_running_loop().create_task(use())
    await clock.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_failing_service_ends_the_scope_and_its_error_is_raised_alone(clock, tasks_now, serving):
    async def fail():
        await clock.sleep(5)
        raise OneError

    serving(fail, anyio.sleep_forever)
    before, reached = tasks_now(), []

    async def use():
        with pytest.raises(OneError):
            async with Cache.open("stub://", clock=clock):
                await anyio.sleep_forever()
        reached.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await clock.advance(10)
    assert reached == [5]
    assert tasks_now() == before


async def test_two_failing_services_are_raised_as_a_group(clock, serving):
    async def fail():
        raise OneError

    serving(fail, fail)
    with pytest.raises(ExceptionGroup) as left:
        async with Cache.open("stub://", clock=clock):
            await anyio.sleep_forever()
    assert [type(error) for error in left.value.exceptions] == [OneError, OneError]


async def test_a_service_that_fails_at_the_end_does_not_hide_the_bodys_error(clock, serving, caplog):
    async def fail():
        try:
            await anyio.sleep_forever()
        finally:
            raise OneError

    async def use(error=None):
        async with Cache.open("stub://", clock=clock):
            await clock.settle()
            if error is not None:
                raise error

    serving(fail)
    with caplog.at_level(logging.ERROR, "cashews"), pytest.raises(KeyError):
        await use(KeyError())
    assert "a task of the cache failed while its scope was left" in caplog.text
    with pytest.raises(OneError):
        await use()


COMMANDS = {
    "get": lambda cache: cache.get("k"),
    "set": lambda cache: cache.set("k", 1),
    "set with ttl": lambda cache: cache.set("k", 1, 10),
    "get_many": lambda cache: cache.get_many("k"),
    "get_or_set": lambda cache: cache.get_or_set("k", 1),
    "incr": lambda cache: cache.incr("k"),
    "delete": lambda cache: cache.delete("k"),
    "delete_match": lambda cache: cache.delete_match("*"),
    "clear": lambda cache: cache.clear(),
    "ping": lambda cache: cache.ping(),
    "get_keys_count": lambda cache: cache.get_keys_count(),
    "scan": lambda cache: cache.scan("*").__anext__(),
    "get_match": lambda cache: cache.get_match("*").__anext__(),
    "lock": lambda cache: cache.lock("k").__aenter__(),
    "unlock": lambda cache: cache.unlock("k", "token"),
    "is_locked": lambda cache: cache.is_locked("k", wait=10),
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_use_after_the_end_is_an_error(clock, command):
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("k", 1)
    with pytest.raises(CacheClosedError, match=r"its scope has ended; open it again with init\(\), or call setup\(\)"):
        await COMMANDS[command](cache)


async def test_use_after_close_is_an_error_inside_the_block_too(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.close()
        await cache.close()
        with pytest.raises(CacheClosedError):
            await cache.get("k")
        await anyio.lowlevel.checkpoint()


async def test_closing_a_cache_that_was_hosted_before_does_not_cancel_the_block(clock):
    """Guarantee 28."""
    cache = Cache(clock=clock)
    cache.setup("mem://")
    await cache.set("k", 1, expire=10)
    await clock.settle()
    reached = False
    async with cache:
        await cache.close()
        await clock.settle()
        reached = True
    assert reached


async def test_a_switched_off_cache_that_is_closed_is_closed(clock):
    cache = Cache.open("mem://", clock=clock, disable=True)
    async with cache:
        assert await cache.get("k") is None
    with pytest.raises(CacheClosedError):
        await cache.get("k")


@pytest.mark.parametrize("manner", ["init", "setup", "async with"])
async def test_a_closed_cache_may_be_opened_again(clock, stored_in, manner):
    """D46."""
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("old", 1)
    if manner == "init":
        await cache.init()
    elif manner == "setup":
        cache.setup("mem://")
    else:
        await cache.__aenter__()
    assert await cache.get("old") is None
    await cache.set("k", 1, expire=5)
    assert await cache.get("k") == 1
    await clock.advance(7)
    assert stored_in(cache) == []  # swept, not only unseen
    if manner == "async with":
        await cache.__aexit__(None, None, None)
    else:
        await cache.close()
    assert clock.statistics() == NOTHING_WAITS


async def test_a_cache_may_be_opened_many_times_in_turn(clock, tasks_now):
    before, cache = tasks_now(), Cache.open("mem://", clock=clock)
    for _ in range(5):
        async with cache:
            await cache.set("k", 1, expire=10)
            await clock.settle()
        assert tasks_now() == before


@pytest.mark.parametrize("hosted_before", [False, True])
async def test_one_scope_at_a_time(clock, hosted_before):
    cache = Cache.open("mem://", clock=clock)
    if hosted_before:
        await cache.set("k", 1, expire=10)
        await clock.settle()
    async with cache:
        await cache.set("k", 1)
        with pytest.raises(EventLoopError, match="open already"):
            async with cache:
                pytest.fail("two scopes")
        await clock.settle()
        assert await cache.get("k") == 1


async def test_opening_a_hosted_cache_keeps_what_it_holds_and_its_tasks_move_in(clock, tasks_now):
    before, cache = tasks_now(), Cache.open("mem://", clock=clock)
    await cache.set("k", 1, expire=10)
    await clock.settle()
    hosted = tasks_now()
    async with cache:
        assert await cache.get("k") == 1
        await clock.settle()
        assert tasks_now() <= hosted
        await clock.advance(12)
        assert cache.statistics().backends[""]["expired"] == 1
    assert tasks_now() == before


async def test_a_second_setup_closes_the_backend_it_replaces(clock, serving):
    """D44."""
    served = []

    async def service():
        served.append("begun")
        await anyio.sleep_forever()

    serving(service)
    async with Cache.open("stub://", clock=clock) as cache:
        first = inside(cache).store()
        await clock.settle()
        cache.setup("stub://")
        second = inside(cache).store()
        await clock.settle()
        assert (first.closed, second.closed) == (1, 0)
        assert served == ["begun", "begun"]
    assert (first.closed, second.closed) == (1, 1)


async def test_a_second_setup_ends_the_sweeper_of_the_first(clock, tasks_now):
    """D44, D45."""
    async with Cache.open("mem://", clock=clock) as cache:
        await clock.settle()
        before = tasks_now(), cache.statistics().tasks
        for _ in range(5):
            await cache.set("k", 1, expire=100)
            cache.setup("mem://")
            assert await cache.get("k") is None
        await clock.settle()
        assert (tasks_now(), cache.statistics().tasks) == before


async def test_a_second_setup_ends_the_sweeper_of_a_hosted_cache(clock, tasks_now):
    """D44."""
    cache = Cache.open("mem://", clock=clock)
    await cache.set("k", 1, expire=100)
    await clock.settle()
    before = tasks_now()
    cache.setup("mem://")
    await cache.set("k", 1, expire=100)
    await clock.settle()
    assert tasks_now() == before
    await cache.close()


async def test_init_again_makes_no_more_tasks(clock, tasks_now):
    """D45."""
    cache = Cache.open("mem://", clock=clock)
    await cache.init()
    await cache.set("k", 1, expire=100)
    await clock.settle()
    before = tasks_now()
    for _ in range(3):
        await cache.init()
        await cache.set("k", 1, expire=50)
    await clock.settle()
    assert tasks_now() == before
    await cache.close()
    await cache.close()


async def test_a_backend_set_up_in_an_open_cache_is_served_and_closed(clock, stored_in, serving):
    serving()
    async with Cache.open("mem://", clock=clock) as cache:
        cache.setup("mem://", prefix="user:")
        cache.setup("stub://", prefix="stub:")
        stub = inside(cache).store("stub:")
        await cache.set("user:1", 1, expire=5)
        await clock.advance(7)
        assert stored_in(cache, "user:") == []
    assert stub.closed == 1


async def test_the_scope_carries_no_context_of_its_opener(clock):
    """Guarantee 11: tasks are born in the scope; switches of the block around it do not reach them."""
    outside = Cache.open("mem://", clock=clock)
    with outside.disabling(Command.GET):
        async with outside:
            await outside.set("k", 1, expire=5)
            await clock.advance(7)
            assert outside.statistics().backends[""]["expired"] == 1
