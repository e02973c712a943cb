"""One cache in several event loops and threads at the same time. Guarantee 30."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from cashews import Cache, Command, TransactionMode
from cashews.exceptions import CacheClosedError, EventLoopError, LockedError, TransactionError
from tests.engine.elsewhere import LOOPS, PATIENCE, elsewhere, use_decorators, use_everything, use_transactions
from tests.internals import inside


@LOOPS
@pytest.mark.parametrize("use", [use_everything, use_transactions, use_decorators])
async def test_another_loop_has_the_whole_cache(stored, other, use):
    await use(stored, "home")
    await elsewhere(partial(use, stored, "other"), other)
    await use(stored, "home again")


@LOOPS
async def test_a_block_is_used_from_other_loops(patient, other):
    url, options = patient
    async with Cache.open(url, **options) as cache:
        await cache.set("k", 1)

        async def use():
            assert await cache.get("k") == 1
            await use_everything(cache, "other")
            await cache.set("k", 2)

        await elsewhere(use, other)
        assert await cache.get("k") == 2
    with pytest.raises(CacheClosedError):
        await elsewhere(partial(cache.get, "k"), other)


@LOOPS
async def test_a_worker_thread_may_use_the_loop_that_it_came_from(stored, other):
    await elsewhere(partial(stored.set, "k", 1), other)
    assert await anyio.to_thread.run_sync(partial(anyio.from_thread.run, stored.get, "k")) == 1


@LOOPS
async def test_loads_run_in_the_loop_of_their_caller_and_are_shared_in_it_alone(stored, other):
    """Guarantee 9 for each loop."""
    await stored.ping()  # the home is here
    runs = []
    both = threading.Barrier(2)

    @stored(ttl=100, key="k")
    async def load():
        runs.append(threading.get_ident())
        await anyio.to_thread.run_sync(both.wait, PATIENCE)
        return "value"

    async def twice():
        found = []

        async def ask():
            found.append(await load())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert found == ["value"] * 2
        return threading.get_ident()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(twice)
        there = await elsewhere(twice, other)
    assert sorted(runs) == sorted([threading.get_ident(), there])
    assert await load() == "value"
    assert stored.statistics().loads == 0


async def runs_of_two_calls(cache, other, reads, loaded):
    """Return how often a function runs for two calls at once in another loop, which both read first.

    :param reads: gets an item at each read
    :param loaded: is set when the first call has ended
    """
    runs = []

    @cache(ttl=100, key="k")
    async def load():
        runs.append(None)
        while len(reads) < 2:
            await anyio.lowlevel.checkpoint()
        return "value"

    async def ask():
        assert await load() == "value"
        loaded.set()

    async def twice():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)

    await elsewhere(twice, other)
    return len(runs)


@LOOPS
async def test_a_read_that_is_heard_of_after_a_load_is_made_again(memory, other):
    """Guarantee 9: it has found nothing, and the load that it might have joined has ended meanwhile."""
    await memory.ping()  # the home is here
    reads, loaded = [], threading.Event()

    async def slow(call, command, _backend, *args, **kwargs):
        reply = await call(*args, **kwargs)
        if command is Command.GET:
            reads.append(reply)
            if len(reads) == 2:
                await anyio.to_thread.run_sync(loaded.wait, PATIENCE)
        return reply

    memory.add_middleware(slow)
    assert await runs_of_two_calls(memory, other, reads, loaded) == 1


@LOOPS
async def test_a_read_that_is_heard_of_before_a_value_is_stored_joins_its_load(memory, other):
    """Guarantee 9: the function has run by then; a second read would find nothing, and be heard of too late."""
    await memory.ping()  # the home is here
    reads, storing, loaded = [], threading.Event(), threading.Event()

    async def slow(call, command, _backend, *args, **kwargs):
        if command is Command.SET:
            storing.set()
            while len(reads) == 2 and not memory.statistics().load_waiters:
                await anyio.lowlevel.checkpoint()
        reply = await call(*args, **kwargs)
        if command is Command.GET:
            reads.append(reply)
            if len(reads) > 1:
                await anyio.to_thread.run_sync((storing if len(reads) == 2 else loaded).wait, PATIENCE)
        return reply

    memory.add_middleware(slow)
    assert await runs_of_two_calls(memory, other, reads, loaded) == 1


@LOOPS
@pytest.mark.parametrize("loads_here", [True, False])
async def test_a_deletion_in_one_loop_overtakes_a_load_in_the_other(stored, other, loads_here):
    """Guarantee 10."""
    await stored.ping()  # the home is here
    begun, deleted = threading.Event(), threading.Event()

    @stored(ttl=100, key="k")
    async def load():
        begun.set()
        await anyio.to_thread.run_sync(deleted.wait, PATIENCE)
        return "old"

    async def delete():
        await anyio.to_thread.run_sync(begun.wait, PATIENCE)
        await stored.delete("k")
        deleted.set()

    here, there = (load, delete) if loads_here else (delete, load)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here)
        await elsewhere(there, other)
    assert await stored.get("k") is None


@LOOPS
async def test_a_refresh_runs_in_the_loop_of_its_caller(memory, other):
    """Guarantee 11."""
    threads, second = [], threading.Event()

    @memory.hit(ttl=100, cache_hits=10, update_after=1, key="k")
    async def load():
        threads.append(threading.get_ident())
        if len(threads) == 2:
            second.set()
        return 1

    async def ask():
        assert [await load(), await load()] == [1, 1]
        await anyio.to_thread.run_sync(second.wait, PATIENCE)
        return threading.get_ident()

    await memory.get("the first loop is the home")
    there = await elsewhere(ask, other)
    assert threads == [there, there]


@LOOPS
async def test_a_lock_excludes_the_tasks_of_all_loops(stored, other):
    await stored.ping()  # the home is here
    inside_now, most = [], []

    async def work():
        for _ in range(20):
            async with stored.lock("k", 10):
                inside_now.append(1)
                most.append(len(inside_now))
                await anyio.lowlevel.checkpoint()
                inside_now.pop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        tasks.start_soon(partial(elsewhere, work, other))
        tasks.start_soon(partial(elsewhere, work, "asyncio"))
    assert most == [1] * 60
    assert stored.statistics().lock_waiters == stored.statistics().leases == 0


@LOOPS
async def test_a_lock_that_is_given_back_here_wakes_its_waiter_there(memory, other):
    """Without a look every now and then: memory tells of releases."""
    waits, taken = threading.Event(), []

    async def wait():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            while not memory.statistics().lock_waiters:
                await anyio.lowlevel.checkpoint()
            waits.set()

    async def take():
        async with memory.lock("k", 10):
            taken.append(1)

    async with anyio.create_task_group() as tasks, memory.lock("k", 10):
        tasks.start_soon(elsewhere, wait, other)
        await anyio.to_thread.run_sync(waits.wait, PATIENCE)
        assert taken == []
    assert taken == [1]
    assert not await memory.is_locked("k")


@LOOPS
@pytest.mark.parametrize("mode", [TransactionMode.LOCKED, TransactionMode.SERIALIZABLE])
async def test_transactions_of_several_loops_lose_no_update(stored, other, mode):
    """Guarantee 16."""

    await stored.ping()  # the home is here

    async def count():
        for _ in range(10):
            async with stored.transaction(mode, timeout=PATIENCE):
                await stored.set("n", await stored.get("n", 0) + 1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        tasks.start_soon(elsewhere, count, other)
        tasks.start_soon(elsewhere, count, "asyncio")
    assert await stored.get("n") == 30
    assert inside(stored).held() == {}


@LOOPS
async def test_a_deadlock_over_two_loops_is_found(memory, other):
    """Guarantee 16."""
    await memory.ping()  # the home is here
    both, refused = threading.Barrier(2), []

    async def take(first, second):
        try:
            async with memory.transaction(timeout=PATIENCE):
                await memory.set(first, 1)
                await anyio.to_thread.run_sync(both.wait, PATIENCE)
                await memory.set(second, 1)
        except LockedError as error:
            refused.append("deadlock" in str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, "a", "b")
        await elsewhere(partial(take, "b", "a"), other)
    assert refused == [True]
    assert inside(memory).held() == {}


@LOOPS
async def test_a_deadlock_of_locks_over_two_loops_is_found(memory, other):
    """Guarantee 14."""
    await memory.ping()  # the home is here
    both, refused = threading.Barrier(2), []

    async def take(first, second):
        async with memory.lock(first, 60):
            await anyio.to_thread.run_sync(both.wait, PATIENCE)
            try:
                async with memory.lock(second, 60):
                    pass
            except LockedError as error:
                refused.append("deadlock" in str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, "a", "b")
        await elsewhere(partial(take, "b", "a"), other)
    assert refused == [True]


@LOOPS
async def test_a_transaction_is_of_one_thread(memory, other):
    """A thread inherits the context of its caller, and so a loop in it."""
    async with memory.transaction():
        await memory.set("k", 1)
        with pytest.raises(TransactionError, match="of another thread"):
            await elsewhere(partial(memory.set, "k", 2), other)
        assert await memory.get("k") == 1


@LOOPS
async def test_one_block_at_a_time(memory, other):
    async def enter():
        async with memory:
            pytest.fail("opened in a second loop")

    async with memory:
        with pytest.raises(EventLoopError, match="another event loop has opened this cache"):
            await elsewhere(enter, other)


# --- cancellation


async def cancelled_while_the_home_stands_still(ask, other):
    """Have the loop of the test stand still until a caller in another loop has posted its letter, and has left."""
    arrived, still, left = threading.Event(), threading.Event(), threading.Event()

    async def ask_and_leave():
        arrived.set()
        await anyio.to_thread.run_sync(still.wait, PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        left.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(elsewhere, ask_and_leave, other)
        while not arrived.is_set():
            await anyio.lowlevel.checkpoint()
        still.set()
        assert left.wait(PATIENCE)


@LOOPS
async def test_a_letter_that_was_left_before_its_turn_is_skipped(stored, other):
    await stored.set("k", 1)
    await cancelled_while_the_home_stands_still(partial(stored.set, "k", 2), other)
    assert await stored.get("k") == 1


@LOOPS
async def test_a_lock_whose_asker_has_left_is_free(stored, other):
    await stored.set("k", 1)

    async def lock():
        async with stored.lock("l", 60):
            await anyio.sleep_forever()

    await cancelled_while_the_home_stands_still(lock, other)
    with anyio.fail_after(PATIENCE):
        async with stored.lock("l", 60):
            pass
    assert stored.statistics().lock_waiters == stored.statistics().leases == 0


@LOOPS
async def test_a_waiter_that_is_cancelled_leaves_nothing(stored, other):
    async def wait():
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take)
            while stored.statistics().lock_waiters < 3:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    async def take():
        async with stored.lock("k", 60):
            pytest.fail("it is held")

    async with stored.lock("k", 60):
        await elsewhere(wait, other)
        assert stored.statistics().lock_waiters == 0
        assert inside(stored).held() in ({}, {"leases": 1})
    async with stored.lock("k", 60, wait=False):
        pass
