"""What the server refuses: out of memory, read-only, not allowed, wrong password."""

from __future__ import annotations

import logging

import anyio
import pytest
from redis.credentials import CredentialProvider

from cashews import messages as m
from cashews.exceptions import CacheBackendInteractionError, LockedError, WrongTypeError
from tests.faults.proxy import PATIENCE, Proxy, until
from tests.internals import inside
from tests.servers import Server

pytestmark = pytest.mark.redis
NOWHERE = ("127.0.0.1", 1)


def out_of_memory(server):
    server.command("CONFIG", "SET", "maxmemory", "1")


def read_only(server):
    server.command("REPLICAOF", *NOWHERE)


def wrong_user(server):
    server.command("ACL", "SETUSER", "default", "-@write")


def repaired(server):
    server.command("CONFIG", "SET", "maxmemory", "0")
    server.command("REPLICAOF", "NO", "ONE")
    server.command("ACL", "SETUSER", "default", "+@all")


REFUSALS = {"OOM": out_of_memory, "READONLY": read_only, "NOPERM": wrong_user}
over_refusals = pytest.mark.parametrize("word", REFUSALS)


@pytest.fixture
def refusing(own_server, word):
    own_server.command("SET", "old", "1")
    REFUSALS[word](own_server)
    own_server.forget_calls()
    return own_server


def calls(server):
    return sum(count for name, count in server.called().items() if name != "config|resetstat")


def errors_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@over_refusals
async def test_a_function_under_a_lock_that_is_refused_runs_and_costs_few_commands(refusing, opened):
    """8 to 10 thousand commands, and the function never ran."""
    runs = []
    async with opened(refusing.url) as cache:

        @cache(ttl=10, key="k", lock=True)
        async def load():
            runs.append(1)
            return "result"

        with anyio.fail_after(PATIENCE):
            assert await load() == "result"
    assert runs == [1]
    assert calls(refusing) < 30


@over_refusals
async def test_a_lock_that_is_refused_is_not_taken_and_nobody_spins(refusing, opened):
    """Guarantee 22."""
    ran = []
    async with opened(refusing.url) as cache:

        @cache.locked(ttl=10, key="k")
        async def body():
            ran.append(1)

        with anyio.fail_after(PATIENCE):
            with pytest.raises(LockedError):
                await body()
            with pytest.raises(LockedError):
                async with cache.lock("l", expire=10):
                    ran.append(1)
    assert ran == []
    assert calls(refusing) < 60


@over_refusals
async def test_a_lock_that_is_refused_raises_when_nothing_is_suppressed(refusing, opened, word):
    async with opened(refusing.url, suppress=False) as cache:
        with pytest.raises(CacheBackendInteractionError, match=f"{word}|ACL"):
            async with cache.lock("l", expire=10):
                raise AssertionError
    assert cache.statistics().lock_waiters == 0


@over_refusals
async def test_removing_a_pattern_from_a_server_that_refuses_comes_to_an_end(refusing, opened):
    """D112: 17 299 commands in 3 s."""
    if "OOM" not in refusing.command("INFO", "errorstats").decode():
        async with opened(refusing.url) as cache:
            with anyio.fail_after(PATIENCE):
                await cache.delete_match("*")
                await cache.clear()
        assert calls(refusing) < 20


@over_refusals
async def test_writes_are_refused_and_reads_go_on(refusing, opened, word):
    """Guarantee 22: a refused write is neutral, or an error that says why; reads are answered."""
    async with opened(refusing.url) as cache:
        assert await cache.set("k", 1) is False
        assert await cache.incr("k") == 0
        assert await cache.get("old") == 1
    async with opened(refusing.url, suppress=False) as cache:
        for write in (m.Set("k", 1), m.SetMany({"k": 1}), m.SetMany({"k": 1}, 10), m.SetAdd("s", ("a",)), m.Incr("k")):
            with pytest.raises(CacheBackendInteractionError, match=f"{word}|ACL"):
                await inside(cache).ask(write)
        assert await cache.get("old") == 1


@over_refusals
async def test_what_is_refused_is_logged_once_per_change(refusing, opened, caplog, word):
    """Guarantee 22: also when suppressed."""
    async with opened(refusing.url) as cache:
        for _ in range(3):
            await cache.set("k", 1)
        assert [word in message for message in errors_in(caplog)] == [True]
        repaired(refusing)
        assert await cache.set("k", 1)
        REFUSALS[word](refusing)
        for key in ("k", "l"):
            await cache.set(key, 1)
        assert [word in message for message in errors_in(caplog)] == [True, True]


