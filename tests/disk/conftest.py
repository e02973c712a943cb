"""Caches on disk in a directory of their own, and what else may have a hand on their files."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager

import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from tests.disk_time import DiskClock, stores_of


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def clock():
    return DiskClock(1_000)


@pytest.fixture
def opened(directory, clock):
    """Return a function that opens a cache in the directory; what the disk refuses is an error."""

    def open_cache(url="disk://", **options):
        cache = Cache.open(url, **{"directory": directory, "suppress": False, "clock": clock, **options})
        clock.caches.append(cache)
        return cache

    return open_cache


@pytest.fixture
async def cache(opened):
    async with opened() as cache:
        yield cache


@contextmanager
def writing(directory):
    """Hold the lock of a file, as another process does that writes for long."""
    connection = sqlite3.connect(directory / "cache.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


def figures(cache):
    """Return the statistics of the store."""
    (store,) = stores_of([cache])
    return store.statistics()


async def taken(cache):
    """Wait until the writing thread has taken everything that was posted: it has begun."""
    (store,) = stores_of([cache])
    await checkpoint()
    while store._writes._waiting:
        await checkpoint()
