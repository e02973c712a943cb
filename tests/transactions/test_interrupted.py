"""Transactions that are interrupted: by a conflict, a cancellation, or another task of theirs (guarantees 15, 16)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import TransactionConflictError, TransactionError
from cashews.messages import CommitOutcome
from tests.transactions.conftest import SERIALIZABLE

MANY = [f"k{number}" for number in range(1_200)]
"""More keys than one turn takes or gives back."""
TURNS = range(14)
"""The turns after which another task interrupts."""

isolated = pytest.mark.parametrize(
    "mode", [TransactionMode.LOCKED, SERIALIZABLE], indirect=True, ids=lambda mode: mode.value
)
of_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def fill(cache, prefix=""):
    await cache.set_many({prefix + key: 1 for key in MANY})


# --- proofs of patterns


@pytest.mark.over_slots
@isolated
async def test_a_conflict_that_the_block_swallows_keeps_its_writes_out(cache, mode, outside, held):
    """Guarantee 16: each later commit, and the end, find the conflict as well."""
    with pytest.raises(TransactionConflictError, match="'k:\\*'"):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode) as tx:
            assert [key async for key in cache.scan("k:*")] == []
            await cache.set("other", 1)
            await outside(cache.set, "k:new", 1)
            for _ in range(2):
                with pytest.raises(TransactionConflictError):
                    await tx.commit()
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get_many("other", "k:new") == (None, 1)
    assert held(cache) == 0


@pytest.mark.over_slots
async def test_a_rollback_ends_a_conflict(cache, outside):
    """Guarantee 16: nothing rests on the pattern any more."""
    async with cache.transaction() as tx:
        assert [key async for key in cache.scan("k:*")] == []
        await outside(cache.set, "k:new", 1)
        await cache.set("other", 1)
        with pytest.raises(TransactionConflictError):
            await tx.commit()
        await tx.rollback()
        await cache.set("other", 2)
    assert await cache.get("other") == 2


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_proof_that_was_cancelled_is_made_again(outside, held, turns):
    """Guarantee 16."""
    async with Cache.open("mem://", check_interval=0, size=2_000) as cache:
        await fill(cache)
        with pytest.raises(TransactionConflictError):  # noqa: PT012  what ends the block is the subject
            async with cache.transaction() as tx:
                async for _ in cache.scan("*5*"):
                    pass
                await cache.set("other", 1)
                await outside(cache.set, "k5 new", 1)
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(cancel_later, scope, turns)
                        with suppress(TransactionConflictError):
                            await tx.commit()
        assert await cache.get("other") is None
        assert held(cache) == 0


async def cancel_later(scope, turns):
    for _ in range(turns):
        await checkpoint()
    scope.cancel()


# --- releases


@of_asyncio
@pytest.mark.parametrize("turns", TURNS)
async def test_many_keys_are_given_back_though_the_task_is_cancelled_meanwhile(held, turns):
    """Guarantee 15: `Task.cancel()` goes through shields, once."""
    async with Cache.open("mem://", check_interval=0, size=2_000) as cache:
        await fill(cache)
        await cancel_at_the_end(cache, turns, "")
        assert held(cache) == 0


@of_asyncio
@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("url", ["mem://", "disk://"])
async def test_a_release_that_is_cancelled_keeps_no_other_store_locked(held, tmp_path, url, turns):
    """Guarantee 15."""
    cache = Cache()
    for prefix in ("a:", "b:", "c:"):
        options = {"directory": tmp_path / prefix[0]} if url == "disk://" else {"check_interval": 0, "size": 2_000}
        cache.setup(url, prefix=prefix, **options)
    async with cache:
        if url == "mem://":
            for prefix in ("a:", "b:", "c:"):
                await fill(cache, prefix)
        await cancel_at_the_end(cache, turns, "a:", "b:", "c:", keys=MANY if url == "mem://" else ["k"])
        assert held(cache) == 0
        assert [key async for key in cache.locks()] == []


async def cancel_at_the_end(cache, turns, *prefixes, keys=MANY):
    """Cancel a task so many turns after it has begun to leave its transaction."""
    leaves = asyncio.Event()

    async def leave():
        async with cache.transaction():
            for prefix in prefixes:
                await cache.get_many(*(prefix + key for key in keys))
            leaves.set()
            raise KeyError

    task = asyncio.create_task(leave())
    await leaves.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    (end,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(end, (KeyError, asyncio.CancelledError))


# --- other tasks of the transaction


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("command", ["get_many", "set_many", "delete_many"])
async def test_a_late_task_takes_no_lock_for_a_transaction_that_has_ended(held, command, turns):
    """Guarantee 15: nobody would give it back."""
    args = (dict.fromkeys(MANY, 2),) if command == "set_many" else MANY
    async with Cache.open("mem://", check_interval=0, size=2_000) as cache:
        await fill(cache)

        async def call():
            with suppress(TransactionError):  # it is told that it is late
                await getattr(cache, command)(*args)

        async with anyio.create_task_group() as tasks, cache.transaction():
            tasks.start_soon(call)
            for _ in range(turns):
                await checkpoint()
        assert held(cache) == 0


@pytest.mark.parametrize("turns", TURNS)
async def test_a_commit_says_so_if_the_block_fails_before_it(held, turns):
    """Guarantee 15: a commit that returns has applied the writes."""
    told = []
    async with Cache.open("mem://", check_interval=0, size=2_000) as cache:
        await fill(cache)

        async def commit(tx):
            try:
                await tx.commit()
                told.append(1)
            except TransactionError:
                told.append(None)

        async with anyio.create_task_group() as tasks:
            with pytest.raises(KeyError):  # noqa: PT012  the block's own
                async with cache.transaction() as tx:
                    async for _ in cache.scan("*5*"):
                        pass
                    await cache.set("a", 1)
                    tasks.start_soon(commit, tx)
                    for _ in range(turns):
                        await checkpoint()
                    raise KeyError
        assert told == [await cache.get("a")]
        assert held(cache) == 0


async def test_a_store_may_be_touched_first_while_a_rollback_gives_locks_back(tmp_path):
    """Guarantee 15."""
    cache = Cache()
    cache.setup("disk://", directory=tmp_path)
    cache.setup("mem://", prefix="m:", check_interval=0)
    async with cache, anyio.create_task_group() as tasks, cache.transaction() as tx:
        await cache.get("a")
        rollback = tx.rollback()
        tasks.start_soon(cache.get, "m:1")
        await rollback


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("command", ["set_many", "delete_many"])
async def test_many_writes_are_made_again_if_their_locks_are_given_back(outside, held, command, end, turns):
    """Guarantee 15: no write waits for the end of the transaction without a lock."""
    args = (dict.fromkeys(MANY, 2),) if command == "set_many" else MANY
    async with Cache.open("mem://", check_interval=0, size=2_000) as cache:
        await fill(cache)
        async with cache.transaction() as tx:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(getattr(cache, command), *args))
                for _ in range(turns):
                    await checkpoint()
                await getattr(tx, end)()
            locked, before = held(cache), await outside(cache.get_many, *MANY)
        after = await cache.get_many(*MANY)
    assert len(set(after)) == 1
    assert locked == (0 if before == after else len(MANY))