async def test_a_wrong_type_is_an_error_also_when_suppressed(server, opened):
    """D113: suppression hid it as a miss; it is a mistake in the program, and no outage."""
    server.commands(("RPUSH", "list", "a"), ("RPUSH", "another", "a"))
    async with opened(server.url) as cache:
        for number in (1, 2, 3):
            with pytest.raises(WrongTypeError, match="'list' holds list, the command needs an integer"):
                await cache.incr("list")
            assert await cache.incr("counter") == number
            with pytest.raises(WrongTypeError, match="another"):
                await cache.incr("another")


# --- passwords


async def next_attempt(clock, proxy, number):
    """Pass the pause until the next connection is tried, and wait for its failure."""
    await until(lambda: clock.statistics().sleepers == 1)
    await clock.advance(clock.statistics().next_deadline - clock.now())
    await until(lambda: proxy.accepted == number and not proxy.links)


@pytest.fixture
def guarded():
    with Server(requirepass="secret") as server:
        yield server


@pytest.mark.parametrize("options", [{"password": "wrong"}, {}, {"password": "wrong", "protocol": 2}, {"protocol": 2}])
async def test_a_wrong_password_is_logged_once_and_never_shown(guarded, opened, clock, caplog, options):
    """Guarantee 22."""
    async with Proxy(guarded.port).serving() as proxy, opened(proxy.url, **options) as cache:
        with anyio.fail_after(PATIENCE):
            for expected in (1, 2, 3):
                assert await cache.get("k", default="neutral") == "neutral"
                await next_attempt(clock, proxy, expected + 1)
    assert len(errors_in(caplog)) == 1
    assert "NOAUTH" in caplog.text or "WRONGPASS" in caplog.text
    assert "wrong " not in caplog.text


async def test_a_wrong_password_raises_when_nothing_is_suppressed(guarded, opened):
    async with opened(guarded.url, password="wrong", suppress=False) as cache:
        for _ in range(3):
            with pytest.raises(CacheBackendInteractionError, match="WRONGPASS"):
                await cache.get("k")


async def test_a_password_that_is_put_right_needs_no_restart(guarded, opened, clock):
    async with opened(guarded.url, password="later") as cache:
        assert await cache.set("k", 1) is False
        guarded.command("CONFIG", "SET", "requirepass", "later")
        guarded.password = "later"

        await clock.advance(clock.statistics().next_deadline - clock.now())
        await until(lambda: cache.statistics().backends[""]["connected"])
        assert await cache.set("k", 1)
        assert await cache.get("k") == 1


async def test_a_database_that_there_is_not_is_said(own_server, opened, caplog):
    async with opened(f"redis://127.0.0.1:{own_server.port}/99") as cache:
        assert await cache.get("k") is None
    assert ["DB index is out of range" in message for message in errors_in(caplog)] == [True]


class Provider(CredentialProvider):
    """Fails the first time."""

    def __init__(self):
        self.asked = 0

    async def get_credentials_async(self):
        self.asked += 1
        if self.asked == 1:
            message = "no credentials today"
            raise RuntimeError(message)
        return ("secret",)


async def test_a_provider_of_credentials_that_fails_is_a_server_that_is_down(guarded, opened, clock, caplog):
    """A user's error is no error of the engine: the next attempt asks again."""
    async with opened(guarded.url, credential_provider=Provider()) as cache:
        assert await cache.set("k", 1) is False
        assert ["no credentials today" in message for message in errors_in(caplog)] == [True]
        await until(lambda: clock.statistics().sleepers == 1)
        await clock.advance(clock.statistics().next_deadline - clock.now())
        await until(lambda: cache.statistics().backends[""]["connected"])
        assert await cache.set("k", 1)


async def test_a_server_that_is_loading_is_said(proxy, opened, caplog):
    """Guarantee 22: it answers, though not what it was asked."""
    async with opened(proxy.url) as cache:
        await cache.ping()
        proxy.mangle = lambda _: b"-LOADING the dataset is being read into memory\r\n"
        for _ in range(3):
            assert await cache.get("k", default="neutral") == "neutral"
        proxy.recover()
        assert await cache.set("k", 1)
    assert ["LOADING" in message for message in errors_in(caplog)] == [True]
