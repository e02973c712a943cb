"""What is written in a transaction is seen in it alone, and applied at its end at once or not at all."""

from __future__ import annotations

import anyio
import pytest

from cashews import Command
from cashews.exceptions import CacheClosedError, TransactionError, WrongTypeError
from cashews.messages import Commit, CommitOutcome, Set
from cashews.testing.clock import VirtualClock
from tests.internals import inside
from tests.subjects import SUBJECTS


class FailedError(Exception):
    """What ends a transaction's block in these tests."""


async def fill(cache):
    await cache.set("text", "old", expire=100)
    await cache.set("number", 5, expire=100)
    await cache.set_add("set", "x", expire=100)


async def write_everything(cache):
    """Write with each command; returns what has to be seen by whom the writes are."""
    await cache.set("text", "new", expire=10)
    await cache.set_many({"many": 1, "more": 2}, expire=10)
    await cache.incr("number", 3)
    await cache.set_add("set", "y", expire=100)
    await cache.set_raw("raw", b"raw")
    await cache.delete("gone")
    await cache.expire("number", 50)


async def seen_in(cache):
    values = await cache.get_many("text", "many", "more", "number")
    return [*values, await cache.get_raw("raw"), await cache.exists("gone"), await cache.get_expire("number")]


BEFORE = ["old", None, None, 5, None, True, 100]
AFTER = ["new", 1, 2, 8, b"raw", False, 50]


@pytest.fixture
async def filled(cache):
    await fill(cache)
    await cache.set("gone", 1)
    return cache


async def test_writes_are_seen_inside_at_once_and_outside_after_the_end(filled, outside, mode):
    """Guarantee 15."""
    async with filled.transaction(mode) as tx:
        await write_everything(filled)
        assert await seen_in(filled) == AFTER
        assert await outside(seen_in, filled) == BEFORE
        assert tx.outcome is CommitOutcome.OPEN
    assert await seen_in(filled) == AFTER
    assert sorted(await filled.set_pop("set", 5)) == ["x", "y"]
    assert tx.outcome is CommitOutcome.COMMITTED
    assert tx.outcomes == {"": CommitOutcome.COMMITTED}


async def test_an_exception_leaves_nothing(filled, mode, held):
    """Guarantee 15; D81: members of sets, too."""
    with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with filled.transaction(mode) as tx:
            await write_everything(filled)
            raise FailedError
    assert tx.outcome is CommitOutcome.ABORTED
    assert await seen_in(filled) == BEFORE
    assert await filled.set_pop("set", 5) == ["x"]
    assert held(filled) == 0


@pytest.mark.parametrize("awaited", [False, True])
async def test_rollback_forgets_at_once_and_the_transaction_goes_on(filled, mode, held, awaited):
    """Guarantee 15, reading c."""
    async with filled.transaction(mode) as tx:
        await write_everything(filled)
        released = tx.rollback()
        if awaited:
            await released
            assert held(filled) == 0
        assert await seen_in(filled) == BEFORE
        await filled.set("late", 1)
    assert tx.outcome is CommitOutcome.COMMITTED
    assert await seen_in(filled) == BEFORE
    assert await filled.get("late") == 1


async def test_a_transaction_that_was_rolled_back_says_so(filled, mode, held):
    """Guarantee 15, reading c."""
    async with filled.transaction(mode) as tx:
        await write_everything(filled)
        tx.rollback()
    assert tx.outcome is CommitOutcome.ABORTED
    assert await seen_in(filled) == BEFORE
    assert held(filled) == 0


async def test_writes_after_a_rollback_that_was_awaited_late_keep_their_locks(cache, held):
    """Guarantee 16: the locks are given back of what was forgotten."""
    async with cache.transaction() as tx:
        await cache.set("k", 1)
        released = tx.rollback()
        await cache.set("k", 2)
        await released
        assert held(cache) == 1
    assert await cache.get("k") == 2


async def test_a_commit_in_between_is_final(filled, outside, mode):
    """Guarantee 15: what came before it stays, whatever becomes of the rest."""
    with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with filled.transaction(mode) as tx:
            await write_everything(filled)
            await tx.commit()
            assert await outside(seen_in, filled) == AFTER
            await filled.set("text", "newer")
            raise FailedError
    assert tx.outcome is CommitOutcome.ABORTED
    assert await seen_in(filled) == AFTER


