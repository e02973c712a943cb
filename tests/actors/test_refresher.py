"""The refresher in several event loops, and when its workers end. Guarantee 11."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

from cashews.engine.refresher import ROOM, WORKERS, Refresher
from cashews.exceptions import LoadCancelledError
from cashews.strategies.entry import Returned
from cashews.testing.clock import VirtualClock

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup


OWNER = object()
"""The function whose calls are refreshed."""


class Load:
    """A load that waits at a gate, if there is one, and counts its runs."""

    def __init__(self, gate=None):
        self.gate = gate
        self.begun = self.runs = 0

    async def __call__(self):
        self.begun += 1
        if self.gate is not None:
            await self.gate.wait()
        self.runs += 1
        return Returned(self.runs)


@pytest.fixture
def refresher(clock):
    return Refresher(clock, lambda: None)


def test_a_refresh_that_a_loop_has_left_behind_does_not_keep_its_key_from_being_refreshed(by_hand):
    """One for a key at a time; but a worker that is gone refreshes nothing any more."""
    clock, tasks = VirtualClock(), []
    refresher = Refresher(clock, lambda: tasks.append(asyncio.ensure_future(refresher.run())))
    for number in range(3):
        loop = by_hand()
        load, stuck = Load(), Load(asyncio.Event())

        async def refresh(load=load, stuck=stuck):
            assert refresher.tell(OWNER, "k", load)
            await clock.settle()
            assert load.runs == 1
            assert refresher.tell(OWNER, "k", stuck)
            await clock.settle()
            assert not refresher.tell(OWNER, "k", load)

        loop.run_until_complete(refresh())
        assert stuck.begun == 1
        loop.close()
        assert refresher.actor.restarts == number


async def test_a_refresh_that_waits_for_its_scope_is_run_by_it(refresher, clock):
    load = Load()
    assert refresher.tell(OWNER, "k", load)
    assert not refresher.tell(OWNER, "k", load)
    async with anyio.create_task_group() as scope:
        scope.start_soon(refresher.run)
        await clock.settle()
        assert load.runs == 1
        scope.cancel_scope.cancel()


async def test_who_waits_for_a_refresh_is_told_when_no_worker_is_left(refresher, clock):
    """One that runs, and one that waits for a worker."""
    load, outcomes = Load(anyio.Event()), []

    async def ask(key):
        outcomes.append(await refresher.ask(OWNER, key, load, join=True))

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as scope:
        scope.start_soon(refresher.run)
        for number in range(WORKERS + 1):
            tasks.start_soon(ask, f"k{number}")
        await clock.settle()
        assert load.begun == WORKERS
        scope.cancel_scope.cancel()
    assert outcomes == [None] * (WORKERS + 1)
    assert not refresher.tell(OWNER, "k", load)
    assert await refresher.ask(OWNER, "k", load, join=True) is None


async def test_a_full_mailbox_refuses_and_nobody_waits_for_room(refresher, clock):
    load = Load()
    assert all(refresher.tell(OWNER, f"k{number}", load) for number in range(ROOM))
    assert not refresher.tell(OWNER, "one too many", load)
    assert refresher.statistics()["refused"] == 1
    async with anyio.create_task_group() as scope:
        scope.start_soon(refresher.run)
        await clock.settle()
        assert load.runs == ROOM
        assert refresher.tell(OWNER, "one more", load)
        await clock.settle()
        assert load.runs == ROOM + 1
        scope.cancel_scope.cancel()


async def test_as_many_workers_are_woken_as_there_are_letters(refresher, clock):
    gate = anyio.Event()
    load = Load(gate)
    async with anyio.create_task_group() as scope:
        scope.start_soon(refresher.run)
        await clock.settle()
        for number in range(WORKERS + 5):
            assert refresher.tell(OWNER, f"k{number}", load)
        await clock.settle()
        assert load.begun == WORKERS
        gate.set()
        await clock.settle()
        assert load.runs == WORKERS + 5
        scope.cancel_scope.cancel()


class EndError(BaseException):
    """An exception that is no Exception."""


@pytest.mark.parametrize("error", [SystemExit(3), EndError("mine"), BaseExceptionGroup("several", [EndError()])])
async def test_a_failure_of_any_kind_ends_no_worker(refresher, clock, caplog, error):
    """A refresh has no caller that it could be raised to."""
    load = Load()

    async def fail():
        await anyio.lowlevel.checkpoint()
        raise error

    async with anyio.create_task_group() as scope:
        scope.start_soon(refresher.run)
        for number in range(2 * WORKERS):
            assert refresher.tell(OWNER, f"k{number}", fail)
        await clock.settle()
        assert refresher.statistics()["failed"] == 2 * WORKERS
        assert refresher.tell(OWNER, "k", load)
        await clock.settle()
        assert load.runs == 1
        scope.cancel_scope.cancel()
    assert caplog.records[0].exc_info[1].__cause__ is error


async def test_a_failure_of_any_kind_is_told_to_the_caller_that_waits(refresher, clock):
    async def fail():
        await anyio.lowlevel.checkpoint()
        raise SystemExit

    async with anyio.create_task_group() as scope:
        scope.start_soon(refresher.run)
        outcome = await refresher.ask(OWNER, "k", fail, join=True)
        assert isinstance(outcome.error, LoadCancelledError)
        await clock.settle()
        scope.cancel_scope.cancel()
