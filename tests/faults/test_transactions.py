"""Transactions when the server fails: what was not applied is never said to be, and nothing is applied by half."""

from __future__ import annotations

import re

import anyio
import pytest

from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import CacheBackendInteractionError, LockLostError, WrongTypeError
from cashews.messages import CommitOutcome
from tests.faults.proxy import PATIENCE, until
from tests.faults.test_recovery import up_again
from tests.faults.test_refusals import out_of_memory, read_only, repaired
from tests.internals import inside
from tests.servers import LOCK

pytestmark = pytest.mark.redis
SUPPRESS = pytest.mark.parametrize("suppress", [True, False], ids=["suppressed", "raised"])
READS = pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
MODES = pytest.mark.parametrize("mode", TransactionMode, ids=lambda mode: mode.value)
ISOLATED = pytest.mark.parametrize(
    "mode", [TransactionMode.LOCKED, TransactionMode.SERIALIZABLE], ids=lambda mode: mode.value
)


@pytest.fixture
async def strict(proxy, opened):
    """A cache behind the proxy that raises what fails."""
    async with opened(proxy.url, suppress=False) as cache:
        await warm(cache)
        yield cache


@pytest.fixture
async def cache(proxy, opened):
    async with opened(proxy.url) as cache:
        await warm(cache)
        yield cache


async def warm(cache):
    """Have the server know the scripts: what is cut afterwards is what the test says."""
    for mode in TransactionMode:
        async with cache.transaction(mode):
            await cache.incr("warm", expire=100)
            await cache.get("warm")


def stored(server):
    return server.commands(("GET", "a"), ("GET", "b"))


def locks(server):
    return server.command("KEYS", b"*" + LOCK)


async def write_two(cache):
    await cache.set("a", 1)
    await cache.set("b", 1)


async def ended(cache, mode, body):
    """Return a transaction, and the failure that it ended with."""
    error = None
    try:
        async with cache.transaction(mode) as tx:
            await body()
    except CacheBackendInteractionError as failure:
        error = failure
    return tx, error


# --- the server is not there


@MODES
async def test_in_a_suppressed_outage_the_block_runs_and_the_outcome_says_aborted(proxy, cache, server, mode):
    """Guarantee 22: nothing is raised."""
    await proxy.refuse()
    proxy.cut()
    with anyio.fail_after(PATIENCE):
        async with cache.transaction(mode) as tx:
            assert await cache.set("a", 1)
            assert await cache.get("b") is None
            assert not await cache.set("a", 1)
        assert tx.outcome is CommitOutcome.ABORTED
        async with cache.transaction(mode) as tx:
            assert await cache.set("a", 1)
        assert tx.outcome is CommitOutcome.ABORTED
    await proxy.listen()
    assert stored(server) == [None, None]


@MODES
async def test_an_outage_that_is_not_suppressed_is_raised(proxy, strict, mode):
    """Guarantee 22."""
    await proxy.refuse()
    proxy.cut()
    with anyio.fail_after(PATIENCE), pytest.raises(CacheBackendInteractionError):
        async with strict.transaction(mode):
            await strict.set("a", 1)


@MODES
async def test_what_could_not_be_read_leads_to_no_commit(proxy, cache, server, clock, mode):
    """Guarantee 22: a suppressed failure looks like an absent value, and what is written then may rest on it."""
    server.command("SET", "balance", "100")
    async with cache.transaction(mode) as tx:
        if mode is not TransactionMode.FAST:
            await cache.set("a", 1)  # its lock is there
        await proxy.refuse()
        proxy.cut()
        balance = await cache.get("balance", 0)
        await proxy.listen()
        await up_again(cache, clock)
        await cache.set("balance", balance + 1)
    assert tx.outcome is CommitOutcome.ABORTED
    assert server.command("GET", "balance") == b"100"


async def test_a_wrong_type_is_raised_though_failures_are_suppressed_and_dooms_nothing(cache, server):
    """Guarantee 22: it is a mistake of the program."""
    server.command("SADD", "set", "x")
    async with cache.transaction() as tx:
        with pytest.raises(WrongTypeError):
            await cache.incr("set")
        await cache.set("a", 1)
    assert tx.outcome is CommitOutcome.COMMITTED
    assert server.command("GET", "a") == b"1"


async def test_a_wrong_type_is_raised_where_failures_are(strict, server):
    server.command("SADD", "set", "x")
    async with strict.transaction():
        with pytest.raises(WrongTypeError):
            await strict.incr("set")


