"""Who is in a transaction: its block, what is called and started in it, and nobody else."""

from __future__ import annotations

import asyncio
import contextvars

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.engine.context import AMBIENT
from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import LockedError, NotAsyncError, TransactionError, WrongArgumentError, WrongTypeError
from cashews.messages import CommitOutcome
from cashews.testing.clock import VirtualClock
from tests.servers import PATIENCE


class FailedError(Exception):
    """What ends a transaction's block in these tests."""


async def test_a_block_in_a_block_joins_it(cache, outside, mode):
    """Guarantee 15: its end applies nothing, its failure rolls nothing back by itself."""
    async with cache.transaction(mode) as tx:
        await cache.set("outer", 1)
        async with cache.transaction() as joined:
            assert joined is tx
            await cache.set("inner", 1)
        assert await outside(cache.get_many, "outer", "inner") == (None, None)
        try:
            async with cache.transaction():
                await cache.set("caught", 1)
                raise FailedError  # noqa: TRY301  by the block
        except FailedError:
            pass
        assert tx.outcome is CommitOutcome.OPEN
    assert await cache.get_many("outer", "inner", "caught") == (1, 1, 1)


async def test_each_call_of_a_decorated_function_is_a_transaction(cache, mode, held):
    """D78: 50 at a time."""

    @cache.transaction(mode, timeout="1m")
    async def work(number, *, fails):
        await cache.set(f"key:{number}", number)
        await checkpoint()
        if fails:
            raise FailedError
        return number

    failures = []

    async def call(number):
        try:
            assert await work(number, fails=number % 2) == number
        except FailedError:
            failures.append(number)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
    stored = await cache.get_many(*(f"key:{number}" for number in range(50)))
    assert [number for number in stored if number is not None] == list(range(0, 50, 2))
    assert len(failures) == 25
    assert held(cache) == 0
    assert work.__name__ == "work"


async def test_decorated_functions_that_call_each_other_are_one_transaction(cache):
    """Guarantee 15."""

    @cache.transaction()
    async def inner():
        await cache.set("inner", 1)

    @cache.transaction()
    async def outer():
        await inner()
        raise FailedError

    with pytest.raises(FailedError):
        await outer()
    assert await cache.get("inner") is None


async def test_a_commit_that_fails_leaves_the_task_outside(cache, outside, mode):
    """Guarantee 17; D76: a later write is a plain one."""
    with pytest.raises(WrongTypeError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode) as tx:
            await cache.set_add("set", "x")
            await outside(cache.set, "set", "a text")
    assert tx.outcome is CommitOutcome.ABORTED
    assert AMBIENT.get() is None
    await cache.set("k", 1)
    assert await outside(cache.get, "k") == 1


async def test_what_a_task_writes_while_it_is_open_is_part_of_it(cache, outside):
    """Guarantee 17."""
    async with cache.transaction():
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(cache.set, f"key:{number}", number)
        assert await outside(cache.get, "key:0") is None
        assert await cache.get("key:0") == 0
    assert await cache.get("key:4") == 4


async def test_a_task_that_is_late_is_told_so(cache, held, mode):
    """Guarantee 17; D77: its writes do not vanish, and no lock of theirs stays."""
    ended = anyio.Event()
    late = []

    async def child():
        await ended.wait()
        commands = [
            lambda: cache.set("k", 1),
            lambda: cache.get("k"),
            lambda: cache.incr("k"),
            cache.clear,
            lambda: anext(cache.scan("*")),
            lambda: cache.incr_bits("k", 1),
            lambda: cache.transaction().__aenter__(),
        ]
        for command in commands:
            try:
                await command()
            except TransactionError as error:
                late.append(str(error))

    async with anyio.create_task_group() as tasks:
        async with cache.transaction(mode):
            tasks.start_soon(child)
            await cache.set("k", 2)
            await checkpoint()
        ended.set()
    assert len(late) == 7
    assert all("cannot be used any more (it is committed)" in text for text in late)
    assert held(cache) == 0
    assert await cache.get("k") == 2


@pytest.mark.parametrize("others", [0, 2])
async def test_a_task_that_waited_for_a_lock_when_the_transaction_ended_is_told_so(cache, clock, held, others):
    """Guarantee 17: it gives the lock back, and so do those who waited with it."""
    late = []

    async def hold():
        async with cache.transaction():
            await cache.set("k", 1)
            await clock.sleep(1)

    async def child():
        try:
            await cache.set("k", 2)
        except TransactionError as error:
            late.append(error)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await clock.settle()
            async with cache.transaction():
                for _ in range(1 + others):
                    tasks.start_soon(child)
                await clock.settle()
            await clock.advance(2)
    assert len(late) == 1 + others
    assert held(cache) == 0
    assert cache.statistics().leases == 0
    async with cache.transaction():
        assert await cache.get("k") == 1


async def test_commands_are_refused_while_the_last_commit_is_on_its_way(cache):
    """Guarantee 17: what would be in no commit is an error, not lost."""
    answers = []

    async def child():
        for number in range(200):
            try:
                await cache.set(f"key:{number}", 1)
            except TransactionError:
                answers.append(number)
                return
            await checkpoint()

    async with anyio.create_task_group() as tasks, cache.transaction(TransactionMode.FAST):
        tasks.start_soon(child)
        for _ in range(5):
            await checkpoint()
    (refused,) = answers
    assert await cache.get_keys_count() == refused


