"""Caches with a near table, on a server in real time; their own clock stands still unless the test moves it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from cashews import Cache
from cashews.testing.clock import VirtualClock

PREFIX = "near:"
LAG = 2.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def near_cache(clock, url, **options):
    """Return a cache with a near table, to be entered, whose deadlines the test owns."""
    given = {"suppress": False, "clock": clock, "client_side_prefix": PREFIX, "client_side_lag": LAG, **options}
    return Cache.open(url, client_side=True, **given)


@pytest.fixture
def opened(server, clock):
    """``opened(**options)``: a cache to enter, whose deadlines the test owns."""
    return lambda url=server.url, **options: near_cache(clock, url, **options)


@pytest.fixture
async def cache(opened):
    async with opened() as cache:
        yield cache


@pytest.fixture
async def other(opened):
    """Another cache with the same keys: to the first it is another process."""
    async with opened() as cache:
        yield cache


@pytest.fixture
def figures():
    """``figures(cache)``: the figures of its store."""
    return lambda cache: cache.statistics().backends[""]


@pytest.fixture
def asks_nothing(figures):
    """``async with asks_nothing(cache):`` nothing in the block asks the server."""

    @asynccontextmanager
    async def block(cache, most=0):
        before = figures(cache)["commands"]
        yield
        assert figures(cache)["commands"] - before <= most

    return block
