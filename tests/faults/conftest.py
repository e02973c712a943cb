"""A server, a proxy before it that fails on demand, and caches whose deadlines the test owns."""

from __future__ import annotations

from random import Random

import pytest

from cashews import Cache
from cashews.testing.clock import VirtualClock
from tests.faults.proxy import Proxy
from tests.servers import Server


@pytest.fixture(scope="module")
def shared_server():
    with Server() as server:
        yield server


@pytest.fixture
def server(shared_server):
    """A server that is empty, and that the test must not hurt."""
    shared_server.commands(("FLUSHALL",), ("CONFIG", "RESETSTAT"))
    return shared_server


@pytest.fixture
def own_server():
    """A server that the test may kill."""
    with Server() as server:
        yield server


@pytest.fixture
async def proxy(server):
    async with Proxy(server.port).serving() as proxy:
        yield proxy


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def opened(clock):
    """``opened(url, **options)``: a cache to enter, on the test's clock unless it is given another."""

    def open_cache(url, **options):
        return Cache.open(url, **{"clock": clock, "random": Random(1), **options})

    return open_cache


@pytest.fixture
async def cache(proxy, opened):
    """A cache that is connected through the proxy."""
    async with opened(proxy.url) as cache:
        assert await cache.ping() == b"PONG"
        try:
            yield cache
        finally:
            proxy.recover()  # a test may have left it silent, and time stands still: closing would wait for ever
            proxy.cut()
