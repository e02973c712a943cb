"""Servers that refuse writes since they are no master: each is left, and its address is resolved anew."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews.exceptions import CacheBackendInteractionError
from tests.faults.proxy import PATIENCE, Proxy, until
from tests.servers import Server

pytestmark = pytest.mark.redis
NOWHERE = ("127.0.0.1", 1)


@pytest.fixture
def other():
    """The server that becomes the master."""
    with Server() as server:
        yield server


def connects(cache):
    return cache.statistics().backends[""]["connects"]


async def test_after_a_failover_writes_reach_the_new_master_without_a_restart(own_server, other, opened):
    """Guarantee 22: the connection stayed with the demoted server, which goes on answering, and each write was lost."""
    async with Proxy(own_server.port).serving() as proxy, opened(proxy.url) as cache:
        assert await cache.set("k", 1)
        own_server.command("REPLICAOF", *NOWHERE)
        proxy._target = other.port
        with anyio.fail_after(PATIENCE):
            assert await cache.set("k", 2) is False
            assert await cache.set("k", 3) is True
    assert other.command("GET", "k") == b"3"


@pytest.mark.parametrize("word", ["READONLY", "MASTERDOWN", "LOADING"])
@pytest.mark.parametrize("suppress", [True, False])
async def test_each_refusal_of_a_server_that_is_no_master_has_it_left(proxy, opened, word, suppress):
    """Guarantee 22."""
    async with opened(proxy.url, suppress=suppress) as cache:
        await cache.ping()
        proxy.mangle = lambda _: f"-{word} not now\r\n".encode()
        if suppress:
            assert await cache.set("k", 1) is False
        else:
            with pytest.raises(CacheBackendInteractionError, match=word):
                await cache.set("k", 1)
        proxy.recover()
        await until(lambda: not cache.statistics().backends[""]["connected"])
        assert await cache.set("k", 1) is True
        assert connects(cache) == 2


STAYING = {
    "a read": (lambda cache: cache.get("k"), "LOADING not now"),
    "another refusal": (lambda cache: cache.set("k", 1), "OOM not now"),
    "the word elsewhere": (lambda cache: cache.set("k", 1), "ERR a value like READONLY"),
}


@pytest.mark.parametrize("refused", STAYING)
async def test_a_server_is_not_left_for_another_refusal(proxy, opened, refused):
    command, text = STAYING[refused]
    async with opened(proxy.url) as cache:
        await cache.ping()
        proxy.mangle = lambda _: f"-{text}\r\n".encode()
        assert not await command(cache)
        proxy.recover()
        assert await cache.set("k", 1) is True
        assert connects(cache) == 1


async def test_nothing_more_is_sent_to_a_server_that_is_left(proxy, cache):
    """It waits for the next connection, while the last replies of this one come."""
    answers = {}

    async def write(key):
        answers[key] = await cache.set(key, 1)

    async with anyio.create_task_group() as tasks:
        proxy.mangle = lambda _: b"-READONLY\r\n"  # one reply to both
        for key in "ab":
            tasks.start_soon(write, key)
        await until(lambda: answers)
        proxy.recover()
        sent = proxy.up
        tasks.start_soon(write, "c")
        for _ in range(20):
            await checkpoint()
        assert (proxy.up, connects(cache)) == (sent, 1)
        await proxy.links[0].give(b"-READONLY\r\n")
        await until(lambda: len(answers) == 3)
    assert answers == {"a": False, "b": False, "c": True}
    assert connects(cache) == 2


async def test_all_requests_in_flight_are_answered_before_a_server_is_left(own_server, opened):
    """None of them has an unknown outcome, and reads go on."""
    own_server.commands(("SET", "k", 1), ("REPLICAOF", *NOWHERE))
    async with opened(own_server.url, suppress=False) as cache:
        failures, values = [], []

        async def write(number):
            try:
                await cache.set(f"k{number}", 1)
            except CacheBackendInteractionError as error:
                failures.append(error)

        async def read():
            values.append(await cache.get("k"))

        await cache.ping()
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(write, number)
                tasks.start_soon(read)
        assert values == [1] * 100
        assert ["READONLY" in str(error) and not error.unknown for error in failures] == [True] * 100


async def test_the_only_server_there_is_is_left_with_the_pauses_of_an_outage(own_server, opened, clock):
    """It goes on answering reads, and is not connected to at each write."""
    own_server.commands(("SET", "k", 1), ("REPLICAOF", *NOWHERE))
    async with opened(own_server.url) as cache:
        for _ in range(100):
            assert await cache.set("k", 2) is False
            assert await cache.get("k") == 1
        assert connects(cache) == 2
        for _ in range(100):
            await clock.advance(1)
            assert await cache.set("k", 2) is False
        assert 10 < connects(cache) < 40
        own_server.command("REPLICAOF", "NO", "ONE")
        assert await cache.set("k", 2) is True


async def test_the_pauses_are_short_again_after_a_while_without_a_refusal(own_server, opened, clock):
    own_server.commands(("REPLICAOF", *NOWHERE))
    async with opened(own_server.url) as cache:
        for _ in range(100):
            await clock.advance(1)
            await cache.set("k", 2)
        await clock.advance(60)
        await cache.get("k")  # it is connected
        before = connects(cache)
        for _ in range(3):
            await cache.set("k", 2)
            await clock.advance(1)
        assert connects(cache) == before + 2
