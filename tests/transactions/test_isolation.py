"""What transactions keep from each other: no lost update, no write skew, no deadlock that lasts."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import LockedError, LockLostError
from cashews.messages import CommitOutcome
from tests.internals import inside
from tests.servers import LOCK, lock_of
from tests.subjects import each
from tests.transactions.conftest import SERIALIZABLE

ISOLATED = [TransactionMode.LOCKED, SERIALIZABLE]
isolated = pytest.mark.parametrize("mode", ISOLATED, indirect=True, ids=lambda mode: mode.value)
on_server = pytest.mark.parametrize("subject", each(["redis"]), indirect=True)


class Parties:
    """Transactions that go on when they are told to, and what became of each."""

    def __init__(self, cache, clock, tasks):
        self.cache, self.clock, self.tasks = cache, clock, tasks
        self.ends = {}
        self.gates = {}

    def start(self, name, *keys, mode=TransactionMode.LOCKED, patience=10):
        """Have a transaction add one to each key, after a gate each."""
        self.gates[name] = [anyio.Event() for _ in keys]
        self.tasks.start_soon(self._run, name, keys, mode, patience)

    async def _run(self, name, keys, mode, patience):
        try:
            async with self.cache.transaction(mode, timeout=patience) as tx:
                for key, gate in zip(keys, self.gates[name], strict=True):
                    await gate.wait()
                    await self.cache.set(key, await self.cache.get(key, 0) + 1)
        except LockedError as error:
            self.ends[name] = error
        else:
            self.ends[name] = tx.outcome

    async def open(self, name, gate):
        self.gates[name][gate].set()
        await self.clock.settle()

    @property
    def failed(self):
        return [name for name, end in self.ends.items() if isinstance(end, LockedError)]


@pytest.fixture
async def parties(cache, clock, held):
    async with anyio.create_task_group() as tasks:
        yield Parties(cache, clock, tasks)
    assert held(cache) == 0
    assert inside(cache).held() == {}
    assert cache.statistics().leases == 0


async def add_one(cache, key):
    value = await cache.get(key, 0)
    await checkpoint()
    await cache.set(key, value + 1)


@isolated
async def test_reading_and_writing_what_was_read_loses_no_update(cache, mode, held):
    """Guarantee 16; D79."""
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(cache.transaction(mode)(add_one), cache, "n")
    assert await cache.get("n") == 50
    assert held(cache) == 0


async def test_increments_are_added_in_every_mode(cache, mode):
    """Guarantee 15."""

    @cache.transaction(mode)
    async def add():
        await cache.incr("n")
        await checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(add)
    assert await cache.get("n") == 50


@isolated
async def test_no_write_skew_passes(cache, mode):
    """Guarantee 16: of two doctors on call, each goes home if the other stays."""
    await cache.set_many({"a": 1, "b": 1})

    @cache.transaction(mode)
    async def go_home(who):
        on_call = sum(await cache.get_many("a", "b"))
        await checkpoint()
        if on_call == 2:
            await cache.set(who, 0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_home, "a")
        tasks.start_soon(go_home, "b")
    assert sum(await cache.get_many("a", "b")) == 1


async def test_fast_transactions_wait_for_nobody(cache, held):
    """Guarantee 16: atomic, and that is all."""
    async with cache.transaction(TransactionMode.FAST):
        await cache.set("k", 1)
        await cache.get("other")
        assert held(cache) == 0


@pytest.mark.over_slots
async def test_serializable_transactions_run_one_at_a_time(cache, clock):
    """Guarantee 16: whatever they touch."""
    running = []

    @cache.transaction(TransactionMode.SERIALIZABLE)
    async def run(key):
        running.append(key)
        await cache.set(key, len(running))
        await clock.sleep(1)
        running.remove(key)

    async with anyio.create_task_group() as tasks:
        for key in "abc":
            tasks.start_soon(run, key)
        await clock.advance(5)
    assert await cache.get_many("a", "b", "c") == (1, 1, 1)


@pytest.mark.over_slots
async def test_a_serializable_transaction_waits_for_its_turn_again_after_a_commit(cache, clock):
    """Guarantee 16."""
    order = []

    async def first():
        async with cache.transaction(TransactionMode.SERIALIZABLE) as tx:
            order.append("first")
            await clock.sleep(1)
            await tx.commit()
            await clock.sleep(1)
            await cache.get("k")
            order.append("first again")

    async def second():
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            order.append("second")
            await clock.sleep(5)
            order.append("second is done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await clock.settle()
        tasks.start_soon(second)
        await clock.advance(10)
    assert order == ["first", "second", "second is done", "first again"]


@pytest.mark.over_slots
async def test_the_other_modes_are_locked_out_of_a_serializable_transaction_key_by_key(parties, cache):
    """Guarantee 16."""
    parties.start("serial", "k", "j", mode=TransactionMode.SERIALIZABLE)
    parties.start("locked", "k")
    await parties.open("serial", 0)
    await parties.open("locked", 0)
    assert parties.ends == {}
    await parties.open("serial", 1)
    assert parties.ends == {"serial": CommitOutcome.COMMITTED, "locked": CommitOutcome.COMMITTED}
    assert await cache.get("k") == 2


@pytest.mark.parametrize("count", [2, 3, 5])
async def test_a_deadlock_is_found_at_once_and_one_of_its_parties_fails(parties, cache, clock, count):
    """Guarantee 16; D80: no time passes."""
    began = clock.now()
    for number in range(count):
        parties.start(number, f"key:{number}", f"key:{(number + 1) % count}")
        await parties.open(number, 0)
    for number in range(count):
        await parties.open(number, 1)
    assert parties.failed == [count - 1]
    assert "deadlock" in str(parties.ends[count - 1])
    assert len(parties.ends) == count
    assert clock.now() == began
    assert sum(await cache.get_many(*(f"key:{number}" for number in range(count)))) == 2 * (count - 1)


async def test_waiting_behind_others_is_no_deadlock(parties, cache):
    """Guarantee 16: who waits last, waits for those before it, and they for nobody."""
    for name in "abcd":
        parties.start(name, "k", "j")
    for name in "abcd":
        await parties.open(name, 0)
    for name in "abcd":
        await parties.open(name, 1)
    assert parties.failed == []
    assert await cache.get_many("k", "j") == (4, 4)


async def test_a_deadlock_by_way_of_the_queue_is_found(cache, clock):
    """Guarantee 16: whom the lock goes to next counts as well, not only who has it."""
    failed = []

    async def ahead():
        async with cache.transaction(), anyio.create_task_group() as tasks:
            tasks.start_soon(cache.get, "contended")
            await clock.sleep(2)
            try:
                await cache.get("of the other")
            except LockedError:
                failed.append("ahead")
                tasks.cancel_scope.cancel()

    async def behind():
        await clock.sleep(1)
        async with cache.transaction():
            await cache.get("of the other")
            await cache.get("contended")

    async def holder():
        async with cache.transaction():
            await cache.get("contended")
            await clock.sleep(5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder)
        await clock.settle()
        tasks.start_soon(ahead)
        tasks.start_soon(behind)
        await clock.advance(3)
        assert failed == ["ahead"]
        await clock.advance(3)


async def test_who_waits_behind_is_no_reason_for_a_deadlock(cache, clock):
    """Guarantee 16: one waits for a key behind another and holds up nobody: only those before a waiter count."""
    read = []

    async def holder():
        async with cache.transaction():
            await cache.get("contended")
            await clock.sleep(5)

    async def first():
        async with cache.transaction():
            await cache.get("wanted")
            await cache.get("contended")

    async def second():
        async with cache.transaction(), anyio.create_task_group() as tasks:
            tasks.start_soon(cache.get, "contended")
            await clock.sleep(1)
            read.append(await cache.get("wanted", "read"))

    async with anyio.create_task_group() as tasks:
        for party in (holder, first, second):
            tasks.start_soon(party)
            await clock.settle()
        await clock.advance(6)
    assert read == ["read"]


async def test_set_many_locks_in_an_order_that_all_share(cache):
    """D80."""

    @cache.transaction()
    async def write(names):
        await cache.set_many(dict.fromkeys(names, names))

    async with anyio.create_task_group() as tasks:
        for names in ("abc", "cba", "bca", "cab") * 5:
            tasks.start_soon(write, names)
    assert len(set(await cache.get_many("a", "b", "c"))) == 1


async def test_waiting_ends_at_the_timeout(parties, clock, cache):
    """Guarantee 16; D80: an expired wait is an error, and whoever has the lock keeps it."""
    parties.start("long", "k", "j", patience=100)
    parties.start("short", "k", patience=2)
    await parties.open("long", 0)
    await parties.open("short", 0)
    await clock.advance(1.9)
    assert parties.ends == {}
    await clock.advance(0.2)
    assert parties.failed == ["short"]
    await parties.open("long", 1)
    assert parties.ends["long"] is CommitOutcome.COMMITTED
    assert await cache.get("k") == 1


async def test_a_lock_lasts_as_long_as_its_transaction(parties, clock, cache):
    """Guarantee 16; D80: not only until the timeout."""
    parties.start("long", "k", "j", patience=1)
    parties.start("next", "k", patience=100)
    await parties.open("long", 0)
    await clock.advance(20)
    await parties.open("next", 0)
    await clock.advance(20)
    assert parties.ends == {}
    await parties.open("long", 1)
    await clock.advance(1)
    assert parties.ends == {"long": CommitOutcome.COMMITTED, "next": CommitOutcome.COMMITTED}
    assert await cache.get("k") == 2


async def test_tasks_of_one_transaction_share_its_locks(cache, held):
    """Guarantee 16: they do not wait for each other's transaction, which would be for ever."""
    async with cache.transaction():
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(cache.incr, "n")
                tasks.start_soon(cache.get_many, "n", "m")
        assert await cache.get("n") == 5
        assert held(cache) == 2
    assert await cache.get("n") == 5


