"""Locks without messages: they are what the messages would have made of them, in every state of the engine."""

from __future__ import annotations

import threading

import anyio
import pytest

from cashews import Cache, Command, LockedError
from cashews._typing import NOT_NOW
from cashews.messages import HELD, ListLocks, LockTimeLeft, SetLock
from tests.engine.states import STATES
from tests.internals import inside

KEYS = ("free", "held", "expired")


STRAIGHT = {"plain", "callback on get", "callback on set", "get is off", "set is off", "listener of removals"}
"""The states in which nothing is in the way of a lock."""


class Holder:
    """A holder of locks that is known by itself."""

    token = "nobody knows"
    until = float("inf")


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", check_interval=0, clock=clock) as cache:
        await cache.set_lock("held", "token", 60)
        await cache.set_lock("expired", "token", 5)
        await clock.advance(10)
        async with cache.lock("entered"):  # the locks of this loop have met it
            pass
        yield cache


def served(cache, message):
    return inside(cache).in_place(message)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("key", KEYS)
async def test_a_lock_is_taken_as_the_message_takes_it(cache, state, key):
    lines, holder = inside(cache).engine.direct_locks, Holder()
    with STATES[state](cache):
        answer = inside(cache).engine.direct_locks.take(key, holder)
    assert (answer is not NOT_NOW) == (state in STRAIGHT)
    if answer is NOT_NOW:
        return
    assert (answer == HELD) == (key == "held")
    listed, left = served(cache, ListLocks("*")), served(cache, LockTimeLeft(key))
    assert lines.release(key, holder) is (answer > 0)
    fence = served(cache, SetLock(key, "another", None))
    assert (fence == HELD) == (answer == HELD)
    assert fence > answer or answer == HELD, "the fencing numbers of a key grow"
    assert listed == served(cache, ListLocks("*"))
    assert left == served(cache, LockTimeLeft(key))


@pytest.mark.parametrize("state", STATES)
async def test_a_body_runs_under_its_lock_in_every_state(cache, state):
    """And the lock is free after it."""
    seen = []

    @cache.locked(key="k", prefix="")
    async def look():
        with cache.disabling(Command.GET):
            seen.append((await cache.is_locked("k"), await cache.set_lock("k", "other", 60)))

    is_on = state not in {"set_lock is off in this context", "set_lock is off", "all is off"}
    with STATES[state](cache):
        await look()
    cache.enable()
    assert [locked for locked, _ in seen] == [is_on]
    if is_on:
        assert seen == [(True, False)]
        assert not await cache.is_locked("k")


async def test_a_token_that_does_not_hold_a_seized_lock_is_refused(cache):
    """Guarantee 14."""
    async with cache.lock("k") as lock, cache.lock("other") as other:
        assert lock.token != other.token
        assert not await cache.unlock("k", other.token)
        assert not await cache.unlock("k", "")
        assert await cache.unlock("k", lock.token)
        assert not await cache.is_locked("k")

    @cache.locked(key="k", prefix="")
    async def work():
        return [await cache.unlock("k", each) for each in ("", lock.token, other.token)]

    assert await work() == [False, False, False]


async def test_a_seized_lock_has_a_fencing_number_above_those_before(cache):
    fences = []
    for _ in range(3):
        async with cache.lock("k") as lock:
            fences.append(lock.fence)
    assert fences == sorted(set(fences))
    assert await inside(cache).engine.ask(SetLock("k", "t", 1)) > fences[-1]


async def test_a_body_whose_lock_was_broken_frees_none_of_the_next_holder(cache, clock):
    free = []

    @cache.locked(key="k", prefix="")
    async def work(seconds):
        await clock.sleep(seconds)
        free.append(not await cache.is_locked("k"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, 1)
        await clock.settle()
        assert await cache.break_lock("k")
        tasks.start_soon(work, 3)
        await clock.settle()
        await clock.advance(2)
        assert await cache.is_locked("k"), "the second body runs"
        await clock.advance(2)
    assert free == [False, False]
    assert not await cache.is_locked("k")


async def test_a_middleware_that_comes_while_a_body_runs_sees_the_lock_given_back(cache):
    commands = []

    async def watch(call, command, _backend, *args, **kwargs):
        commands.append((command, kwargs))
        return await call(*args, **kwargs)

    watched = anyio.Event()

    @cache.locked(key="{name}", prefix="")
    async def work(name):
        await watched.wait()
        return name

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b"):
            tasks.start_soon(work, name)
        await anyio.wait_all_tasks_blocked()
        cache.add_middleware(watch)
        watched.set()
    assert [command for command, _ in commands] == [Command.UNLOCK] * 2
    assert len({kwargs["value"] for _, kwargs in commands}) == 2, "each lock has its own token"
    assert not await cache.is_locked("a")
    assert not await cache.is_locked("b")


async def test_a_lock_of_the_same_name_in_the_next_store_stays(cache):
    """The store was replaced while the body ran."""
    async with cache.lock("k"):
        cache.setup("mem://")
        await cache.set_lock("k", "token", 60)
    assert await cache.is_locked("k")


async def test_nothing_is_seized_past_a_waiter(cache, clock):
    """Guarantee 14: the lock is free by then, and the task that waits for it has not had its turn yet."""
    order = []

    @cache.locked(key="k")
    async def work(name):
        order.append(name)
        await clock.sleep(1)

    async def work_again():
        await work("first")
        await work("again")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work_again)
        await clock.settle()
        tasks.start_soon(work, "waiter")
        await clock.settle()
        await clock.advance(3)
    assert order == ["first", "waiter", "again"]


async def test_nothing_is_seized_in_another_thread_in_a_transaction_or_without_credit(cache):
    locks, answers = inside(cache).locks, []
    thread = threading.Thread(target=lambda: answers.append(locks.seize("k")))
    thread.start()
    thread.join()
    async with cache.transaction():
        answers.append(locks.seize("k"))
    inside(cache).engine.credit = 0
    answers.append(locks.seize("k"))
    assert answers == [None, None, None]
    await cache.get("k")
    assert locks.let_go(locks.seize("k"))


async def test_a_deadlock_of_seized_locks_is_named(cache, clock):
    """Guarantee 14."""
    errors = []

    async def hold(first, second):
        try:
            async with cache.lock(first, 60):
                await clock.sleep(1)
                async with cache.lock(second, 60):
                    pass
        except LockedError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold, "a", "b")
        tasks.start_soon(hold, "b", "a")
        await clock.advance(2)
    assert len(errors) == 1
    assert "deadlock" in str(errors[0])