# --- the connection breaks during the commit


@SUPPRESS
@MODES
@READS
async def test_a_commit_whose_reply_is_lost_is_unknown(proxy, opened, server, mode, suppress, reads):  # noqa: PLR0917  fixtures
    """Guarantee 16: it was applied, whole. One without locks is refused from then on, by a lock of its own."""
    async with opened(proxy.url, suppress=suppress) as cache:
        await warm(cache)

        async def body():
            if reads:
                await cache.get("a")
            await write_two(cache)
            proxy.cut_after(0)

        tx, error = await ended(cache, mode, body)
        assert error is None if suppress else error.unknown
        assert tx.outcome is CommitOutcome.UNKNOWN
        assert tx.outcomes == {"": CommitOutcome.UNKNOWN}
        assert stored(server) == [b"1", b"1"]
        assert len(locks(server)) == (not reads and mode is not TransactionMode.FAST)
        assert all(re.search(b"\0transaction[0-9a-f]{32}", lock) for lock in locks(server))
        assert cache.statistics().leases == 0


@MODES
async def test_a_commit_that_did_not_get_there_is_unknown_too_and_applies_nothing(proxy, opened, server, mode):
    """Guarantee 16: from here it looks the same."""
    async with opened(proxy.url) as cache:
        await warm(cache)
        async with cache.transaction(mode) as tx:
            await write_two(cache)
            proxy.deaf = True

            async def cut():
                await until(lambda: cache.statistics().backends[""]["in_flight"])
                proxy.cut()
                proxy.recover()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cut)
                await tx.commit()
        assert stored(server) == [None, None]
        assert tx.outcomes == {"": CommitOutcome.UNKNOWN}


@ISOLATED
@READS
class TestLateCommits:
    """Commits that come to the server after their connection has gone."""

    @pytest.fixture
    async def late(self, proxy, cache, mode, reads):
        """``await late(gone=...)``: the bytes of a commit that did not get there, its outcome being unknown.

        :param gone: whether the server is out of reach from then on
        """

        async def cut(gone):
            await until(lambda: proxy.late)
            if gone:
                await proxy.refuse()
            letter, proxy.late = proxy.late, None
            letters.extend(letter)
            proxy.cut()

        async def commit(*, gone):
            async with cache.transaction(mode) as tx:
                if reads:
                    await cache.get("a")
                await write_two(cache)
                proxy.late = []
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cut, gone)
                    await tx.commit()
                assert tx.outcomes == {"": CommitOutcome.UNKNOWN}
            return letters

        letters = []
        return commit

    async def test_a_late_commit_is_refused_once_its_transaction_has_ended(self, proxy, server, late):
        """Guarantee 16."""
        with anyio.fail_after(PATIENCE):
            proxy.late = await late(gone=False)
            await proxy.deliver()
        assert stored(server) == [None, None]

    @pytest.mark.parametrize("then", ["read", "write"])
    async def test_a_late_commit_is_refused_once_another_has_begun(self, proxy, cache, server, clock, mode, late, then):  # noqa: PLR0917  fixtures
        """Guarantee 16: the server was out of reach when the outcome was told."""
        with anyio.fail_after(PATIENCE):
            letters = await late(gone=True)
            await proxy.listen()
            await up_again(cache, clock)
            while locks(server):
                await clock.advance(0.05)
            async with cache.transaction(mode) as tx:
                if then == "read":
                    assert await cache.get("a") is None
                    proxy.late = letters
                    await proxy.deliver()
                await cache.set("a", 2)
            assert tx.outcome is CommitOutcome.COMMITTED
            if then == "write":
                proxy.late = letters
                await proxy.deliver()
        assert stored(server) == [b"2", None]


@ISOLATED
async def test_a_cut_between_the_locks_and_the_commit_changes_nothing(proxy, cache, server, mode):
    """Guarantee 16: the locks are still there, so the commit is good."""
    async with cache.transaction(mode) as tx:
        await cache.get("a")
        await write_two(cache)
        proxy.cut()
        await until(lambda: not cache.statistics().backends[""]["connected"])
    assert tx.outcome is CommitOutcome.COMMITTED
    assert stored(server) == [b"1", b"1"]
    assert locks(server) == []