async def test_tasks_of_one_transaction_wait_together_for_anothers_lock(cache, clock):
    """Guarantee 16."""
    answers = []

    async def read():
        answers.append(await cache.get("k"))

    async def hold():
        async with cache.transaction():
            await cache.set("k", "new")
            await clock.sleep(1)

    async def wait():
        async with cache.transaction(), anyio.create_task_group() as readers:
            for _ in range(3):
                readers.start_soon(read)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await clock.settle()
        tasks.start_soon(wait)
        await clock.settle()
        assert answers == []
        await clock.advance(2)
    assert answers == ["new"] * 3


async def test_who_waits_is_served_in_turn(clock, cache):
    """Guarantee 14."""
    order = []

    async def party(name):
        async with cache.transaction():
            await cache.get("k")
            order.append(name)
            await clock.sleep(1)

    async with anyio.create_task_group() as tasks:
        for name in "abcde":
            tasks.start_soon(party, name)
            await clock.settle()
        await clock.advance(10)
    assert order == list("abcde")


async def test_a_commit_in_between_does_not_take_the_locks_of_a_task_that_waits(cache, clock):
    """Guarantee 16: of two keys, one was committed and released while the other was waited for."""
    seen = []

    async def hold():
        async with cache.transaction():
            await cache.set("b", 10)
            await clock.sleep(1)

    async def both():
        seen.append(await cache.get_many("a", "b"))
        await clock.sleep(1)
        await cache.set("a", 1)

    async def interfere():
        await clock.sleep(1.5)
        async with cache.transaction():
            await cache.incr("a", 5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        tasks.start_soon(interfere)
        await clock.settle()
        async with cache.transaction() as tx:
            await cache.get("a")
            async with anyio.create_task_group() as children:
                children.start_soon(both)
                await clock.settle()
                await tx.commit()
                await clock.advance(5)
    assert seen == [(None, 10)]
    assert await cache.get("a") == 6


async def test_what_a_task_writes_while_another_commits_is_in_the_next_commit(cache):
    """Guarantee 17: nothing that was written while the transaction was open is lost."""
    async with cache.transaction() as tx:
        await cache.set("first", 1)

        async def write():
            for number in range(20):
                await cache.set(f"key:{number}", number)
                await cache.incr("n")
                await checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(10):
                await checkpoint()
                await tx.commit()
    assert await cache.get("n") == 20
    assert await cache.get_many(*(f"key:{number}" for number in range(20))) == tuple(range(20))
    assert cache.statistics().leases == 0


# --- across processes


@on_server
@isolated
async def test_no_update_is_lost_between_two_caches(cache, neighbour, clock, mode):
    """Guarantee 16."""
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            for each_cache in (cache, neighbour):
                tasks.start_soon(each_cache.transaction(mode)(add_one), each_cache, "n")
        await clock.advance(1)
    assert await cache.get("n") == 10


@on_server
async def test_a_deadlock_between_two_caches_ends_by_the_timeout(cache, neighbour, clock):
    """Guarantee 16."""
    failed = []

    async def party(own, first, second, patience):
        try:
            async with own.transaction(timeout=patience):
                await own.get(first)
                await clock.sleep(1)
                await own.set(second, 1)
        except LockedError:
            failed.append(own)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(party, cache, "a", "b", 5)
        tasks.start_soon(party, neighbour, "b", "a", 20)
        await clock.advance(4)
        assert failed == []
        await clock.advance(2)
        assert failed == [cache]
    assert await cache.get("a") == 1


@on_server
@isolated
async def test_a_lock_that_another_has_taken_refuses_the_commit(cache, server, mode):
    """Guarantee 16: tokens are compared where everything is applied."""
    with pytest.raises(LockLostError, match=r"k\\x00transaction"):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode) as tx:
            await cache.set("j", 1)
            await cache.set("k", await cache.get("k", 0) + 1)
            server.command("SET", lock_of("k\0transaction"), "another")
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get_many("k", "j") == (None, None)
    assert server.command("KEYS", b"*" + LOCK) == [lock_of("k\0transaction")]


