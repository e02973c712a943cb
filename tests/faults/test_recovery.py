"""A server that goes and comes back: nothing has to be started anew, and what changes is said once."""

from __future__ import annotations

import logging
from random import Random

import anyio
import pytest

from cashews import Cache
from cashews.backends.redis.connection import FIRST_PAUSE, LONGEST_PAUSE
from cashews.testing.clock import VirtualClock
from tests.faults.proxy import PATIENCE, until
from tests.servers import lock_of

pytestmark = pytest.mark.redis


def figures(cache):
    return cache.statistics().backends[""]


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def next_alarm(clock):
    await until(lambda: clock.statistics().next_deadline is not None)
    await clock.advance(clock.statistics().next_deadline - clock.now())


async def up_again(cache, clock):
    """Let pauses pass until the connection is there again; says how long that took."""
    began = clock.now()
    with anyio.fail_after(PATIENCE):
        while not figures(cache)["connected"]:
            await until(lambda: figures(cache)["connected"] or clock.statistics().sleepers)
            if not figures(cache)["connected"]:
                await next_alarm(clock)
    return clock.now() - began


async def test_an_outage_of_hours_ends_like_one_of_seconds(proxy, cache, clock):
    """Guarantee 22: however many attempts have failed in a row."""
    await proxy.refuse()
    proxy.cut()
    await cache.get("k")
    for _ in range(1_100):
        await until(lambda: clock.statistics().sleepers)
        await next_alarm(clock)
    await proxy.listen()
    await up_again(cache, clock)
    assert await cache.ping() == b"PONG"


async def test_a_server_that_is_killed_and_started_again_is_found_again(own_server, opened, clock):
    """Guarantee 22: recovery needs no restart, and scripts are gone."""
    async with opened(own_server.url) as cache:
        assert await cache.incr("k", expire=10) == 1
        own_server.kill()
        assert await cache.get("k", default="neutral") == "neutral"
        assert await cache.incr("k", expire=10) == 0
        own_server.start()
        await up_again(cache, clock)
        assert await cache.incr("k", expire=10) == 1
        assert await cache.get("k") == 1
        async with cache.lock("l", expire=10):
            assert await cache.is_locked("l")
        assert not await cache.is_locked("l")
        assert figures(cache)["connects"] == 2


async def test_a_server_that_is_not_there_at_first_is_found_later(own_server, opened, clock):
    """D110."""
    own_server.kill()
    async with opened(own_server.url) as cache:
        assert await cache.set("k", 1) is False
        own_server.start()
        await up_again(cache, clock)
        assert await cache.set("k", 1)


async def test_a_frozen_server_costs_its_timeout_once_and_goes_on_when_it_can(own_server, opened, clock):
    """100 concurrent gets waited 6 s in the median with a timeout of 1 s."""
    async with opened(own_server.url, socket_timeout=1) as cache:
        await cache.set("k", 1)
        own_server.pause()
        waited = []

        async def get():
            began = clock.now()
            await cache.get("k")
            waited.append(clock.now() - began)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(get)
            await clock.advance(0.5)
            for _ in range(100):
                tasks.start_soon(get)
            await clock.advance(0.5)
            await until(lambda: len(waited) == 100)
            await until(lambda: clock.statistics().scopes)
            await clock.advance(1)  # the new connection is not greeted either
            await until(lambda: len(waited) == 200)
        assert max(waited) <= 2
        assert figures(cache)["timeouts"] == 1
        instant = clock.now()
        for _ in range(10):
            assert await cache.get("k", default="neutral") == "neutral"
        assert clock.now() == instant
        own_server.resume()
        await up_again(cache, clock)
        assert await cache.get("k") == 1


async def test_the_pauses_between_attempts_grow_to_a_bound_and_are_spread(proxy):
    """Known to be down, a server is tried by one task in growing pauses, and not by requests."""

    async def pauses(seed):
        clock, found = VirtualClock(), []
        async with Cache.open(proxy.url, clock=clock, random=Random(seed)) as cache:
            await cache.get("k")
            for _ in range(12):
                await until(lambda: clock.statistics().sleepers == 1)
                for _ in range(5):
                    await cache.get("k")
                found.append(clock.statistics().next_deadline - clock.now())
                await next_alarm(clock)
        return found

    await proxy.refuse()
    first, again, other = await pauses(1), await pauses(1), await pauses(2)
    assert first == again != other
    whole = [min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(1, 13)]
    assert all(0.5 * most <= pause <= most for pause, most in zip(first, whole, strict=True))


