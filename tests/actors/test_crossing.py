"""Calls that run in another event loop than their caller: served once, dropped or cancelled with their caller."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from functools import partial

import anyio
import anyio.to_thread
import pytest

from cashews._typing import NOT_NOW
from cashews.actors.crossing import LoopGoneError, call_from_thread, call_in
from cashews.actors.loop import current_loop
from tests.engine.elsewhere import KINDS

PATIENCE = 30.0
NAME: ContextVar[str] = ContextVar("NAME", default="nobody")
OTHERS = pytest.mark.parametrize("other", KINDS)


async def elsewhere(main, other):
    """Run a function in another event loop, in a thread, and return its result."""
    with anyio.fail_after(PATIENCE):
        return await anyio.to_thread.run_sync(partial(anyio.run, main, backend=other))


async def thread_of_a_task():
    await anyio.lowlevel.checkpoint()
    return threading.get_ident()


class Reached:
    """A loop that seemed to run when a call was posted to it, and has stopped since."""

    def __init__(self, loop, posted):
        self._loop = loop
        self._posted = posted
        self.alive = False

    def reach(self, function):
        self._posted.set()
        return self._loop.post(function)


@OTHERS
async def test_a_call_runs_in_the_other_loop(other):
    home = current_loop()

    async def ask():
        return await call_in(home, current_loop(), thread_of_a_task)

    assert await elsewhere(ask, other) == threading.get_ident()


@OTHERS
@pytest.mark.parametrize("in_place", [True, False])
async def test_an_error_is_raised_to_the_caller(other, in_place):
    home = current_loop()

    async def fail():
        raise LookupError

    def fail_in_place():
        if in_place:
            raise LookupError
        return NOT_NOW

    async def ask():
        with pytest.raises(LookupError):
            await call_in(home, current_loop(), fail, fail_in_place)

    await elsewhere(ask, other)


@OTHERS
async def test_a_call_in_place_needs_no_task(other):
    home = current_loop()
    assert await elsewhere(lambda: call_in(home, current_loop(), thread_of_a_task, lambda: 3), other) == 3


@OTHERS
@pytest.mark.parametrize("begun", [True, False])
async def test_the_call_of_a_cancelled_caller_is_cancelled_or_never_begins(other, begun):
    home, runs, cancelled = current_loop(), [], threading.Event()
    arrived, left, ran = threading.Event(), threading.Event(), threading.Event()

    async def park():
        runs.append(1)
        ran.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async def ask():
        async with anyio.create_task_group() as tasks:
            arrived.set()
            tasks.start_soon(call_in, home, current_loop(), park)
            if begun:
                await anyio.to_thread.run_sync(ran.wait, PATIENCE)
            else:
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        left.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(elsewhere, ask, other)
        if begun:
            await anyio.to_thread.run_sync(left.wait, PATIENCE)
        else:
            while not arrived.is_set():
                await anyio.lowlevel.checkpoint()
            assert left.wait(PATIENCE)  # our loop stands still
    if begun:
        await anyio.to_thread.run_sync(cancelled.wait, PATIENCE)
        assert cancelled.is_set()
    await anyio.wait_all_tasks_blocked()
    assert runs == [1] * begun


async def test_a_loop_that_does_not_run_is_gone(anyio_backend_name):
    async def loop_of_the_past():
        return current_loop()

    past = await elsewhere(loop_of_the_past, anyio_backend_name)
    with pytest.raises(LoopGoneError) as failure:
        await call_in(past, current_loop(), thread_of_a_task)
    assert not failure.value.begun


def test_a_call_that_a_stopped_loop_did_not_begin_never_begins_later(by_hand):
    """Its caller has gone on, and may have asked elsewhere."""
    stopped, runs, homes = by_hand(), [], []

    async def run():
        runs.append(1)

    async def stand_still(posted):
        homes.append(current_loop())
        stopped.stop()  # at the end of this turn of the loop
        assert await anyio.to_thread.run_sync(posted.wait, PATIENCE)

    async def ask(posted):
        with anyio.fail_after(PATIENCE), pytest.raises(LoopGoneError) as failure:
            await call_in(Reached(homes[0], posted), current_loop(), run)
        assert not failure.value.begun

    posted = threading.Event()
    left = stopped.create_task(stand_still(posted))
    stopped.run_forever()
    anyio.run(ask, posted)
    stopped.run_until_complete(left)
    stopped.run_until_complete(asyncio.sleep(0))
    assert runs == []


def test_a_call_that_a_stopped_loop_has_begun_is_lost(by_hand):
    """It may have had its effect or not, and goes on if the loop does."""
    stopped, homes, begun = by_hand(), [], []

    async def park():
        begun.append(1)
        stopped.stop()
        await anyio.sleep_forever()

    async def stay():
        homes.append(current_loop())
        await anyio.sleep_forever()

    def work():
        stopped.create_task(stay())
        stopped.run_forever()

    async def ask():
        while not homes:
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(PATIENCE), pytest.raises(LoopGoneError) as failure:
            await call_in(homes[0], current_loop(), park)
        assert failure.value.begun

    thread = threading.Thread(target=work)
    thread.start()
    anyio.run(ask)
    thread.join(PATIENCE)
    assert begun == [1]


async def test_a_thread_without_a_loop_asks_in_its_own_context():
    home = current_loop()

    async def name():
        return NAME.get(), threading.get_ident()

    def work():
        NAME.set("worker")
        return call_from_thread(home, name)

    assert await anyio.to_thread.run_sync(work) == ("worker", threading.get_ident())
    assert NAME.get() == "nobody"


async def test_a_thread_is_told_of_an_error_and_of_a_loop_that_is_gone(anyio_backend_name):
    async def fail():
        raise LookupError

    async def loop_of_the_past():
        return current_loop()

    with pytest.raises(LookupError):
        await anyio.to_thread.run_sync(call_from_thread, current_loop(), fail)
    past = await elsewhere(loop_of_the_past, anyio_backend_name)
    with pytest.raises(LoopGoneError):
        await anyio.to_thread.run_sync(call_from_thread, past, fail)