async def test_a_task_started_before_is_outside(cache, outside):
    """Guarantee 17."""
    async with cache.transaction():
        await outside(cache.set, "k", 1)
        assert await outside(cache.get, "k") == 1


async def test_another_cache_is_no_part_of_it(cache):
    """Guarantee 17."""
    async with Cache.open("mem://", clock=VirtualClock()) as other:
        with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
            async with cache.transaction():
                await cache.set("k", 1)
                await other.set("k", 1)
                raise FailedError
        assert await cache.get("k") is None
        assert await other.get("k") == 1


async def test_each_cache_has_a_transaction_of_its_own(cache, outside):
    """Guarantee 17."""
    async with Cache.open("mem://", clock=VirtualClock()) as other:
        async with cache.transaction() as one, other.transaction() as two:
            assert one is not two
            await cache.set("k", "one")
            await other.set("k", "two")
            assert await outside(cache.get, "k") is None
            assert await outside(other.get, "k") is None
            assert (await cache.get("k"), await other.get("k")) == ("one", "two")
        assert (await cache.get("k"), await other.get("k")) == ("one", "two")


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_block_may_be_left_in_another_context(cache):
    """D78: as an async generator's is, that another task closes; nothing stays locked."""

    async def generate():
        async with cache.transaction() as tx:
            await cache.set("k", 1)
            yield tx

    generator = generate()
    tx = await contextvars.copy_context().run(asyncio.ensure_future, anext(generator))
    with pytest.raises(StopAsyncIteration):
        await anext(generator)
    assert tx.outcome is CommitOutcome.COMMITTED
    assert await cache.get("k") == 1


@pytest.mark.over_slots
async def test_each_block_needs_an_object_of_its_own(cache, clock):
    """Guarantee 17."""
    block = cache.transaction(TransactionMode.SERIALIZABLE)
    failures = []

    async def enter():
        try:
            async with block:
                await clock.sleep(1)
        except TransactionError as error:
            failures.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        tasks.start_soon(enter)
        await clock.advance(2)
    assert len(failures) == 1
    assert "each block needs" in failures[0]
    async with block:  # one after the other is no harm
        await cache.set("k", 1)
    assert await cache.get("k") == 1


@pytest.mark.over_slots
async def test_a_turn_that_does_not_come_leaves_nothing(cache, clock, held):
    """Guarantee 16."""
    ends = []

    async def party(patience):
        try:
            async with cache.transaction(TransactionMode.SERIALIZABLE, timeout=patience):
                await clock.sleep(10)
        except LockedError as error:
            ends.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(party, 100)
        await clock.settle()
        tasks.start_soon(party, 2)
        await clock.advance(3)
        assert len(ends) == 1
        await clock.advance(10)
    assert held(cache) == 0
    assert AMBIENT.get() is None


async def test_wrong_arguments_are_met_at_once(cache):
    """A mode is a member, a timeout lasts, a function is async."""
    with pytest.raises(WrongArgumentError, match="TransactionMode"):
        cache.transaction("locked")
    for timeout in (0, -1, None):
        with pytest.raises(WrongArgumentError, match="timeout"):
            cache.transaction(timeout=timeout)
    with pytest.raises(NotAsyncError):
        cache.transaction()(lambda: None)


async def test_a_transaction_shows_its_mode_and_what_became_of_it(cache):
    async with cache.transaction(TransactionMode.FAST) as tx:
        assert repr(tx) == "<Transaction fast, open>"
    assert repr(tx) == "<Transaction fast, committed>"


async def test_a_transaction_is_open_until_its_long_commit_is_over(mode):
    """Guarantee 16: its outcome is told when it is known, to tasks that look meanwhile, too."""
    seen = set()
    async with Cache.open("mem://") as cache, anyio.create_task_group() as tasks, cache.transaction(mode) as tx:
        for number in range(1_500):
            await cache.set(f"key:{number}", number)

        async def look():
            while tx.outcome is CommitOutcome.OPEN:
                seen.add(tx.outcome)
                await checkpoint()
            seen.add(tx.outcome)

        tasks.start_soon(look)
    assert seen == {CommitOutcome.OPEN, CommitOutcome.COMMITTED}


@pytest.mark.parametrize("steps", range(5, 60, 5))
async def test_a_long_read_outlasts_a_rollback_by_another_task(steps):
    """Guarantee 17: it is served again, as if it had been asked for afterwards."""
    keys = [f"key:{number}" for number in range(5_000)]
    async with Cache.open("mem://", size=10_000) as cache:
        await cache.set_many(dict.fromkeys(keys, 1))
        async with cache.transaction(TransactionMode.FAST) as tx:
            await cache.get("other")

            async def roll_back():
                for _ in range(steps):
                    await checkpoint()
                tx.rollback()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(roll_back)
                assert set(await cache.get_many(*keys)) == {1}