async def test_a_commit_in_between_releases_the_locks(cache, outside, held, mode):
    """Guarantee 16."""
    async with cache.transaction(mode) as tx:
        await cache.set("k", 1)
        await tx.commit()
        assert held(cache) == 0
        assert await outside(cache.transaction()(cache.get), "k") == 1
        await cache.set("k", 2)
    assert await cache.get("k") == 2


async def test_a_deadline_stays_where_it_is(cache, clock, mode):
    """Guarantee 15; D71: to 10 ms, below a second, and not cut to whole seconds."""
    async with cache.transaction(mode):
        await cache.set("k", 1, expire=1.5)
        await cache.set_add("set", "x", expire=1.5)
        await cache.incr("n", expire=1.5)
        await clock.advance(1.2)
        assert await cache.get_expire("k") == 1
    await clock.advance(0.29)
    assert await cache.get("k") == await cache.get("n") == 1
    assert await cache.exists("set")
    await clock.advance(0.03)
    assert not any([await cache.exists(key) for key in ("k", "n", "set")])


async def test_what_expires_in_the_transaction_is_not_stored(cache, clock, mode):
    """Guarantee 15; D71: an entry that has expired meanwhile is not resurrected for ever."""
    async with cache.transaction(mode):
        await cache.set("k", 1, expire=1)
        await cache.incr("n", expire=1)
        await clock.advance(2)
        assert await cache.get("k") is None
        assert await cache.get_expire("n") == -2
    assert await cache.get("k") is None
    assert await cache.get("n") is None


async def test_a_value_that_expires_below_a_transaction_is_absent_in_it(cache, clock, mode):
    """Guarantee 2; D82: the overlay has nothing, and the store's old value is not read."""
    await cache.set("k", "old", expire=100)
    async with cache.transaction(mode):
        await cache.set("k", "new", expire=1)
        await clock.advance(2)
        assert await cache.get("k") is None
        assert not await cache.exists("k")
    assert await cache.get("k") is None


@pytest.mark.over_slots
async def test_a_transaction_holds_as_many_keys_as_it_is_given(cache, subject, mode):
    """D72: 1500 writes, of which it can read the first."""
    many = 150 if subject.served else 1_500  # each has its lock there
    async with cache.transaction(mode):
        await cache.set_many({f"key:{number}": number for number in range(many)})
        assert await cache.get("key:0") == 0
        assert await cache.get_keys_count() == many
    assert await cache.get("key:0") == 0
    assert await cache.get_keys_count() == many


async def test_exist_means_what_it_says(cache, mode):
    """D73."""
    await cache.set("there", "old")
    async with cache.transaction(mode):
        assert not await cache.set("there", "new", exist=False)
        assert await cache.get("there") == "old"
        assert not await cache.set("absent", 1, exist=True)
        assert await cache.set("there", "newer", exist=True)
        assert await cache.set("absent", 2, exist=False)
    assert await cache.get_many("there", "absent") == ("newer", 2)


async def test_a_set_that_was_not_done_leaves_an_earlier_delete(cache, mode):
    """D73."""
    await cache.set("k", "old")
    async with cache.transaction(mode):
        assert await cache.delete("k")
        assert not await cache.set("k", "new", exist=True)
    assert await cache.get("k") is None


async def test_expire_after_set_keeps_the_new_value(cache, mode):
    """D74."""
    await cache.set("k", "old")
    async with cache.transaction(mode):
        await cache.set("k", "new")
        await cache.expire("k", 10)
    assert await cache.get("k") == "new"
    assert await cache.get_expire("k") == 10


async def test_incr_leaves_the_time_to_live(cache, mode):
    """Guarantee 3; D75."""
    await cache.set("n", 1, expire=100)
    async with cache.transaction(mode):
        assert await cache.incr("n") == 2
    assert await cache.get_expire("n") == 100


async def test_a_counter_that_expires_between_two_increments_begins_anew(cache, clock, mode):
    """Guarantee 2: the sum of both is not added to what was there."""
    await cache.set("n", 10, expire=1)
    async with cache.transaction(mode):
        assert await cache.incr("n") == 11
        await clock.advance(2)
        assert await cache.incr("n", expire=5) == 1
    assert await cache.get("n") == 1
    assert await cache.get_expire("n") == 5


async def test_a_life_that_was_prolonged_is_as_long_as_that(cache, clock, mode):
    """Guarantee 15: although the store has let the key go before the commit."""
    await cache.set("k", [1], expire=1)
    await cache.set_add("set", "x", expire=1)
    async with cache.transaction(mode):
        assert await cache.expire("k", 10)
        assert await cache.expire("set", None)
        await clock.advance(5)
        assert await cache.get("k") == [1]
    assert await cache.get("k") == [1]
    assert await cache.get_expire("k") == 5
    assert await cache.get_expire("set") == -1


