"""Keys that a transaction writes without reading them: its commit looks whether another holds their locks.

Two caches of one store stand for two processes.
"""

from __future__ import annotations

import anyio
import pytest

from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import LockedError, TransactionConflictError
from cashews.messages import CommitOutcome
from tests.internals import inside
from tests.subjects import each
from tests.transactions.conftest import SERIALIZABLE

shared = pytest.mark.parametrize("subject", each(["redis", "redis-cluster-one-slot", "disk"]), indirect=True)
isolated = pytest.mark.parametrize(
    "mode", [TransactionMode.LOCKED, SERIALIZABLE], indirect=True, ids=lambda mode: mode.value
)
pytestmark = shared
SOON = 1
"""Seconds after which a waiter has looked at a free lock again, also on disk."""


@pytest.fixture(autouse=True)
async def nothing_is_left(cache, neighbour, held):
    yield
    for each_cache in (cache, neighbour):
        assert held(each_cache) == 0
        assert inside(each_cache).held() == {}
        assert each_cache.statistics().leases == 0


@isolated
async def test_a_commit_waits_for_the_transaction_that_has_read_its_key(cache, neighbour, clock, mode):
    """Guarantee 16: nothing is written between the read of another and its write; the time to live goes on."""

    async def read_and_write():
        async with neighbour.transaction(mode):
            value = await neighbour.get("k", 0)
            await clock.sleep(2)
            await neighbour.set("k", value + 1)
            await neighbour.set("seen", value)

    async def write():
        async with cache.transaction(mode) as tx:
            await cache.set("k", 10, expire=100)
            await cache.delete_many("seen")
        assert tx.outcome is CommitOutcome.COMMITTED

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_and_write)
        await clock.advance(0.5)
        tasks.start_soon(write)
        await clock.advance(1)
        assert await cache.get("k") is None
        await clock.advance(1 + SOON)
    assert await cache.get_many("k", "seen") == (10, None)
    assert await cache.get_expire("k") == 97  # it counts from the `set`


@isolated
async def test_the_wait_of_a_commit_ends_by_the_timeout(cache, neighbour, clock, mode):
    """Guarantee 16: nothing is applied, and the others find everything free."""
    failed = []

    async def read():
        async with neighbour.transaction(mode):
            await neighbour.get("k")
            await clock.sleep(5)

    async def write():
        tx = None
        try:
            async with cache.transaction(mode, timeout=2) as tx:
                await cache.set("j", 1)
                await cache.set("k", 1)
        except LockedError:
            failed.append(tx.outcome)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await clock.settle()
        tasks.start_soon(write)
        await clock.advance(1.5)
        assert failed == []
        await clock.advance(1)
        assert failed == [CommitOutcome.ABORTED]
        await clock.advance(3)
    assert await cache.get_many("k", "j") == (None, None)


@isolated
async def test_no_write_skew_passes_between_two_caches(cache, neighbour, clock, mode):
    """Guarantee 16: of two doctors on call, each goes home if the other stays; nobody reads the own key."""
    await cache.set_many({"ann": "on call", "bob": "on call"})

    async def go_home(own, who, other):
        try:
            async with own.transaction(mode, timeout=3):
                on_call = await own.get(other) == "on call"
                await clock.sleep(1)
                if on_call:
                    await own.set(who, "at home")
        except LockedError:
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_home, cache, "ann", "bob")
        tasks.start_soon(go_home, neighbour, "bob", "ann")
        await clock.advance(10)
    assert sorted(await cache.get_many("ann", "bob")) in (["at home", "on call"], ["on call", "on call"])


