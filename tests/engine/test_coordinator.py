"""The coordinator: queues as a pure state, waiting in the task that wants the lock, leases, loops that end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from random import Random
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cashews import Cache, Command
from cashews.api import settings
from cashews.backends.memory.store import MemoryOptions, MemoryStore
from cashews.engine.coordinator.queues import LockQueues
from cashews.engine.coordinator.wait_graph import WaitGraph
from cashews.exceptions import CacheClosedError, LockedError
from cashews.messages import WatchLock
from tests.internals import inside

TENANT: ContextVar[str] = ContextVar("tenant")


# --- the pure state


def test_queues_are_first_in_first_out_whoever_leaves():
    """Guarantee 14: the same random joins, leaves and hand-overs, by a seed, with lists."""
    random, queues, lists = Random(7), LockQueues(), {}
    for number in range(3_000):
        key = random.choice("abc")
        line = lists.setdefault(key, [])
        if random.random() < 0.5 or not line:
            assert queues.join(key, number) is (not line)
            line.append(number)
        elif random.random() < 0.5:
            waiter = random.choice(line)
            was_first = line[0] == waiter
            line.remove(waiter)
            assert queues.leave(key, waiter) == (line[0] if was_first and line else None)
        else:
            assert queues.pop(key) == line.pop(0)
        assert list(queues.ahead(key)) == line
        assert (key in queues.by_lock) is bool(line)
        assert len(queues) == sum(map(len, lists.values()))


def test_a_waiter_has_before_it_only_those_that_came_first():
    queues = LockQueues()
    for waiter in "abc":
        queues.join("k", waiter)
    assert [list(queues.ahead("k", waiter)) for waiter in "abc"] == [[], ["a"], ["a", "b"]]


def test_a_key_is_handed_to_the_first_waiter_and_a_circle_over_two_stores_is_refused():
    """Guarantee 16: the graphs of two stores share the waits."""
    waits = {}
    one, other = WaitGraph(waits), WaitGraph(waits)
    assert one.take("k", "A")
    assert other.take("k", "B")
    waiter = one.join("k", "B", None)
    with pytest.raises(LockedError, match="deadlock"):
        other.join("k", "A", None)
    assert one.release("k", "A") is waiter
    assert waiter.handed
    one.leave(waiter)
    one.leave(waiter)  # forgotten already
    assert one.release("k", "A") is None  # it is another's by now
    assert len(one) == 1
    assert one.release("k", "B") is None
    assert other.release("k", "B") is None
    assert (len(one), len(other), waits) == (0, 0, {})


# --- waiting


@pytest.fixture
def apart(monkeypatch):
    """``apart://`` is a store that others use, too; answers the locks whose releases it was asked to tell."""
    watched = []

    class Apart(MemoryStore):
        turns: Mapping[Any, Any] = {}
        outlives = True

        async def ask(self, message):
            await anyio.lowlevel.checkpoint()
            if isinstance(message, WatchLock):
                watched.append(message.key)
            return await super().ask(message)

    monkeypatch.setitem(settings._factories, "apart", lambda _url, _options, around: Apart(MemoryOptions(), around))
    return watched


async def of_tenant(call, cmd, _backend, *args, **kwargs):
    """Give each tenant keys of its own, by a context variable that a task without a tenant does not have."""
    if cmd in {Command.SET_LOCK, Command.UNLOCK, Command.IS_LOCKED}:
        kwargs["key"] = f"{TENANT.get()}:{kwargs['key']}"
    return await call(*args, **kwargs)


async def test_a_lock_that_is_waited_for_is_taken_in_the_context_of_its_waiter(apart, clock):
    """Guarantee 20: middlewares read the context variables of the caller, after a wait and behind others, too."""
    entered = []

    async def want(name, tenant):
        TENANT.set(tenant)
        async with cache.lock("k", 60):
            entered.append((name, clock.now()))
            await clock.sleep(5)

    async with Cache.open("apart://", clock=clock, middlewares=[of_tenant]) as cache:
        async with anyio.create_task_group() as tasks:
            for name, tenant in enumerate(["red", "red", "blue", "red"]):
                tasks.start_soon(want, name, tenant)
                await clock.settle()
            await clock.advance(30)
        assert entered == [(0, 0), (1, 5), (2, 5), (3, 10)]
        assert apart == ["red:k", "blue:k", "red:k"]
        assert cache.statistics().backends[""]["locks"] == 0