async def test_what_changes_nothing_writes_nothing(cache, outside):
    """Guarantee 15: an expiry of an absent key does not remove what another has stored there meanwhile."""
    async with cache.transaction():
        assert not await cache.expire("k", 10)
        await cache.set_remove("k", "x")
        await cache.set_add("k")
        await outside(cache.set, "k", 1)
    assert await cache.get("k") == 1


async def test_a_key_may_change_its_kind(cache, mode):
    """Guarantee 15: a set where a text was, and a text where a set was."""
    await cache.set("text", "x")
    await cache.set_add("set", "x")
    async with cache.transaction(mode):
        await cache.delete("text")
        await cache.set_add("text", "y", expire=10)
        await cache.set("set", "now a text")
    assert await cache.get("set") == "now a text"
    assert await cache.get_expire("text") == 10
    assert await cache.set_pop("text", 5) == ["y"]


async def test_a_set_of_many_members_is_written_whole(cache):
    """Guarantee 15: more than a script's functions take arguments."""
    async with cache.transaction():
        await cache.delete("set")
        await cache.set_add("set", *map(str, range(20_000)))
    assert len(await cache.set_pop("set", 30_000)) == 20_000


async def test_what_others_have_made_of_a_key_meanwhile_is_met_before_anything_is_applied(cache, outside, mode):
    """Guarantees 15, 22: nothing of the commit is applied, not half of it."""
    async with cache.transaction(mode) as tx:
        await cache.set("first", 1)
        await cache.incr("n")
        await cache.set_add("set", "x")
        await cache.set("last", 1)
        await outside(cache.set, "set", "a text, by somebody who takes no locks")
        await outside(cache.set, "n", 2**63 - 2)
        with pytest.raises(WrongTypeError):
            await tx.commit()
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get_many("first", "last", "n") == (None, None, 2**63 - 2)
    assert await cache.get("set") == "a text, by somebody who takes no locks"