async def test_a_deadlock_of_two_commits_ends_by_the_timeout(cache, neighbour, clock):
    """Guarantee 16: each has read the key that the other writes."""
    ends = {}

    async def party(own, name, read, written, patience):
        try:
            async with own.transaction(timeout=patience) as tx:
                await own.get(read)
                await clock.sleep(1)
                await own.set(written, name)
        except LockedError:
            ends[name] = "locked"
        else:
            ends[name] = tx.outcome.value

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(party, cache, "one", "a", "b", 5)
        tasks.start_soon(party, neighbour, "other", "b", "a", 20)
        await clock.advance(4)
        assert ends == {}
        await clock.advance(1 + SOON)
        assert ends == {"one": "locked", "other": "committed"}
    assert await cache.get_many("a", "b") == ("other", None)


async def test_writers_of_one_key_wait_in_their_own_process_alone(cache, neighbour, clock):
    """Guarantee 16: the last commit is the last."""
    ended = []

    async def write(own, name, seconds):
        async with own.transaction():
            await own.set("k", name)
            await clock.sleep(seconds)
            await own.set("also", name)
        ended.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, cache, "slow", 3)
        await clock.settle()
        tasks.start_soon(write, neighbour, "of the other process", 1)
        tasks.start_soon(write, cache, "behind", 1)
        await clock.advance(2)
        assert ended == ["of the other process"]
        assert await cache.get_many("k", "also") == (("of the other process",) * 2)
        await clock.advance(3)
    assert ended == ["of the other process", "slow", "behind"]
    assert await cache.get_many("k", "also") == ("behind", "behind")


async def test_a_key_that_is_read_after_all_is_locked_in_the_store(cache, neighbour, clock):
    """Guarantee 16: a counter, a condition, and a read in a transaction that has forgotten its writes."""

    async def add(own, seconds):
        async with own.transaction():
            await own.set("other", 1)
            await own.set("n", 0)
            async with own.transaction() as tx:
                await tx.rollback()
            count = await own.get("n", 0)
            await own.set("once", 1, exist=False)
            await clock.sleep(seconds)
            await own.set("n", count + 1)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            for each_cache in (cache, neighbour):
                tasks.start_soon(add, each_cache, 0.5)
        await clock.advance(9)
    assert await cache.get("n") == 6


async def test_a_key_that_was_written_is_locked_once_it_is_rolled_back_and_read(cache, neighbour, clock):
    """Guarantee 16: the rollback is not awaited, so the key stays this transaction's."""
    async with anyio.create_task_group() as tasks:
        async with cache.transaction() as tx:
            await cache.set("k", 1)
            tx.rollback()
            count = await cache.get("k", 0)
            tasks.start_soon(neighbour.transaction()(neighbour.incr), "k")
            await clock.advance(1)
            await cache.set("k", count + 1)
        await clock.advance(SOON)
    assert await cache.get("k") == 2


async def test_a_commit_in_between_does_not_give_a_key_away_that_another_task_reads(cache, neighbour, clock):
    """Guarantee 16: while the task waited for the lock in the store, the key was committed and released."""
    read = []

    async def hold():
        async with neighbour.transaction():
            await neighbour.get("k")
            await clock.sleep(2)
            await neighbour.set("k", 5)

    async def read_and_write():
        await cache.expire("k", 100)  # it wants to know the key, which is held for the write of the first task
        read.append(await cache.get("k"))
        await clock.sleep(1)
        await cache.set("k", read[0] + 1)

    async with anyio.create_task_group() as tasks:
        async with cache.transaction() as tx:
            await cache.set("k", 1)
            tx.rollback()
            await cache.set("j", 1)
            tasks.start_soon(hold)
            await clock.settle()
            async with anyio.create_task_group() as children:
                children.start_soon(read_and_write)
                await clock.settle()
                children.start_soon(tx.commit)
                await clock.advance(3 + SOON)
                tasks.start_soon(neighbour.transaction()(neighbour.incr), "k", 10)
                await clock.advance(4)
        await clock.advance(4)
    assert read == [5]
    assert await cache.get("k") == 16


