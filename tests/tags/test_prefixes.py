"""Tags and loads under middlewares that give keys other names."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import anyio
import pytest

from cashews import Command, add_prefix
from tests.internals import inside
from tests.subjects import each

PREFIX = "shop:"


class Counting:
    """A middleware in the signature of the specification that puts a prefix before keys and tags."""

    def __init__(self):
        self.seen = []

    async def __call__(self, call, cmd, _backend, *args, **kwargs):
        self.seen.append(cmd)
        if "key" in kwargs:
            kwargs["key"] = PREFIX + kwargs["key"]
        if cmd is Command.DELETE_TAGS:
            args = tuple(PREFIX + tag for tag in args)
        return await call(*args, **kwargs)


@pytest.fixture
async def prefixed(subject, clock):
    async with subject.open(clock, middlewares=[add_prefix(PREFIX)]) as cache:
        yield cache


async def test_a_load_that_a_deletion_overtakes_is_not_stored_under_a_prefix(prefixed, gate):
    """Guarantee 10: tags that depend on the result are known only at its end."""
    cached = prefixed(90, key="k", tags=["t:{result}"])(gate.__call__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await gate.begun.wait()
        await prefixed.delete_tags("t:old")
        gate.go.set()
    assert await cached.peek() is None


@pytest.mark.parametrize("subject", each(["disk-sharded-signed"]), indirect=True)
@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
async def test_the_mark_of_a_load_is_read_from_the_file_of_its_stored_key(prefixed, gate, key):
    """It was read for the key without its prefix: the deletions of another file have other numbers."""
    from cashews.backends.disk.files import shard_of  # noqa: PLC0415  it needs the extra `diskcache`

    await prefixed.delete_tags("another")
    files = inside(prefixed).store()._files
    for file in {*files} - {files[shard_of(PREFIX + key, len(files))]}:
        raise_deletions(file._path)
    cached = prefixed(90, key=key, tags=["t:{result}"])(gate.__call__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await gate.begun.wait()
        await prefixed.delete_tags("t:old")
        gate.go.set()
    assert await cached.peek() is None


def raise_deletions(path):
    """Have the deletions of tags in a file go on from a higher number, as after many of them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        changed = connection.execute("UPDATE cashews_marks SET value = value + 1000 WHERE name = 'deletions'")
        assert changed.rowcount == 1


async def test_a_middleware_names_the_key_whose_mark_is_read(subject, clock, gate):
    gate.go.set()
    middleware = Counting()
    async with subject.open(clock, middlewares=[middleware]) as cache:
        route = inside(cache).engine.routes.of("k")
        assert await route.stored_name("k") == PREFIX + "k"
        cached = cache(90, key="k", tags=["t"])(gate.__call__)
        assert [await cached(), await cached()] == ["old"] * 2
    assert gate.runs == 1


@pytest.mark.parametrize("is_overtaken", [False, True], ids=["", "overtaken"])
@pytest.mark.parametrize("key", ["k", "far:k"])
@pytest.mark.parametrize("subject", each(["mem", "disk-sharded-signed"]), indirect=True)
async def test_a_tag_crosses_stores_whose_deletions_are_counted_apart(subject, clock, gate, key, is_overtaken):
    """Guarantee 10: the mark of a load's beginning is read in the store of its key, by the name there."""
    async with subject.open(clock, middlewares=[add_prefix(PREFIX)]) as cache:
        for number in range(9):
            await cache.delete_tags(f"before:{number}")
        cache.setup("mem://", prefix="far:", middlewares=[add_prefix("elsewhere:")])
        cached = cache(90, key=key, tags=["t:{result}"])(gate.__call__)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cached)
            await gate.begun.wait()
            await cache.delete_tags("t:old" if is_overtaken else "t:another")
            gate.go.set()
        assert await cached.peek() == (None if is_overtaken else "old")
        await cache.delete_tags("t:old")
        assert await cached.peek() is None