async def test_a_counter_that_would_overflow_applies_nothing(cache, outside):
    """Guarantee 26."""
    with pytest.raises(OverflowError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction() as tx:
            await cache.set("first", 1)
            await cache.incr("n", 2)
            await cache.expire("n", 50)
            await cache.incr("n", 3)
            await outside(cache.set, "n", 2**63 - 4)
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get_many("first", "n") == (None, 2**63 - 4)
    assert await cache.get_expire("n") == -1


async def test_increments_of_any_size_are_applied(cache):
    """Guarantee 26: whose sum does not fit, but each of them."""
    await cache.set("n", -(2**63))
    async with cache.transaction():
        await cache.incr("n", 2**63 - 1)
        assert await cache.incr("n", 2**63 - 1) == 2**63 - 2
    assert await cache.get("n") == 2**63 - 2


@pytest.mark.over_slots
async def test_a_scan_shows_each_key_once_whoever_writes_meanwhile(cache, subject, mode):
    """Guarantee 15: over many pages, to each of whose keys the loop writes."""
    many = 60 if subject.served else subject.many
    await cache.set_many({f"key:{number}": 1 for number in range(many)})
    async with cache.transaction(mode):
        await cache.set("key:new", 1)
        await cache.delete("key:0")
        seen = []
        async for key in cache.scan("key:*", batch_size=10):
            seen.append(key)
            await cache.set(key, 2)
        assert len(seen) == len(set(seen)) == many
        pairs = [pair async for pair in cache.get_match("key:*")]
        assert len(pairs) == len(dict(pairs)) == many
        assert {value for _, value in pairs} == {2}


@pytest.mark.over_slots
async def test_what_is_deleted_during_a_scan_is_not_shown_by_it(cache, subject):
    """Guarantee 15."""
    many = 60 if subject.served else subject.many
    await cache.set_many({f"key:{number}": 1 for number in range(many)})
    async with cache.transaction():
        scan = cache.get_match("key:*", batch_size=10)
        first, _ = await anext(scan)
        await cache.delete_match("key:*")
        rest = [key async for key, _ in scan]
    assert len({first, *rest}) == len(rest) + 1 < many


@pytest.mark.over_slots
@pytest.mark.parametrize("remove", ["clear", "delete_match"])
async def test_clear_and_patterns_are_part_of_the_transaction(cache, outside, mode, remove):
    """D81."""
    await cache.set("old", 1)
    async with cache.transaction(mode) as tx:
        await cache.set("new", 1)
        await (cache.clear() if remove == "clear" else cache.delete_match("*"))
        assert await cache.get_keys_count() == 0
        assert await outside(cache.get, "old") == 1
        tx.rollback()
        assert await cache.get("old") == 1
        await (cache.clear() if remove == "clear" else cache.delete_match("*"))
    assert await cache.get_keys_count() == 0


async def test_deleting_says_what_was_there(cache, mode):
    """D82."""
    await cache.set("k", 1)
    async with cache.transaction(mode):
        assert await cache.delete("k")
        assert not await cache.delete("k")
        assert not await cache.delete("absent")


async def test_a_switch_holds_in_a_transaction(cache, mode):
    """Guarantee 19; D32."""
    await cache.set("k", "old")
    async with cache.transaction(mode):
        with cache.disabling(Command.SET):
            assert not await cache.set("k", "new")
        cache.disable(Command.INCR)
        assert await cache.incr("n") == 0
        cache.enable(Command.INCR)
        with cache.disabling(Command.GET):
            assert await cache.get("k") is None
    assert await cache.get_many("k", "n") == ("old", None)


async def test_bits_windows_and_limits_are_what_they_are_outside(cache):
    """Guarantee 15: they are no part of it."""
    with pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction():
            await cache.incr_bits("bits", 1)
            await cache.slice_incr("window", 0, 1, 10, expire=10)
            raise FailedError
    assert await cache.get_bits("bits", 1) == (1,)
    assert await cache.exists("window")


async def test_a_command_that_fails_leaves_what_was_kept(cache, mode):
    """Guarantee 15."""
    async with cache.transaction(mode):
        await cache.set("text", "x")
        with pytest.raises(WrongTypeError, match="text'"):
            await cache.incr("text")
    assert await cache.get("text") == "x"


async def test_a_transaction_of_a_closed_cache_applies_nothing():
    """Guarantee 28."""
    async with SUBJECTS["mem"].open(VirtualClock()) as cache:
        with pytest.raises(CacheClosedError):  # noqa: PT012  what ends the block is the subject
            async with cache.transaction() as tx:
                await cache.set("k", 1)
                await cache.close()
        assert tx.outcome is CommitOutcome.ABORTED
        await cache.init()
        assert await cache.get("k") is None


async def test_a_commit_is_seen_whole(cache, mode):
    """Guarantee 15: a reader sees all of it, or nothing."""
    await cache.set_many({"a": 0, "b": 0})
    seen = []
    writing = True

    async def read():
        while writing:
            seen.append(await cache.get_many("a", "b"))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        number = 0
        while number < 50 or len(seen) < 10:  # a store that reads in a thread may be slow at that
            number += 1
            async with cache.transaction(mode):
                await cache.set("a", number)
                await anyio.lowlevel.checkpoint()
                await cache.set("b", number)
        writing = False
    assert all(a == b for a, b in seen)


async def test_an_ended_transaction_refuses_use(cache):
    """Guarantee 17."""
    async with cache.transaction() as tx:
        await cache.set("k", 1)
    for late in (tx.commit, tx.rollback):
        with pytest.raises(TransactionError, match="committed"):
            await late()


@pytest.mark.parametrize("writes", [1, 2_000], ids=["short", "long"])
async def test_a_commit_names_locks_without_a_token_that_have_to_be_free(cache, writes):
    """Guarantee 16; a lock with a token has to be held, and is free afterwards."""
    backend = inside(cache).backend()
    keys = tuple(f"{{k}}{number}" for number in range(writes))

    def commit(value):
        locks = (("{k}free", ""), ("{k}held", "token"))
        return backend.ask(Commit(locks, tuple(Set(key, value) for key in keys)))

    assert await commit(1) is CommitOutcome.LOST
    await backend.set_lock("{k}held", "token", 100)
    assert await commit(2) is CommitOutcome.COMMITTED
    assert await backend.get_many(*keys) == (2,) * writes
    await backend.set_lock("{k}held", "token", 100)
    await backend.set_lock("{k}free", "another", 100)
    assert await commit(3) is CommitOutcome.LOST
    assert await backend.get_many(*keys) == (2,) * writes
    assert await backend.is_locked("{k}held")
    assert await backend.is_locked("{k}free")
