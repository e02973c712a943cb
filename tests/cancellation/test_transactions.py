"""A transaction that is cancelled, wherever: applied whole or not at all, and nothing stays locked (guarantee 15).

On a store in place, behind a slow middleware, and on a store that others use, too, whose every reply takes a while.
"""

import contextlib

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import LockedError, TransactionError
from cashews.messages import CommitOutcome


async def work(cache, tx):
    await cache.set("a", 1)
    await cache.incr("b")
    await cache.get_many("c", "d")
    await cache.set_add("e", "x")
    await checkpoint()
    return tx


async def assert_whole(cache, victim, tx=None):
    """All of it is there, or nothing; and what the victim says of itself is true."""
    a, b = await cache.get_many("a", "b")
    members = await cache.set_pop("e", 5)
    assert (a, b, members) in [(1, 1, ["x"]), (None, None, [])]
    if tx is not None and tx.outcome in {CommitOutcome.COMMITTED, CommitOutcome.ABORTED}:
        assert (a == 1) is (tx.outcome is CommitOutcome.COMMITTED)
    if not victim.cancelled:
        assert a == 1


def alone(mode):
    async def scenario(cache, _clock, victim):
        """The victim's is the only transaction."""
        begun = []

        async def run():
            async with cache.transaction(mode) as tx:
                begun.append(tx)
                await work(cache, tx)

        victim.arm()
        await victim.run(run)
        await assert_whole(cache, victim, *begun)

    return scenario


async def waiting(cache, clock, victim):
    """The victim waits for keys that another has; a third waits behind it and gets them."""
    order = []

    async def hold():
        async with cache.transaction():
            await cache.get_many("a", "b")
            await clock.sleep(1)

    async def run():
        async with cache.transaction() as tx:
            await work(cache, tx)
            order.append("victim")

    async def behind():
        async with cache.transaction():
            await cache.set("behind", await cache.get("b"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await clock.settle()
        tasks.start_soon(victim.run, run)
        await clock.settle()
        tasks.start_soon(behind)
        await clock.settle()
        victim.arm()
        await clock.settle()
        await clock.advance(2)
        await clock.advance(20)
    await assert_whole(cache, victim)
    assert await cache.exists("behind")


async def waited_for(cache, clock, victim):
    """Two others wait for what the victim has."""
    done = []

    async def run():
        async with cache.transaction() as tx:
            await cache.get("b")
            victim.arm()
            await work(cache, tx)

    async def wait():
        async with cache.transaction():
            await cache.get("b")
            done.append(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, run)
        await clock.settle()
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        await clock.settle()
        await clock.advance(20)
    await assert_whole(cache, victim)
    assert done == [1, 1]


async def in_turn(cache, clock, victim):
    """The victim waits for its turn to be the only one, and another waits behind it."""
    done = []

    async def hold():
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            await clock.sleep(1)

    async def run():
        async with cache.transaction(TransactionMode.SERIALIZABLE) as tx:
            await work(cache, tx)

    async def behind():
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            done.append(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await clock.settle()
        tasks.start_soon(victim.run, run)
        await clock.settle()
        tasks.start_soon(behind)
        await clock.settle()
        victim.arm()
        await clock.advance(20)
    await assert_whole(cache, victim)
    assert done == [1]


async def committing(cache, _clock, victim):
    """The victim commits in between, rolls back and commits again."""

    async def run():
        async with cache.transaction() as tx:
            await cache.set("first", 1)
            await cache.set("too", 1)
            await tx.commit()
            await cache.set("rolled back", 1)
            await tx.rollback()
            await work(cache, tx)

    victim.arm()
    await victim.run(run)
    first, too, rolled_back = await cache.get_many("first", "too", "rolled back")
    assert first == too
    assert rolled_back is None
    if not victim.cancelled:
        assert first == 1
    await assert_whole(cache, victim)


async def with_children(cache, _clock, victim):
    """Tasks of the victim's write and wait, too."""

    async def child(key):
        await cache.incr(key)
        await cache.set("a", 1)

    async def run():
        async with cache.transaction() as tx:
            async with anyio.create_task_group() as children:
                children.start_soon(child, "b")
                children.start_soon(cache.set_add, "e", "x")
                await checkpoint()
            return tx

    victim.arm()
    await victim.run(run)
    await assert_whole(cache, victim)


async def late_child(cache, clock, victim):
    """A task that the victim has left behind waits for a lock; it is told that it is late, or cancelled."""

    async def hold():
        async with cache.transaction():
            await cache.get("k")
            await clock.sleep(1)

    async def child():
        with contextlib.suppress(TransactionError, LockedError):
            await cache.set("k", 1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await clock.settle()
        async with cache.transaction():
            tasks.start_soon(victim.run, child)
            tasks.start_soon(child)
            await clock.settle()
            victim.arm()
        await clock.advance(20)
    assert not await cache.exists("k")


SCENARIOS = {
    **{f"alone, {mode.value}": alone(mode) for mode in TransactionMode},
    "waiting": waiting,
    "waited for": waited_for,
    "in turn": in_turn,
    "committing": committing,
    "with children": with_children,
    "late child": late_child,
}


@pytest.mark.parametrize("store", ["in place", "slow", "apart"])
@pytest.mark.parametrize("how", ["suspends", "resumes", "turns"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_a_cancelled_transaction_is_whole_and_leaves_nothing_locked(at_every_checkpoint, scenario, how, store):
    """Guarantees 15, 16, 28."""
    await at_every_checkpoint(scenario, how, store)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("store", ["in place", "slow", "apart"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_so_is_one_that_asyncio_itself_cancels(at_every_checkpoint, scenario, store):
    """Guarantees 15, 16, 28: `Task.cancel()` goes through shields, once."""
    await at_every_checkpoint(scenario, "native", store)