async def test_requests_do_not_connect_while_the_server_is_known_to_be_down(proxy, opened):
    proxy.mangle = lambda _: b"-ERR not now\r\n"
    async with opened(proxy.url) as cache:
        await cache.get("k")
        accepted = proxy.accepted
        for _ in range(1000):
            await cache.get("k")
        assert proxy.accepted == accepted == 1


async def test_each_change_is_said_once(own_server, opened, clock, caplog):
    """Guarantee 22."""
    caplog.set_level(logging.WARNING, "cashews")
    async with opened(own_server.url) as cache:
        await cache.set("k", 1)
        for number in (1, 2):
            own_server.kill()
            await until(lambda: not figures(cache)["connected"])
            for _ in range(5):
                await cache.get("k")
                await next_alarm(clock)
                await until(lambda: clock.statistics().sleepers == 1)
            own_server.start()
            await up_again(cache, clock)
            await cache.set("k", 1)
            lines = said(caplog)
            assert sum("cannot be used" in line for line in lines) == number
            assert sum("can be used again" in line for line in lines) == number
            assert len(lines) == 2 * number


async def test_all_that_listened_listen_again(own_server, opened, clock):
    """A lock that was waited for is taken after a restart, though nobody unlocks it: it is gone."""
    taken = []
    async with opened(own_server.url) as cache:
        async with anyio.create_task_group() as tasks:

            async def wait():
                async with cache.lock("l", expire=3600):
                    taken.append(clock.now())

            await cache.ping()
            own_server.command("SET", lock_of("l"), "somebody", "PX", "3600000")
            tasks.start_soon(wait)
            await until(lambda: own_server.command("PUBSUB", "NUMSUB", lock_of("l"))[1] == 1)
            await until(lambda: clock.statistics().scopes == 1 and not figures(cache)["in_flight"])
            assert taken == []
            own_server.restart()
            await until(lambda: not figures(cache)["connected"])
            assert await cache.get("k") is None  # whoever asks next connects
            await until(lambda: taken)
        assert taken == [0.0]


async def test_who_waits_for_a_lock_looks_again_though_nothing_is_heard(own_server, opened, clock):
    """The connection that would have told of the release is gone, and nobody asks for another."""
    taken = []
    async with opened(own_server.url) as cache, anyio.create_task_group() as tasks:

        async def wait():
            async with cache.lock("l", expire=3600):
                taken.append(clock.now())

        await cache.ping()
        own_server.command("SET", lock_of("l"), "somebody", "PX", "3600000")
        tasks.start_soon(wait)
        await until(lambda: own_server.command("PUBSUB", "NUMSUB", lock_of("l"))[1] == 1)
        await until(lambda: clock.statistics().scopes == 1 and not figures(cache)["in_flight"])
        own_server.restart()
        await until(lambda: not figures(cache)["connected"])
        await next_alarm(clock)
        await until(lambda: taken)
    assert taken[0] <= 10


async def test_statistics_tell_what_happened(own_server, opened, clock):
    async with opened(own_server.url, suppress=True) as cache:
        for _ in range(3):
            await cache.set("k", 1)
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(cache.get, f"k{number % 10}")
        own_server.command("SET", "garbage", b"\xff\x00 not a value")
        assert await cache.get("garbage") is None
        own_server.pause()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.get, "k")
            await until(lambda: figures(cache)["in_flight"])
            await clock.advance(5)
        own_server.resume()
        assert await cache.get("k") == 1
        found = figures(cache)
    assert found["commands"] + found["joined"] == 26
    assert found["joined"] > 0
    assert 1 < found["largest_batch"] <= 10
    assert 6 < found["batches"] < found["commands"]
    assert (found["connects"], found["timeouts"], found["decode_failures"]) == (2, 1, 1)
    assert (found["waiting"], found["in_flight"], found["connected"]) == (0, 0, 1)
