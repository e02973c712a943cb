"""Several stores in one transaction: each applies its part at once or not at all, one after the other."""

from __future__ import annotations

import anyio
import pytest

from cashews import Cache, add_prefix
from cashews.exceptions import LockedError, LockLostError, WrongTypeError
from cashews.messages import CommitOutcome
from cashews.testing.clock import VirtualClock
from tests.subjects import each


@pytest.fixture
async def cache(subject, clock):
    """One store under `a:`, which is the subject, and two in memory, under `b:` and for the rest."""
    async with subject.open(clock) as cache:
        cache.setup(subject.url, prefix="a:", **subject.options)
        cache.setup("mem://", prefix="b:")
        cache.setup("mem://")
        if subject.served:
            from tests.server_time import stores_of  # noqa: PLC0415  it needs the extra `redis`

            clock.stores[:] = stores_of(cache)
        yield cache


async def test_all_stores_apply_their_parts(cache, outside, mode, held):
    """Guarantee 15."""
    async with cache.transaction(mode) as tx:
        await cache.set_many({"a:k": 1, "b:k": 2, "k": 3})
        assert await cache.get_many("k", "b:k", "a:k") == (3, 2, 1)
        assert await outside(cache.get_many, "k", "b:k", "a:k") == (None, None, None)
    assert await cache.get_many("k", "b:k", "a:k") == (3, 2, 1)
    assert tx.outcome is CommitOutcome.COMMITTED
    assert tx.outcomes == {"a:": CommitOutcome.COMMITTED, "b:": CommitOutcome.COMMITTED, "": CommitOutcome.COMMITTED}
    assert held(cache) == 0


async def test_stores_are_applied_in_the_order_in_which_they_were_first_used(cache, outside, held):
    """Guarantees 15, 16: where one fails, those after it apply nothing, and the outcome says so."""
    with pytest.raises(WrongTypeError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction() as tx:
            await cache.set("b:k", 1)
            await cache.incr("a:n")
            await cache.set("k", 1)
            await outside(cache.set, "a:n", "a text")
    assert tx.outcomes == {"b:": CommitOutcome.COMMITTED, "a:": CommitOutcome.ABORTED, "": CommitOutcome.ABORTED}
    assert tx.outcome is CommitOutcome.UNKNOWN
    assert await cache.get_many("b:k", "k") == (1, None)
    assert held(cache) == 0
    assert cache.statistics().leases == 0


async def test_nothing_is_applied_if_the_first_fails(cache, outside):
    """Guarantee 16."""
    with pytest.raises(WrongTypeError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction() as tx:
            await cache.incr("a:n")
            await cache.set("k", 1)
            await outside(cache.set, "a:n", "a text")
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get("k") is None


@pytest.mark.parametrize("subject", each(["redis"]), indirect=True)
async def test_what_was_read_on_one_store_is_checked_before_anything_is_applied_on_another(cache, server):
    """Guarantee 16: although the store that was written came first."""
    with pytest.raises(LockLostError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction() as tx:
            await cache.set("k", 1)
            await cache.get("a:k")
            server.command("FLUSHALL")
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get("k") is None


async def test_a_deadlock_across_stores_is_found(cache, clock):
    """Guarantee 16."""
    failed = []

    async def party(first, second):
        try:
            async with cache.transaction():
                await cache.get(first)
                await clock.sleep(1)
                await cache.get(second)
        except LockedError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(party, "a:k", "b:k")
        tasks.start_soon(party, "b:k", "a:k")
        await clock.advance(1)
    assert len(failed) == 1
    assert "deadlock" in failed[0]


async def test_stores_whose_middlewares_give_their_keys_one_name_are_apart():
    """Guarantee 16: a lock is a key's on its store."""
    async with Cache.open("mem://", clock=VirtualClock(), middlewares=[add_prefix("b:")]) as cache:
        cache.setup("mem://", prefix="b:")
        async with cache.transaction():
            await cache.set("k", "default")
            await cache.set("b:k", "prefixed")
        assert await cache.get_many("k", "b:k") == ("default", "prefixed")
