"""Sentinels that answer as no sentinel should, or not at all: another is asked. Guarantees 22 and 32."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from redis.exceptions import ConnectionError  # noqa: A004  it is that one

from cashews import Cache
from cashews.backends.redis.address import Address
from cashews.backends.redis.sentinels import Sentinels
from cashews.clock import SystemClock
from cashews.exceptions import CacheBackendInteractionError
from cashews.testing.clock import VirtualClock
from tests.cluster.test_strange_nodes import HOST, written
from tests.faults.proxy import until
from tests.faults.replying import Replying
from tests.sentinel.test_failovers import PATIENTLY, until_served_by
from tests.servers import Server, free_port

pytestmark = pytest.mark.redis


class Sentinel(Replying):
    """A sentinel whose replies are the test's."""

    def __init__(self, master):
        self.found = [HOST.encode(), b"%d" % master.port]
        self.others = []
        self.subscribed = [b"subscribe", b"+switch-master", 1]
        self.message = []
        self.asked = 0
        self.links = []

    async def _answer(self, link):
        self.links.append(link)
        await super()._answer(link)

    async def tell(self, old, new):
        """Tell those who listen that a server has taken the place of another; all who have gone are left out."""
        text = f"mymaster {HOST} {old} {HOST} {new}".encode()
        for link in self.links:
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                await link.send(written([b"message", b"+switch-master", text]))

    def _reply(self, words):
        if words[0] == b"SUBSCRIBE":
            return written(self.subscribed) + b"".join(map(written, self.message))
        self.asked += words[1] == b"GET-MASTER-ADDR-BY-NAME"
        return written(self.others if words[1] == b"SENTINELS" else self.found)


@pytest.fixture
def master():
    with Server() as server:
        yield server


@asynccontextmanager
async def opened(*sentinels, **options):
    async with anyio.create_task_group() as tasks:
        for sentinel in sentinels:
            await tasks.start(sentinel.serve)
        places = ",".join(f"{HOST}:{sentinel.port}" for sentinel in sentinels)
        async with Cache.open(f"redis+sentinel://{places}/mymaster", suppress=False, **PATIENTLY | options) as cache:
            yield cache
        tasks.cancel_scope.cancel()


STRANGE = {
    "a number": {"found": 1},
    "one part": {"found": [b"host"]},
    "three parts": {"found": [b"host", b"1", b"2"]},
    "a port that is none": {"found": [b"host", b"port"]},
    "others that are none": {"others": [1]},
    "others without a place": {"others": [[b"name", b"x"]]},
    "others in no list": {"others": b"OK"},
}


@pytest.mark.parametrize("reply", STRANGE)
async def test_another_sentinel_is_asked_after_one_that_makes_no_sense(master, reply):
    strange, good = Sentinel(master), Sentinel(master)
    for name, value in STRANGE[reply].items():
        setattr(strange, name, value)
    async with opened(strange, good) as cache:
        assert await cache.set("k", 1)
        assert strange.asked > 0
        assert good.asked > 0


@pytest.mark.parametrize("reply", STRANGE)
async def test_sentinels_that_all_make_no_sense_are_an_outage(master, reply):
    strange = Sentinel(master)
    for name, value in STRANGE[reply].items():
        setattr(strange, name, value)
    async with opened(strange) as cache:
        with pytest.raises(CacheBackendInteractionError, match="no sentinel knows"):
            await cache.set("k", 1)
        vars(strange).update(vars(Sentinel(master)))
        await until_stored(cache)


async def until_stored(cache):
    with anyio.fail_after(20):
        while True:
            try:
                assert await cache.set("k", 1)
            except CacheBackendInteractionError:
                await anyio.lowlevel.checkpoint()
            else:
                return


@pytest.mark.parametrize(
    "message", [[1], [[]], [[b"message", b"x", b"mymaster"]], [[b"message", b"x", b"mymaster a b c d"]]]
)
async def test_the_next_sentinel_is_listened_to_after_one_that_makes_no_sense(master, message):
    strange, good = Sentinel(master), Sentinel(master)
    strange.message = message
    async with opened(strange, good) as cache:
        assert await cache.set("k", 1)
        await until(lambda: good.asked > 0)
        assert await cache.set("k", 2)


async def test_sentinels_that_nobody_names_any_more_are_not_asked_again(master):
    """The places of sentinels change where they are started anew by machines; those of the URL are always asked."""
    sentinel = Sentinel(master)
    async with anyio.create_task_group() as tasks:
        await tasks.start(sentinel.serve)
        place, gone = (Address(HOST, port) for port in (sentinel.port, 1))
        asked = Sentinels([gone, place], "mymaster", Address(), patience=5, clock=SystemClock())
        for number in range(2, 5):
            sentinel.others = [[b"ip", HOST.encode(), b"port", b"%d" % number]]
            assert await asked.locate() == Address(HOST, master.port)
        sentinel.found = None
        with pytest.raises(ConnectionError) as failed:
            await asked.locate()
        assert [int(port) for port in re.findall(rf"{HOST}:(\d+)", str(failed.value))] == [sentinel.port, 1, 4]
        tasks.cancel_scope.cancel()


async def test_a_switch_of_masters_ends_the_pause_of_an_outage(master):
    """Guarantee 22: pauses grow to seconds while the old master is down, and nobody has to wait for their end."""
    clock, sentinel, dead = VirtualClock(), Sentinel(master), free_port()
    sentinel.found = [HOST.encode(), b"%d" % dead]
    async with opened(sentinel, clock=clock) as cache:
        with pytest.raises(CacheBackendInteractionError):
            await cache.set("k", 1)
        for _ in range(150):
            await clock.advance(0.1)
        with pytest.raises(CacheBackendInteractionError):
            await cache.set("k", 1)
        sentinel.found = [HOST.encode(), b"%d" % master.port]
        await sentinel.tell(dead, master.port)
        await until_stored(cache)


async def test_a_sentinel_that_hangs_is_replaced_as_the_one_that_is_listened_to(deployment):
    """Else nothing would tell that the master was replaced, and the old one takes writes that are lost."""
    async with Cache.open(deployment.url, suppress=True, socket_timeout=10, socket_connect_timeout=1.5) as cache:
        deployment.sentinels[1].pause()
        deployment.sentinels[2].pause()
        assert await cache.set("k", 1)
        await until(lambda: b"sub=1" in deployment.sentinels[0].command("CLIENT", "LIST"))
        deployment.sentinels[0].stop()
        deployment.sentinels[2].resume()
        await until(lambda: b"sub=1" in deployment.sentinels[2].command("CLIENT", "LIST"))
        deployment.sentinels[1].resume()
        new = deployment.replica
        deployment.sentinels[2].command("SENTINEL", "FAILOVER", "mymaster")
        await until_served_by(cache, new)
