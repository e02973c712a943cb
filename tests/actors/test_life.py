"""The life cycle of an actor: born, at work, drained, closed, and in another event loop."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from cashews.actors.actor import ScopeEndedError
from cashews.exceptions import CacheClosedError
from tests.actors.conftest import Echo


async def outcome(echo, word):
    try:
        return await echo.ask(word)
    except (CacheClosedError, LookupError) as error:
        return type(error)


async def together(echo, replies, *asked):
    async with anyio.create_task_group() as tasks:

        async def ask(word):
            replies.append(await outcome(echo, word))

        for word in asked:
            tasks.start_soon(ask, word)


async def test_letters_that_come_before_the_scope_are_served_by_it(echo, clock):
    replies = []
    async with anyio.create_task_group() as scope, anyio.create_task_group() as tasks:
        tasks.start_soon(together, echo, replies, 1, 2, 3)
        await clock.settle()
        assert (replies, echo.wanted, len(echo.mailbox)) == ([], 3, 3)
        scope.start_soon(echo.life.run)
        await clock.settle()
        assert sorted(replies) == [1, 2, 3]
        scope.cancel_scope.cancel()
    assert echo.life.statistics("echo", 0).largest_batch == 3


async def test_a_second_run_beside_the_first_does_nothing(echo, clock):
    async with anyio.create_task_group() as scope:
        scope.start_soon(echo.life.run)
        await clock.settle()
        await echo.life.run()
        assert await echo.ask("word") == "word"
        assert echo.life.statistics("echo", 0).restarts == 0
        scope.cancel_scope.cancel()


async def test_who_waits_when_the_scope_ends_is_answered_and_further_letters_are_refused(echo, clock):
    replies, echo.held = [], anyio.Event()
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as scope:
        scope.start_soon(echo.life.run)
        await clock.settle()
        tasks.start_soon(together, echo, replies, 1, 2)
        await clock.settle()
        scope.cancel_scope.cancel()
    assert replies == [LookupError] * 2
    assert await outcome(echo, 3) is ScopeEndedError
    assert echo.drains == 0


@pytest.mark.parametrize("again", ["attended to", "run"])
async def test_after_its_scope_has_ended_it_begins_anew(echo, clock, loop_here, again):
    """An engine whose hosted tasks end as a block opens runs its actors again, whether or not it was asked before."""
    for number in range(3):
        if number and again == "attended to":
            echo.life.attend(loop_here())
        async with anyio.create_task_group() as scope:
            scope.start_soon(echo.life.run)
            await clock.settle()
            assert await echo.ask(number) == number
            scope.cancel_scope.cancel()
    figures = echo.life.statistics("echo", 0)
    assert (figures.turns, figures.batches, figures.restarts) == (3, 3, 2)
    assert echo.begun == 3


async def test_a_failure_leaves_and_ends_the_life(echo):
    async def fail():
        raise ZeroDivisionError

    echo.work = fail
    with pytest.raises(ZeroDivisionError):
        await echo.life.run()
    assert await outcome(echo, 1) is ScopeEndedError


async def test_closing_serves_what_waits_and_refuses_what_comes(clock):
    echo, replies, closed = Echo(bound=2, most=1), [], anyio.Event()
    echo.held = held = anyio.Event()

    async def close():
        await echo.life.close()
        closed.set()

    async with anyio.create_task_group() as scope, anyio.create_task_group() as tasks:
        scope.start_soon(echo.life.run)
        await clock.settle()
        tasks.start_soon(together, echo, replies, 1, 2)
        await clock.settle()
        tasks.start_soon(close)
        await clock.settle()
        assert await outcome(echo, "late") is CacheClosedError
        assert not closed.is_set()
        held.set()
        await closed.wait()
    assert sorted(replies) == [1, 2]
    assert not echo.life.at_work
    assert await outcome(echo, "later") is CacheClosedError


async def test_closing_while_full_refuses_those_that_wait_for_room(clock):
    echo, replies = Echo(bound=2), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(together, echo, replies, *range(6))
        await clock.settle()
        assert len(echo.mailbox) == 2
        await echo.life.close()  # it has never worked: no task drains it
    assert sorted(map(repr, replies)) == sorted(map(repr, [LookupError] * 2 + [CacheClosedError] * 4))


async def test_a_closed_actor_runs_only_after_it_was_attended_to(echo, clock, loop_here):
    await echo.life.close()
    await echo.life.run()  # a task of the scope that was asked for before the closing
    assert await outcome(echo, 1) is CacheClosedError
    echo.life.attend(loop_here())
    async with anyio.create_task_group() as scope:
        scope.start_soon(echo.life.run)
        await clock.settle()
        assert await echo.ask(2) == 2
        scope.cancel_scope.cancel()


async def test_attending_to_a_life_that_goes_on_changes_nothing(echo, clock, loop_here):
    async with anyio.create_task_group() as scope:
        scope.start_soon(echo.life.run)
        await clock.settle()
        begun = echo.begun
        echo.life.attend(loop_here())
        assert (echo.begun, await echo.ask(1)) == (begun, 1)
        scope.cancel_scope.cancel()


async def test_a_cancelled_asker_leaves_a_letter_that_is_skipped(echo, clock):
    echo.held, replies = anyio.Event(), []
    async with anyio.create_task_group() as scope, anyio.create_task_group() as tasks:
        scope.start_soon(echo.life.run)
        await clock.settle()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(echo.ask, "abandoned")
            tasks.start_soon(together, echo, replies, "kept")
            await clock.settle()
            impatient.cancel_scope.cancel()
        echo.held.set()
        await clock.settle()
        scope.cancel_scope.cancel()
    assert replies == echo.served == ["kept"]


# --- other loops


async def served(echo, word, runs):
    """Ask an actor that the engine runs in this loop as soon as it wants a scope."""
    if not echo.life.at_work:
        with pytest.raises(asyncio.TimeoutError):  # another class before Python 3.11
            await asyncio.wait_for(echo.ask("too early"), 0)
        runs.append(asyncio.ensure_future(echo.life.run()))
    return await asyncio.wait_for(echo.ask(word), 10)


def test_a_loop_that_was_closed_by_hand_leaves_nothing_to_the_next(echo, by_hand):
    """Its letters are gone, its askers wait for ever; whoever asks in the next loop is served there."""
    runs = []
    for number in range(3):
        loop = by_hand()
        assert loop.run_until_complete(served(echo, number, runs)) == number
        echo.held = asyncio.Event()  # of this loop: nothing is served any more
        runs.append(loop.create_task(echo.ask("left")))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        echo.held = None
    assert [word for word in echo.served if word != "too early"] == [0, 1, 2]
    assert echo.life.statistics("echo", 0).restarts == 2


def test_two_loops_in_turn_are_served_each_in_its_own(echo, by_hand):
    """A task of a loop that was stopped comes back when its loop does, and has nothing to do any more."""
    loops, runs = [by_hand(), by_hand()], []
    for number in range(6):
        assert loops[number % 2].run_until_complete(served(echo, number, runs)) == number
    assert [word for word in echo.served if word != "too early"] == list(range(6))


def test_closing_in_another_loop_waits_for_nobody(echo, by_hand):
    first, second, runs = by_hand(), by_hand(), []
    first.run_until_complete(served(echo, 1, runs))
    first.close()
    second.run_until_complete(asyncio.wait_for(echo.life.close(), 10))
    assert second.run_until_complete(outcome(echo, 2)) is CacheClosedError


def test_a_letter_that_waits_for_a_scope_is_not_served_in_another_loop(echo, by_hand):
    first, second, runs = by_hand(), by_hand(), []
    runs.append(first.create_task(echo.ask("left")))
    first.run_until_complete(asyncio.sleep(0))
    assert len(echo.mailbox) == 1
    first.close()

    async def run():
        runs.append(asyncio.ensure_future(echo.life.run()))
        return await asyncio.wait_for(echo.ask("second"), 10)

    assert second.run_until_complete(run()) == "second"
    assert echo.served == ["second"]