@pytest.mark.over_slots
async def test_a_serializable_commit_waits_for_the_turn_of_one_that_has_read(cache, neighbour, clock):
    """Guarantee 16: whatever both touch."""
    ended = []

    async def read():
        async with neighbour.transaction(TransactionMode.SERIALIZABLE):
            await neighbour.get("a")
            await clock.sleep(2)
        ended.append("reader")

    async def write():
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            await cache.set("b", 1)
        ended.append("writer")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await clock.settle()
        tasks.start_soon(write)
        await clock.advance(1)
        assert ended == []
        await clock.advance(1 + SOON)
    assert ended == ["reader", "writer"]


@pytest.mark.over_slots
@pytest.mark.parametrize("read", ["get", "scan", "get_keys_count", "delete_match", "function"])
async def test_serializable_transactions_read_one_at_a_time(cache, neighbour, clock, read):
    """Guarantee 16: also what they read without a lock of its key."""
    running, most = 0, []

    async def run(own):
        nonlocal running

        @own(ttl=100, key="remembered")
        async def remembered():
            return 1

        async with own.transaction(TransactionMode.SERIALIZABLE):
            if read == "function":
                await remembered()
            elif read == "scan":
                assert [key async for key in own.scan("*")] == ["k"]
            else:
                await getattr(own, read)(*{"get": ["k"], "delete_match": ["other*"]}.get(read, []))
            running += 1
            most.append(running)
            await clock.sleep(1)
            running -= 1

    await cache.set("k", 1)
    async with anyio.create_task_group() as tasks:
        for each_cache in (cache, neighbour, cache, neighbour):
            tasks.start_soon(run, each_cache)
        await clock.advance(12)
    assert most == [1, 1, 1, 1]


@pytest.mark.over_slots
async def test_a_serializable_transaction_that_waits_for_its_turn_holds_no_key(cache, neighbour, clock):
    """Guarantee 16."""
    read = []

    async def first():
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            await cache.get("a")
            await clock.sleep(1)
            await cache.get("b")
            read.append("first")

    async def second():
        async with neighbour.transaction(TransactionMode.SERIALIZABLE):
            await neighbour.get("b")
            read.append("second")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await clock.settle()
        tasks.start_soon(second)
        await clock.advance(1 + SOON)
    assert read == ["first", "second"]


@pytest.mark.over_slots
@isolated
@pytest.mark.parametrize("first", ["scan", "set"])
async def test_what_was_read_by_a_pattern_locks_what_is_written(cache, neighbour, clock, mode, first):
    """Guarantee 16: each reads what the other writes, one of them by a pattern."""
    ends = []

    async def scanner():
        try:
            async with cache.transaction(mode, timeout=8):
                if first == "set":
                    await cache.set("flag", "from the scanner")
                users = [key async for key in cache.scan("user:*")]
                await clock.sleep(1)
                await cache.set("flag", f"{len(users)} users")
        except (LockedError, TransactionConflictError):
            ends.append("scanner failed")

    async def adder():
        await clock.sleep(0.5)
        try:
            async with neighbour.transaction(mode, timeout=4):
                flag = await neighbour.get("flag")
                await clock.sleep(2)
                await neighbour.set("user:1", flag)
        except LockedError:
            ends.append("adder failed")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scanner)
        tasks.start_soon(adder)
        await clock.advance(15)
    flag, user = await cache.get_many("flag", "user:1", default="absent")
    assert (flag, user) in {
        ("0 users", "0 users"),  # first the scanner, then the adder
        ("absent", None),  # the adder alone: it read nothing
        ("0 users", "absent"),
    }, ends


async def test_tags_are_deleted_in_a_commit_without_locks(cache, neighbour, subject):
    """Guarantee 18; a value that was written unread replaces its tags."""
    if subject.is_clustered:
        return
    await neighbour.set("a", 1, tags=["t"])
    await neighbour.set("b", 1, tags=["t"])
    async with cache.transaction():
        await cache.set("b", 2)
        await cache.delete_tags("t")
        await cache.set("c", 3, tags=["t"])
    assert await neighbour.get_many("a", "b", "c") == (None, 2, 3)
    await neighbour.delete_tags("t")
    assert await cache.get_many("a", "b", "c") == (None, 2, None)
