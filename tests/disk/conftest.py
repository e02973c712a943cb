"""Caches on disk in a directory of their own, and what else may have a hand on their files."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager

import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews import messages as m
from cashews.backends.disk.files import File, shard_of
from cashews.backends.disk.lane import Part
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.writing import Writer
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


@pytest.fixture
def shelf(directory):
    """A file of its own, in a transaction that writes."""
    shelf = Shelf(File(str(directory), {}, 0.0))
    shelf.begin_writing()
    yield shelf
    shelf.roll_back()
    shelf.close()


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


@pytest.fixture
def files(directory):
    """Return three files of one store, for servers of one's own."""
    return [File(str(directory / f"{number:03}"), {}, 1.0) for number in range(3)]


@pytest.fixture
def one_in_each():
    """Return a key in each of three files."""
    return [next(f"k{n}" for n in range(100) if shard_of(f"k{n}", 3) == shard) for shard in range(3)]


@pytest.fixture
def half_done(files, one_in_each):
    """Have a process die in the middle of a commit over three files."""
    dying = Dying(files)
    a, b, c = one_in_each
    assert ask(dying, m.SetMany({a: 1, b: 1, c: 1})) is None
    assert ask(dying, m.SetLock(b, "token", 100)) > 0
    writes = (m.Set(a, 2), m.Incr(b, 5), m.Set(c, b"2"), m.SetAdd(f"{c}:set", ("x",), None), m.Delete("none"))
    ask(dying, m.Commit(((b, "token"),), writes))
    dying.close()


class KilledError(Exception):
    pass


class Dying(Writer):
    """A writer whose process ends once a commit is in the ledger, before the other files are committed."""

    def _commit_others(self, shards, number):
        raise KilledError


def ask(server, *messages):
    """Have a server serve a batch; returns the outcome, or the outcomes."""
    parts = [Part(message, 1_000.0) for message in messages]
    server.serve(parts)
    return parts[0].outcome if len(parts) == 1 else [part.outcome for part in parts]


def figures(cache):
    """Return the statistics of the store."""
    (store,) = stores_of([cache])
    return store.statistics()


async def taken(cache):
    """Wait until the writing thread has taken everything that was posted: it has begun."""
    (store,) = stores_of([cache])
    await wait_all_tasks_blocked()
    while store._writes._mailbox.waiting:
        await checkpoint()
