"""Locks that tasks of several event loops want: the first come is the first served. Guarantee 14."""

from __future__ import annotations

import asyncio
import math
import threading

import anyio
import anyio.to_thread
import pytest

from cashews.engine.coordinator import store_locks
from tests.engine.elsewhere import LOOPS, PATIENCE, elsewhere


async def until_wait(cache, number):
    """Let time pass until so many tasks of all loops wait for locks."""
    with anyio.fail_after(PATIENCE):
        while cache.statistics().lock_waiters != number:
            await anyio.lowlevel.checkpoint()


@LOOPS
@pytest.mark.parametrize("waits_here", [True, False])
async def test_a_lock_that_one_loop_takes_again_and_again_comes_to_its_waiter_in_another(stored, other, waits_here):
    """Guarantee 14: the waiter came before the next one who wants it."""
    await stored.ping()  # the home is here
    taken, begun, past = threading.Event(), threading.Event(), []

    async def take():
        await anyio.to_thread.run_sync(begun.wait, PATIENCE)
        async with stored.lock("k", 30):
            taken.set()

    async def retake():
        seen = False
        while not taken.is_set() and len(past) < 50:
            async with stored.lock("k", 30):
                begun.set()
                if seen:
                    past.append(taken.is_set())
                await anyio.lowlevel.checkpoint()
                seen = stored.statistics().lock_waiters > 0

    here, there = (take, retake) if waits_here else (retake, take)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here)
        await elsewhere(there, other)
    assert past in ([], [True])
    assert stored.statistics().lock_waiters == 0


@LOOPS
async def test_waiters_of_two_loops_are_served_in_the_order_in_which_they_came(stored, other):
    await stored.ping()  # the home is here
    order, held = [], threading.Event()

    async def take(name):
        async with stored.lock("k", 30):
            order.append(name)
            await anyio.lowlevel.checkpoint()

    async def take_each(tasks, names):
        for number, name in names:
            await until_wait(stored, number)
            tasks.start_soon(take, name)
        await until_wait(stored, 6)

    async def take_there():
        async with anyio.create_task_group() as tasks:
            await take_each(tasks, [(0, "there"), (2, "there too"), (4, "there again")])
            held.set()

    async with anyio.create_task_group() as tasks, stored.lock("k", 30):
        tasks.start_soon(elsewhere, take_there, other)
        await take_each(tasks, [(1, "here"), (3, "here too"), (5, "here again")])
        await anyio.to_thread.run_sync(held.wait, PATIENCE)
    assert order == ["there", "here", "there too", "here too", "there again", "here again"]


@LOOPS
async def test_a_waiter_that_leaves_tells_the_next_one_in_another_loop(memory, other, monkeypatch):
    """The lock is free by then, and the loop of the first waiter has stood still."""
    monkeypatch.setattr(store_locks, "LONGEST_PAUSE", math.inf)
    await memory.ping()  # the home is here
    waits, passed = threading.Event(), threading.Event()

    async def take():
        async with memory.lock("k", 30):
            pass

    async def wait_and_leave():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await until_wait(memory, 1)
            waits.set()
            assert passed.wait(PATIENCE)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        async with memory.lock("k", 30):
            tasks.start_soon(elsewhere, wait_and_leave, other)
            await anyio.to_thread.run_sync(waits.wait, PATIENCE)
            tasks.start_soon(take)
            await until_wait(memory, 2)
        await anyio.wait_all_tasks_blocked()
        assert not await memory.is_locked("k"), "the first waiter has not come yet"
        passed.set()
        await until_wait(memory, 0)


async def test_a_waiter_whose_loop_was_stopped_by_hand_is_passed_by(memory):
    """It goes on when its loop does."""
    await memory.ping()  # the home is here
    loop, order = asyncio.new_event_loop(), []

    async def take(name):
        async with memory.lock("k", 30):
            order.append(name)

    async def begin_to_wait():
        task = asyncio.ensure_future(take("there"))
        await until_wait(memory, 1)
        return task

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks, memory.lock("k", 30):
            left = await anyio.to_thread.run_sync(loop.run_until_complete, begin_to_wait())
            tasks.start_soon(take, "here")
            await until_wait(memory, 2)
    assert order == ["here"]
    await anyio.to_thread.run_sync(loop.run_until_complete, left)
    loop.close()
    assert order == ["here", "there"]
    assert memory.statistics().lock_waiters == 0
