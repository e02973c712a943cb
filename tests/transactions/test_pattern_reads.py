"""Reads by pattern in a transaction, and long commits: nothing slips through, and nobody waits for a long turn."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import LockedError, NotSupportedError, TransactionConflictError, WrongTypeError
from cashews.messages import CommitOutcome
from cashews.testing.clock import VirtualClock
from tests.internals import inside
from tests.subjects import each
from tests.transactions.conftest import SERIALIZABLE

isolated = pytest.mark.parametrize(
    "mode", [TransactionMode.LOCKED, SERIALIZABLE], indirect=True, ids=lambda mode: mode.value
)


async def by_scan(cache):
    return len([key async for key in cache.scan("on call:*")])


async def by_values(cache):
    return sum([value async for _, value in cache.get_match("on call:*")])


async def by_count(cache):
    return await cache.get_keys_count()


over_reads = pytest.mark.parametrize("read", [by_scan, by_values, by_count])


@pytest.fixture
async def together(clock):
    """``await together(function, ...)``: runs transactions at once, and returns how many were refused."""

    async def run(*functions):
        refused = []

        async def attempt(function):
            try:
                await function()
            except LockedError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            for function in functions:
                tasks.start_soon(attempt, function)
            await clock.advance(15)
        return len(refused)

    return run


@pytest.mark.over_slots
@isolated
@over_reads
async def test_no_write_skew_passes_among_those_that_leave(cache, mode, together, read):
    """Guarantee 16: of two doctors on call, each goes home if the other stays."""
    await cache.set_many({"on call:a": 1, "on call:b": 1})

    def going(doctor):
        @cache.transaction(mode)
        async def go():
            if await read(cache) == 2:
                await checkpoint()
                await cache.delete(doctor)

        return go

    await together(going("on call:a"), going("on call:b"))
    assert await cache.get_keys_count() >= 1
    assert inside(cache).coordinator.idle


@pytest.mark.over_slots
@isolated
@over_reads
async def test_no_write_skew_passes_among_those_that_come(cache, mode, together, read, held):
    """Guarantee 16: each comes if nobody is there, under a key that no other has locked."""

    def coming(doctor):
        @cache.transaction(mode)
        async def come():
            if await read(cache) == 0:
                await checkpoint()
                await cache.set(doctor, 1)

        return come

    refused = await together(*(coming(f"on call:{name}") for name in "abc"))
    assert await cache.get_keys_count() == 1
    assert refused <= 2
    assert held(cache) == 0


@pytest.mark.over_slots
@isolated
async def test_values_that_a_pattern_has_found_stay_as_they_are(cache, mode, together):
    """Guarantee 16: each takes as much as is left, from an account of its own."""
    await cache.set_many({"on call:a": 1, "on call:b": 1})

    def taking(account):
        @cache.transaction(mode)
        async def take():
            if await by_values(cache) == 2:
                await checkpoint()
                await cache.set(account, -1)

        return take

    await together(taking("on call:a"), taking("on call:b"))
    assert await by_values(cache) >= 0


@pytest.mark.over_slots
@isolated
async def test_a_new_key_of_a_pattern_that_was_read_refuses_the_commit(cache, mode, outside, held):
    """Guarantee 16: nothing is applied, and the error names the pattern."""
    with pytest.raises(TransactionConflictError, match="'k:\\*'"):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode) as tx:
            assert [key async for key in cache.scan("k:*")] == []
            await cache.set("other", 1)
            await outside(cache.set, "k:new", 1)
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get_many("other", "k:new") == (None, 1)
    assert held(cache) == 0


@pytest.mark.over_slots
@isolated
@over_reads
async def test_a_key_that_came_before_it_was_written_here_refuses_the_commit(cache, mode, outside, read):
    """Guarantee 16: the transaction has read that nobody was there, and would write over the newcomer."""
    with pytest.raises(TransactionConflictError, match="\\*'"):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode) as tx:
            assert await read(cache) == 0
            await outside(cache.set, "on call:a", 1)
            await cache.set("on call:a", 2)
            assert await read(cache) > 0, "which excuses nothing"
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get("on call:a") == 1


@pytest.mark.over_slots
@isolated
async def test_a_key_that_came_behind_a_scan_refuses_the_commit(cache, mode, outside):
    """Guarantee 16: the scan had passed its place, and this transaction wrote it before the scan had ended."""
    await cache.set_many({f"k:{number}": 1 for number in range(300)})
    found = set()
    try:
        async with cache.transaction(mode):
            async for key in cache.scan("k:*", batch_size=10):
                if not found:
                    await outside(cache.set, "k:new", 1)
                    await cache.set("k:new", 2)
                found.add(key)
    except TransactionConflictError:
        assert "k:new" not in found
    assert await cache.get("k:new") == (2 if "k:new" in found else 1), "where it lies is the store's affair"


@pytest.mark.over_slots
@isolated
async def test_own_keys_are_no_news(cache, mode):
    await cache.set_many({"k:1": 1, "k:2": 2})
    async with cache.transaction(mode) as tx:
        await cache.set("k:3", 3)
        assert sorted([key async for key in cache.scan("k:*")]) == ["k:1", "k:2", "k:3"]
        await cache.set("k:4", 4)
        await cache.incr_bits("k:bits", 1)  # bits pass transactions by
        await cache.delete("k:1")
        assert dict([pair async for pair in cache.get_match("k:*")]) == {"k:2": 2, "k:3": 3, "k:4": 4}
        assert await cache.get_keys_count() == 4
    assert tx.outcome is CommitOutcome.COMMITTED


@pytest.mark.over_slots
@isolated
async def test_a_scan_that_was_left_early_has_seen_no_end(cache, mode, outside):
    """Whether there are more keys was not asked."""
    await cache.set("k:1", 1)
    async with cache.transaction(mode) as tx:
        await cache.set("k:0", 0)
        async for _ in cache.scan("k:*"):
            break
        await outside(cache.set, "k:new", 1)
    assert tx.outcome is CommitOutcome.COMMITTED


@pytest.mark.over_slots
async def test_reading_alone_is_refused_nothing(cache, outside):
    async with cache.transaction() as tx:
        assert [key async for key in cache.scan("k:*")] == []
        await outside(cache.set, "k:new", 1)
    assert tx.outcome is CommitOutcome.COMMITTED


async def test_fast_transactions_prove_nothing(cache, outside, held):
    async with cache.transaction(TransactionMode.FAST) as tx:
        assert [key async for key in cache.scan("k:*")] == []
        assert held(cache) == 0
        await cache.set("other", 1)
        await outside(cache.set, "k:new", 1)
    assert tx.outcome is CommitOutcome.COMMITTED


async def test_a_pattern_without_a_star_is_a_key(cache, together):
    """Guarantee 16: it is locked though it is absent."""

    async def come():
        async with cache.transaction():
            if not [key async for key in cache.scan("k")]:
                await checkpoint()
                await cache.incr("arrivals")
                await cache.set("k", 1)

    await together(*[come] * 5)
    assert await cache.get("arrivals") == 1


@pytest.mark.over_slots
async def test_an_explicit_commit_proves_what_was_read_before_it(cache, outside):
    async with cache.transaction() as tx:
        assert [key async for key in cache.scan("k:*")] == []
        await cache.set("other", 1)
        await tx.commit()
        await outside(cache.set, "k:new", 1)
        await cache.set("other", 2)
    assert tx.outcome is CommitOutcome.COMMITTED
    assert await cache.get("other") == 2


async def test_too_many_keys_are_not_counted_under_their_locks():
    async with Cache.open("mem://?size=20000", clock=VirtualClock()) as cache:
        await cache.set_many({f"k:{number}": number for number in range(10_001)})
        async with cache.transaction():
            with pytest.raises(NotSupportedError, match="10,000"):
                await cache.get_keys_count()
        async with cache.transaction(TransactionMode.FAST):
            assert await cache.get_keys_count() == 10_001


# --- values on their way


@pytest.mark.parametrize("subject", each(["redis-many", "disk", "disk-sharded", "disk-signed"]), indirect=True)
@pytest.mark.parametrize("command", ["delete_match", "clear"])
async def test_a_value_on_its_way_is_deleted_with_those_that_are_there(cache, mode, command):
    """Guarantee 10: it was asked for before, on another connection or in another lane."""

    async def delete():
        async with cache.transaction(mode):
            await (cache.delete_match("k:*") if command == "delete_match" else cache.clear())

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(cache.set, f"k:{number}", number)
        tasks.start_soon(delete)
    assert [key async for key in cache.scan("k:*")] == []


# --- a mistake in the program


@pytest.mark.parametrize("suppress", [True, False])
async def test_integer_commands_on_another_kind_are_an_error_though_failures_are_suppressed(subject, clock, suppress):
    """Guarantee 26: it is a mistake in the program, and not an outage."""
    options = {} if subject.name == "mem" else {"suppress": suppress}
    async with subject.open(clock, **options) as cache:
        await cache.set("text", "text")
        await cache.set_add("set", "x")
        async with cache.transaction() as tx:
            for key in ("text", "set"):
                with pytest.raises(WrongTypeError):
                    await cache.incr(key)
            await cache.set("k", 1)
        assert tx.outcome is CommitOutcome.COMMITTED
        assert await cache.get_many("k", "text") == (1, "text")


# --- long commits

LONG = 3_000


@pytest.fixture
async def large():
    async with Cache.open("mem://?size=200000", clock=VirtualClock()) as cache:
        yield cache


class Looks:
    """A task that looks at the first and the last of many keys whenever it can."""

    def __init__(self, cache, keys):
        self.cache, self.keys, self.seen, self.passes = cache, keys, [], 0

    async def run(self):
        while True:
            self.seen.append(await self.cache.get_many(*self.keys))
            await checkpoint()

    async def count(self):
        while True:
            self.passes += 1
            await checkpoint()


async def test_a_long_commit_is_seen_all_at_once_and_lets_other_tasks_run(large, mode):
    """Guarantees 15, 25."""
    looks = Looks(large, ("k:0", f"k:{LONG - 1}"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(looks.run)
        tasks.start_soon(looks.count)
        async with large.transaction(mode):
            await large.set_many({f"k:{number}": number for number in range(LONG)})
            await checkpoint()
            before = looks.passes
        assert looks.passes - before >= LONG // 500
        await checkpoint()
        await checkpoint()
        tasks.cancel_scope.cancel()
    assert set(looks.seen) == {(None, None), (0, LONG - 1)}
    assert await large.get_keys_count() == LONG


async def test_a_long_deletion_in_a_transaction_lets_other_tasks_run(large, mode):
    """Guarantee 25."""
    await large.set_many({f"k:{number}": number for number in range(LONG)})
    looks = Looks(large, ("k:0", f"k:{LONG - 1}"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(looks.run)
        tasks.start_soon(looks.count)
        async with large.transaction(mode):
            await checkpoint()
            before = looks.passes
            await large.delete_match("k:*")
            assert looks.passes - before >= LONG // 500
        await checkpoint()
        await checkpoint()
        tasks.cancel_scope.cancel()
    assert set(looks.seen) == {(0, LONG - 1), (None, None)}


async def test_a_long_commit_with_a_mistake_applies_nothing(large, mode):
    """Guarantee 15."""
    with pytest.raises(WrongTypeError):  # noqa: PT012  what ends the block is the subject
        async with large.transaction(mode) as tx:
            for number in range(LONG):
                await large.incr(f"k:{number}")
            inside(large).table().store(None, f"k:{LONG - 1}", "a text", None, 0)
    assert tx.outcome is CommitOutcome.ABORTED
    assert await large.get_keys_count() == 1
    assert await large.transaction(mode)(large.incr)("k:0") == 1


@pytest.mark.parametrize("steps", [0, 1, 3, 8])
async def test_a_long_commit_whose_task_is_cancelled_is_applied_whole_or_not_at_all(large, mode, steps):
    """Guarantees 15, 23."""

    async def write():
        async with large.transaction(mode):
            await large.set_many({f"k:{number}": number for number in range(LONG)})
            written.set()

    written = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await written.wait()
        for _ in range(steps):
            await checkpoint()
        tasks.cancel_scope.cancel()
    assert await large.get_keys_count() in {0, LONG}
    await large.transaction(mode)(large.set)("k:0", "later")
    assert await large.get("k:0") == "later"


async def test_many_locked_keys_are_given_back_while_other_tasks_run(large, held):
    """Guarantee 25."""
    looks = Looks(large, ())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(looks.count)
        await checkpoint()
        async with large.transaction():
            await large.get_many(*(f"k:{number}" for number in range(LONG)))
            assert held(large) == LONG
            before = looks.passes
        assert looks.passes - before >= LONG // 500 - 1
        tasks.cancel_scope.cancel()
    assert held(large) == 0