async def test_a_queue_without_middlewares_watches_its_lock_once(apart, clock):
    async def want():
        async with cache.lock("k", 60):
            await clock.sleep(1)

    async with Cache.open("apart://", clock=clock) as cache:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(want)
            await clock.advance(20)
        assert apart == ["k"]
        assert inside(cache).coordinator.idle


@pytest.mark.usefixtures("apart")
async def test_a_lease_is_renewed_in_the_context_in_which_its_lock_was_taken(clock):
    """Guarantees 14, 20: otherwise the lock of nobody is renewed, and the body ended when its own lease is over."""
    token = TENANT.set("red")
    async with Cache.open("apart://", clock=clock, middlewares=[of_tenant]) as cache:
        TENANT.reset(token)

        async def hold():
            TENANT.set("blue")
            async with cache.lock("k", 9):
                await clock.sleep(100)
                ended.append(clock.now())

        ended = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await clock.advance(150)
        assert ended == [100]
        assert inside(cache).coordinator.statistics().turns > 10


async def test_closing_ends_the_waits_at_once(cache, clock):
    """Guarantee 28: not only when the lease of the holder is over."""
    ended = []

    async def want(wait):
        try:
            await wait()
        except CacheClosedError:
            ended.append(clock.now())

    async def lock():
        async with cache.lock("k", 10):
            ended.append("locked")

    await cache.set_lock("k", "other", 3_600)
    async with anyio.create_task_group() as tasks:
        for wait in (lock, lock, lambda: cache.is_locked("k", wait=1_000)):
            tasks.start_soon(want, wait)
        await clock.settle()
        await cache.close()
        await clock.settle()
        assert ended == [0, 0, 0]


@pytest.mark.parametrize("first", ["wait", "unlock"])
def test_waiters_of_a_loop_that_was_closed_by_hand_stand_in_nobodys_way(clock, first):
    cache = Cache(clock=clock)
    cache.setup("mem://")
    loops = [asyncio.new_event_loop() for _ in range(2)]
    left = []

    async def lock():
        async with cache.lock("k", 10):
            return await cache.is_locked("k")

    async def leave_waiters():
        await cache.set_lock("k", "other", 30)
        left.extend(asyncio.ensure_future(lock()) for _ in range(3))
        await clock.settle()
        assert cache.statistics().lock_waiters == 3

    async def come():
        if first == "wait":
            waiter = asyncio.ensure_future(lock())
            await clock.settle()
            assert cache.statistics().lock_waiters == 1
            assert await cache.unlock("k", "other")
        else:
            assert await cache.unlock("k", "other")
            waiter = asyncio.ensure_future(lock())
        await clock.settle()
        assert waiter.done()
        assert waiter.result()
        await cache.close()

    loops[0].run_until_complete(leave_waiters())
    loops[0].close()
    try:
        loops[1].run_until_complete(come())
    finally:
        loops[1].close()
        for task in left:
            task._log_destroy_pending = False
            with suppress(RuntimeError):  # there is no loop in which it could clean up
                task.get_coro().close()


def test_keys_that_were_waited_for_in_a_loop_that_was_closed_by_hand_are_not_handed_to_it(clock):
    cache = Cache(clock=clock)
    cache.setup("mem://")
    coordinator = inside(cache).coordinator
    graph = inside(cache).wait_graph()
    loops = [asyncio.new_event_loop() for _ in range(2)]

    async def leave():
        graph.take("k", "owner")
        graph.join("k", "dead", coordinator.loop().shared_slot())
        assert coordinator.waiting == 1

    async def come():
        coordinator.loop()
        assert coordinator.waiting == 0
        assert graph.release("k", "owner") is None

    loops[0].run_until_complete(leave())
    loops[0].close()
    loops[1].run_until_complete(come())
    loops[1].close()


# --- figures


@pytest.mark.usefixtures("apart")
async def test_the_figures_of_the_coordinator(clock):
    async with Cache.open("apart://", clock=clock) as cache:
        coordinator = inside(cache).coordinator
        assert coordinator.statistics() == ("coordinator", 0, 0, 0, 0, 0)

        async def hold(key):
            async with cache.lock(key, 9):
                await clock.sleep(5)

        async with anyio.create_task_group() as tasks:
            for key in "aab":
                tasks.start_soon(hold, key)
            await clock.settle()
            assert coordinator.statistics().waiting == 1
            await clock.advance(20)
        figures = coordinator.statistics()
        assert (figures.waiting, figures.largest_batch, figures.restarts) == (0, 2, 0)
        assert figures.batches == 2
        assert figures.turns == 2 + 3