@ISOLATED
async def test_locks_that_went_with_a_server_refuse_the_commit(own_server, opened, mode):
    """Guarantee 16: a server that was started anew has nothing, and nothing is applied to it."""
    async with opened(own_server.url) as cache:
        await warm(cache)
        with anyio.fail_after(PATIENCE), pytest.raises(LockLostError):  # noqa: PT012  what ends the block is the subject
            async with cache.transaction(mode) as tx:
                await cache.get("a")
                await write_two(cache)
                own_server.restart()
                await until(lambda: not cache.statistics().backends[""]["connected"])
        assert tx.outcome is CommitOutcome.ABORTED
        assert stored(own_server) == [None, None]


# --- the server refuses


@SUPPRESS
@MODES
@pytest.mark.parametrize("refuse", [out_of_memory, read_only])
async def test_a_commit_that_the_server_refuses_is_aborted(own_server, opened, mode, suppress, refuse):
    """Guarantee 22: and never reported as committed; nothing of it is there."""
    async with opened(own_server.url, suppress=suppress) as cache:
        await warm(cache)

        async def body():
            await write_two(cache)
            await cache.delete("warm")
            refuse(own_server)

        tx, error = await ended(cache, mode, body)
        assert error is None if suppress else not error.unknown
        assert tx.outcome is CommitOutcome.ABORTED
        repaired(own_server)
        assert stored(own_server) == [None, None]
        assert own_server.command("EXISTS", "warm")


async def test_reading_goes_on_in_a_server_out_of_memory(own_server, opened):
    """Guarantee 22: what only gives locks back takes no memory."""
    async with opened(own_server.url) as cache:
        await warm(cache)
        async with cache.transaction() as tx:
            assert await cache.get("warm") == 3
            out_of_memory(own_server)
        assert tx.outcome is CommitOutcome.COMMITTED
        assert locks(own_server) == []


async def test_a_user_without_channels_can_commit(own_server, opened):
    """Who waits for a lock looks again after a while; that is no reason to fail after everything was applied."""
    own_server.commands(
        ("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "resetchannels"),
    )
    url = f"redis://app:secret@127.0.0.1:{own_server.port}/0"
    async with opened(url, suppress=False) as cache:
        async with cache.transaction() as tx:
            await write_two(cache)
        assert tx.outcome is CommitOutcome.COMMITTED
        async with cache.lock("l", 10):
            pass
        assert not await cache.is_locked("l")
    assert locks(own_server) == []


# --- several stores


async def test_what_one_store_has_applied_stays_when_the_next_is_lost(proxy, opened):
    """Guarantee 16: the outcome of each says so."""
    async with opened("mem://") as cache:
        cache.setup(proxy.url, prefix="r:", suppress=False)
        await cache.transaction()(cache.set)("r:warm", 1)
        with pytest.raises(CacheBackendInteractionError):  # noqa: PT012  what ends the block is the subject
            async with cache.transaction() as tx:
                await cache.set("k", 1)
                await cache.set("r:k", 1)
                proxy.cut_after(0)
        assert tx.outcome is CommitOutcome.UNKNOWN
        assert tx.outcomes == {"": CommitOutcome.COMMITTED, "r:": CommitOutcome.UNKNOWN}
        assert await cache.get("k") == 1


async def test_what_could_not_be_read_in_one_store_has_all_stores_decline(proxy, opened):
    """Guarantee 22: what is written to them then may rest on it."""
    async with opened("mem://") as cache:
        cache.setup(proxy.url, prefix="r:")
        await cache.transaction()(cache.set)("r:warm", 1)
        async with cache.transaction() as tx:
            assert await cache.set("k", 1)
            await proxy.refuse()
            proxy.cut()
            assert await cache.get("r:k") is None
            assert await cache.set("k", 2) is False
            assert await cache.get("k") is None
        assert tx.outcome is CommitOutcome.ABORTED
        assert await cache.get("k") is None


async def test_a_server_that_is_gone_when_a_block_fails_hides_no_error(proxy, strict):
    """Guarantee 15: the locks end with their leases."""

    class FailedError(Exception):
        pass

    with anyio.fail_after(PATIENCE), pytest.raises(FailedError):  # noqa: PT012  what ends the block is the subject
        async with strict.transaction():
            await strict.set("a", 1)
            await proxy.refuse()
            proxy.cut()
            raise FailedError
    assert strict.statistics().leases == 0
    assert inside(strict).transaction_locks == 0
