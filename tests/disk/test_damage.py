"""Damaged files: set aside and replaced, so that no fault on the disk ends a cache; and rows that are no UTF-8."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cashews import Cache
from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.disk.damage import MOST_KEPT
from cashews.backends.disk.files import File
from cashews.backends.disk.reading import Reader
from cashews.backends.disk.writing import Writer
from cashews.exceptions import LockLostError
from tests.disk.conftest import ask, figures

pytestmark = pytest.mark.diskcache
STRANGE = b"\xff\xfe of nobody"
"""Bytes that are no UTF-8."""


def filled(directory, shards=0):
    """Make files with all kinds of content."""

    async def fill():
        async with Cache.open("disk://", directory=directory, shards=shards, suppress=False) as cache:
            await cache.set_many({f"k{number}": [number] * 50 for number in range(300)}, expire=1_000)
            await cache.set("large", bytes(50_000), tags=["t"])
            await cache.set_add("set", "a", "b")
            await cache.incr_bits("bits", 5)
            await cache.slice_incr("slice", 0, 1, 5)
            await cache.incr("counter")

    anyio.run(fill)
    for path in directory.rglob("cache.db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def execute(path, statement, *given):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, given)


def overwritten(path):
    path.write_bytes(b"something else " * 1_000)


def cut(path):
    path.write_bytes(path.read_bytes()[: 3 * 4_096 + 1])


def garbled(path):
    content = bytearray(path.read_bytes())
    content[4_096:] = b"\xa5" * (len(content) - 4_096)
    path.write_bytes(content)


def of_another_format(path):
    content = bytearray(path.read_bytes())
    content[44:48] = (9).to_bytes(4, "big")
    path.write_bytes(content)


def of_another_shape(path):
    path.unlink()
    execute(path, "CREATE TABLE Cache (something)")


def with_fewer_columns(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'size INTEGER', 'other INTEGER') WHERE name = 'Cache'"
        )


FAULTS = [overwritten, cut, garbled, of_another_format, of_another_shape, with_fewer_columns]


async def works(cache):
    """Have the cache do a bit of everything."""
    assert await cache.set("new", 1, tags=["t"])
    assert await cache.get("new") == 1
    await cache.set_many({"new1": 1, "new2": bytes(40_000)})
    assert await cache.incr("counter new") == 1
    assert [key async for key in cache.scan("new*")]
    await cache.delete_tags("t")
    await cache.get_many("new", *(f"k{number}" for number in range(300)))
    async with cache.transaction():
        await cache.set("in transaction", 1)
        await cache.set("in another file", 1)
    await cache.clear()
    assert await cache.get_keys_count() == 0


async def answers(cache):
    """Have the cache do a bit of everything; a fault may have taken any value, but no command may fail."""
    await cache.set("new", 1, tags=["t"])
    await cache.set_many({"new1": 1, "new2": bytes(40_000)})
    await cache.get_many("large", *(f"k{number}" for number in range(300)))
    await cache.incr("counter new")
    await cache.set_pop("set")
    assert len([key async for key in cache.scan("*")]) <= 2_000
    await cache.delete_tags("t")
    with suppress(LockLostError):  # they were in the file
        async with cache.transaction():
            await cache.set("in transaction", 1)
            await cache.set("k5", 1)
    await cache.delete_match("k1*")
    await cache.clear()


@pytest.mark.parametrize("shards", [0, 3])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_damaged_file_is_set_aside_and_the_cache_works(directory, opened, caplog, fault, shards):
    """Guarantee 24; the damaged file is kept, the log says where, and statistics count it."""
    await anyio.to_thread.run_sync(filled, directory, shards)
    path = max(directory.rglob("cache.db"))
    fault(path)
    async with opened(shards=shards) as cache:
        await works(cache)
        assert figures(cache)["damaged"] == 1
    assert path.with_name("cache.db.damaged1").exists()
    assert f"{path}.damaged1" in caplog.text


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("shards", [0, 3])
async def test_damage_while_the_file_is_open_costs_its_content_only(directory, opened, reading, shards):
    async with opened(shards=shards, sqlite_mmap_size=0) as cache:
        await cache.set_many({f"k{number}": number for number in range(3_000)})
        await cache.get("k1")
        for path in directory.rglob("cache.db"):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            garbled(path)
        if reading:
            await cache.get_many(*(f"k{number}" for number in range(3_000)))
        await works(cache)
        assert figures(cache)["damaged"] == max(1, shards)


def test_only_the_damaged_file_of_several_is_set_aside(files, one_in_each):
    writer, reader = Writer(files), Reader(files)
    ask(writer, m.SetMany(dict.fromkeys(one_in_each, 1)))
    writer.close()
    overwritten(Path(files[1].directory, "cache.db"))
    assert ask(reader, m.GetMany(tuple(one_in_each))) == (1, ABSENT, 1)
    assert [file.damaged for file in files] == [0, 1, 0]
    reader.close()


def test_a_file_that_took_the_place_of_the_damaged_one_stays(directory):
    """Two processes may notice the same damage."""
    directory.mkdir()
    path = directory / "cache.db"
    overwritten(path)
    file = File(str(directory), {}, 1.0)
    identity = file.identity()
    path.rename(directory / "moved")
    path.write_bytes(b"another")
    assert file.set_aside(identity, sqlite3.DatabaseError("malformed"))
    assert path.read_bytes() == b"another"
    assert file.damaged == 0


async def test_a_bounded_number_of_damaged_files_is_kept(directory, opened):
    directory.mkdir()
    for _ in range(MOST_KEPT + 2):
        overwritten(directory / "cache.db")
        async with opened() as cache:
            await works(cache)
    assert len(list(directory.glob("*.damaged*"))) == MOST_KEPT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", None),
        ("size", None),
        ("cull_limit", "text"),
        ("eviction_policy", "of another program"),
        ("disk_min_file_size", None),
        ("sqlite_mmap_size", "1; 2"),
        ("sqlite_journal_mode", "x y"),
        ("sqlite_of no name", 1),
    ],
)
async def test_settings_without_sense_have_their_defaults(directory, opened, name, value):
    await anyio.to_thread.run_sync(filled, directory)
    path = directory / "cache.db"
    if value is None:
        execute(path, "DELETE FROM Settings WHERE key = ?", name)
    else:
        execute(path, "INSERT OR REPLACE INTO Settings VALUES (?, ?)", name, value)
    async with opened() as cache:
        assert await cache.get("k1") == [1] * 50
        await works(cache)
        assert figures(cache)["damaged"] == 0


class Bytes:
    """A pristine file, read once."""

    content = b""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    faults=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=64)), max_size=8),
    length=st.none() | st.floats(0, 1),
)
def test_whatever_the_fault_commands_answer_or_the_file_is_replaced(tmp_path_factory, faults, length):
    """Guarantee 24; any bytes of the file may be others, and any number of them missing."""
    directory = tmp_path_factory.mktemp("cache")
    path = directory / "cache.db"
    if not Bytes.content:
        filled(directory)
        Bytes.content = path.read_bytes()
    content = bytearray(Bytes.content)
    for place, other in faults:
        at = int(place * len(content))
        content[at : at + len(other)] = other
    path.write_bytes(content if length is None else content[: int(length * len(content))])

    async def use():
        async with Cache.open("disk://", directory=directory, suppress=False) as cache:
            await answers(cache)

    anyio.run(use)


# --- rows that are no UTF-8


STATEMENTS = {
    "a value's key": "UPDATE Cache SET key = CAST(? AS TEXT) WHERE key = 'k7'",
    "a structure's key": "UPDATE cashews_kept SET key = CAST(? AS TEXT) WHERE key = 'set'",
    "a member": "UPDATE cashews_parts SET part = CAST(? AS TEXT) WHERE part = 'a'",
    "a tag": "UPDATE cashews_tags SET tag = CAST(? AS TEXT)",
    "a tag's key": "UPDATE cashews_tags SET key = CAST(? AS TEXT)",
    "a value": "UPDATE Cache SET value = CAST(? AS TEXT) WHERE key = 'k7'",
    "a file": "UPDATE Cache SET filename = CAST(? AS TEXT) WHERE key = 'large'",
    "a lock": "INSERT INTO cashews_locks VALUES (CAST(? AS TEXT), 'token', 1e12)",
}


@pytest.mark.parametrize("what", STATEMENTS)
async def test_a_row_that_is_not_utf_8_is_skipped_and_removed_with_the_rest(directory, opened, what):
    """Guarantee 24; no command about many keys ends at one of them."""
    await anyio.to_thread.run_sync(filled, directory)
    execute(directory / "cache.db", STATEMENTS[what], STRANGE)
    async with opened() as cache:
        assert {f"k{number}" for number in range(300) if number != 7} <= {key async for key in cache.scan("*")}
        assert len([pair async for pair in cache.get_match("*")]) >= 300
        assert all(isinstance(member, str) and member.isascii() for member in await cache.set_pop("set"))
        assert all(tag.isascii() for tag in await cache.get_key_tags("large"))
        is_readable = what not in {"a value's key", "a value"}
        assert await cache.get("k7") == ([7] * 50 if is_readable else None)
        assert await cache.exists("k7") is is_readable
        await cache.delete_tags("t")
        await cache.delete_match("*")
        assert await cache.get_keys_count() == 0
        assert figures(cache)["damaged"] == 0


@pytest.mark.parametrize("command", ["delete_match", "clear"])
async def test_more_such_rows_than_a_page_has(directory, opened, command):
    async with opened() as cache:
        await cache.set_many({f"k{number:04}": number for number in range(2_500)})
    execute(directory / "cache.db", "UPDATE Cache SET key = CAST(? || key AS TEXT) WHERE key < 'k2400'", STRANGE)
    async with opened() as cache:
        assert len([key async for key in cache.scan("*")]) == 100
        assert figures(cache)["decode_failures"] == 2_400
        await (cache.delete_match("*") if command == "delete_match" else cache.clear())
        assert await cache.get_keys_count() == 0