@pytest.mark.parametrize("subject", each(["disk", "disk-sharded-signed"]), indirect=True)
@isolated
async def test_a_lock_that_is_gone_from_the_files_refuses_the_commit(cache, subject, mode):
    """Guarantee 16: tokens are compared in the transaction that applies the writes."""
    with pytest.raises(LockLostError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction(mode) as tx:
            await cache.set("j", 1)
            await cache.set("k", await cache.get("k", 0) + 1)
            for path in subject.options["directory"].rglob("cache.db"):
                with closing(sqlite3.connect(path)) as connection, connection:
                    connection.execute("DELETE FROM cashews_locks")
    assert tx.outcome is CommitOutcome.ABORTED
    assert await cache.get_many("k", "j") == (None, None)


@on_server
async def test_a_lock_of_what_was_only_read_counts_as_well(cache, server):
    """Guarantee 16: a server that was started anew knows no locks."""
    with pytest.raises(LockLostError):  # noqa: PT012  what ends the block is the subject
        async with cache.transaction() as tx:
            await cache.get("read")
            server.command("FLUSHALL")
    assert tx.outcome is CommitOutcome.ABORTED


@on_server
async def test_two_sets_take_one_round_trip(cache):
    """Guarantee 16: the commit looks whether anybody has a lock of their keys."""

    async def asked(mode, write):
        before = cache.statistics().backends[""]["commands"]
        async with cache.transaction(mode):
            await write()
        return cache.statistics().backends[""]["commands"] - before

    async def write():
        await cache.set("a", 1)
        await cache.set_raw("b", b"2")
        await cache.set_many({"c": 3, "d": 4})
        await cache.delete_many("e", "f")
        assert await cache.get_many("a", "c", "e") == (1, 3, None)
        assert await cache.exists("a")
        assert await cache.incr("c") == 4

    async def read_and_write():
        await cache.get("a")
        await cache.set("b", 1)

    async def rest():
        pass

    await cache.transaction()(cache.get)("k")  # the server gets to know the scripts
    await cache.transaction()(cache.set)("k", 1)
    assert [await asked(mode, write) for mode in TransactionMode] == [1, 1, 1]
    assert [await asked(mode, rest) for mode in TransactionMode] == [0, 0, 0]
    assert [await asked(mode, read_and_write) for mode in TransactionMode] == [2, 3, 4]


@on_server
async def test_reading_only_gives_all_locks_back_in_one_round_trip(cache):
    """Guarantee 16."""
    await cache.transaction()(cache.get)("k")
    async with cache.transaction():
        await cache.get_many("a", "b", "c")
        before = cache.statistics().backends[""]["commands"]
    assert cache.statistics().backends[""]["commands"] - before == 1
