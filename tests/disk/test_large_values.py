"""Values with files of their own: whole or absent, named by nobody else, and gone with their rows."""

import errno
import os

import diskcache
import pytest

from cashews import messages as m
from cashews.backends.disk.culling import cull
from cashews.backends.disk.files import File
from cashews.backends.disk.lane import FailedError
from cashews.backends.disk.orphans import MOST_FILES, NAMED
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.writing import Writer
from tests.disk.conftest import ask
from tests.disk.test_opening import execute, query

pytestmark = pytest.mark.diskcache
NAME = "ab/cd/" + "0" * 28 + ".val"
TEXT = "one\r\ntwo\rthree\nvier: für\u2028" * 5_000


def large_files(directory):
    return sorted(directory.rglob("*.val"))


# --- what they hold


@pytest.mark.parametrize("value", [TEXT, TEXT.encode(), "\ufeff" + TEXT])
async def test_a_large_value_comes_back_as_it_went_in(cache, directory, value):
    await cache.set_raw("k", value)
    assert await cache.get_raw("k") == value
    assert len(large_files(directory)) == 1


async def test_a_counter_that_was_stored_as_bytes_leaves_its_file(opened, directory):
    async with opened(disk_min_file_size=1, suppress=False) as cache:
        await cache.set_raw("k", b"41", expire=100)
        assert len(large_files(directory)) == 1
        assert [await cache.incr("k"), await cache.incr("k", -2)] == [42, 40]
        assert await cache.get("k") == 40
        assert await cache.get_expire("k") == 100
    assert large_files(directory) == []
    assert query(directory, "SELECT size, filename FROM Cache") == [(0, None)]
    assert query(directory, "SELECT value FROM Settings WHERE key = 'size'") == [(0,)]


async def test_large_text_of_diskcache_is_read_as_it_was_written(opened, directory):
    with diskcache.Cache(str(directory)) as theirs:
        theirs.set("k", TEXT)
        async with opened() as cache:
            assert await cache.get_raw("k") == TEXT
            await cache.set_raw("k", TEXT * 2)
        assert theirs.get("k").encode().split() == (TEXT * 2).encode().split()  # it makes one newline of each


@pytest.mark.parametrize("size", [10, 50_000])
@pytest.mark.parametrize("kind", [bytes, str])
async def test_subclasses_are_stored_like_their_bases(cache, size, kind):
    class Odd(kind):
        pass

    value = kind(b"x" * size) if kind is bytes else "x" * size
    assert await cache.set_raw("k", Odd(value))
    assert await cache.get_raw("k") == value


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"x" * 50_001, b"x" * 60_000])
async def test_a_file_of_another_length_is_no_value(cache, directory, content):
    """Guarantee 24: a power failure may leave a part of it."""
    for key, value in (("text", "x" * 50_000), ("bytes", b"x" * 50_000)):
        await cache.set_raw(key, value)
    for path in large_files(directory):
        path.write_bytes(content)
    assert await cache.get_raw("text") is None
    assert await cache.get_raw("bytes") is None
    assert await cache.set_raw("text", "y" * 50_000)
    assert await cache.get_raw("text") == "y" * 50_000


async def test_text_that_is_none_any_more_is_no_value(cache, directory):
    await cache.set_raw("k", "x" * 50_000)
    (path,) = large_files(directory)
    path.write_bytes(b"\xff" * 50_000)
    assert await cache.get_raw("k") is None


# --- their names


@pytest.fixture
async def changed(cache, directory):
    """Return a function that has a row say something else about its file, which then is where the row says."""
    await cache.set_raw("k", b"x" * 50_000, expire=100)
    (path,) = large_files(directory)

    def change(mode, name):
        there = directory / name
        there.parent.mkdir(parents=True, exist_ok=True)
        path.rename(there)
        execute(directory, "UPDATE Cache SET mode = ?, filename = ?", mode, name)
        return there

    return change


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (2, "../outside"),
        (3, "../outside"),
        (2, "ab/cd/../../../outside"),
        (2, "cache.txt"),
        (2, NAME.replace("0", "g")),
        (2, f"{NAME}\n"),
        (2, f"ab/{NAME}"),
        (0, NAME),
        (1, NAME),
        (4, NAME),
        (7, NAME),
    ],
)
async def test_what_diskcache_does_not_name_is_absent_and_left_alone(cache, changed, mode, name):
    path = changed(mode, name)
    assert await cache.get_raw("k") is None
    assert await cache.exists("k") is False
    assert await cache.get_expire("k") == -2
    assert await cache.delete("k") is False
    assert await cache.set("k", 1, exist=False)
    assert await cache.get("k") == 1
    assert path.exists() == (name != NAME)


async def test_a_foreign_file_is_not_overwritten_by_counted_hits(cache, directory):
    @cache.hit(ttl=100, cache_hits=10, key="hot")
    async def hot():
        return bytes(50_000)

    await hot()
    (path,) = large_files(directory)
    content, outside = path.read_bytes(), directory.parent / "outside"
    path.rename(outside)
    execute(directory, "UPDATE Cache SET filename = '../outside'")
    await hot()
    assert outside.read_bytes() == content


async def test_an_absolute_name_is_left_alone(cache, directory, tmp_path):
    (tmp_path / "outside").write_bytes(b"x" * 50_000)
    await cache.set_raw("k", b"x" * 50_000)
    execute(directory, "UPDATE Cache SET filename = ?", str(tmp_path / "outside"))
    assert await cache.get_raw("k") is None
    await cache.set("k", 1)
    await cache.clear()
    assert (tmp_path / "outside").exists()


async def test_the_names_of_another_system_are_understood(cache, directory):
    await cache.set_raw("k", b"x" * 50_000)
    execute(directory, r"UPDATE Cache SET filename = REPLACE(filename, '/', '\')")
    assert await cache.get_raw("k") == b"x" * 50_000
    await cache.delete("k")
    assert large_files(directory) == []


# --- what is left of them


class Full(File):
    """A file on a disk that gets full in the middle of a large value."""

    def write(self, name, content):
        super().write(name, content[:100])
        raise OSError(errno.ENOSPC, "full")


def test_a_large_value_that_does_not_fit_leaves_nothing(directory):
    writer = Writer([Full(str(directory), {}, 1.0)])
    outcomes = ask(writer, m.Set("a", 1), m.Set("k", bytes(50_000)), m.Set("b", 1))
    assert [type(outcome) for outcome in outcomes] == [bool, FailedError, bool]
    assert isinstance(ask(writer, m.Commit((), (m.Set("k", bytes(50_000)),))), FailedError)
    writer.close()
    assert large_files(directory) == []
    assert [path.name for path in directory.iterdir() if path.is_dir()] == []


def orphan(directory, number, at=0.0, name=NAME):
    path = directory / name.replace("0" * 28, f"{number:028x}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (at, at))
    return path


async def test_files_that_no_row_names_are_removed_when_they_are_old(opened, directory, clock):
    """A process that is killed while it writes leaves them."""
    directory.mkdir()
    old, young = orphan(directory, 1), orphan(directory, 2, at=3_000.0)
    others = [orphan(directory, 3, name=name) for name in ("ab/cd/notes.val", "ab/notes.val", f"ab/{NAME}")]
    async with opened() as cache:
        await cache.set("kept", bytes(50_000))
        (kept,) = {*large_files(directory)} - {old, young, *others}
        os.utime(kept, (0, 0))
        await cache.set("k", 1)
        assert old.exists()
        await cache.close()
    await clock.advance(3_600)
    async with opened() as cache:
        await cache.get("k")
        assert old.exists()
        await cache.set("k", 2)
        assert large_files(directory) == sorted([kept, young, *others])
        assert await cache.get("kept") == bytes(50_000)


async def test_orphans_are_looked_for_a_few_at_a_time(opened, directory, clock):
    for number in range(2 * MOST_FILES):
        orphan(directory, number)
    await clock.advance(10_000)
    left = []
    async with opened() as cache:
        for _ in range(4):
            await cache.set("k", 1)
            left.append(len(large_files(directory)))
            await cache.set("k", 2)
            assert len(large_files(directory)) == left[-1]
            await clock.advance(1)
    assert left == [MOST_FILES + 2, 2, 0, 0]


@pytest.fixture
def shelf(directory):
    shelf = Shelf(File(str(directory), {}, 1.0))
    shelf.begin_writing()
    yield shelf
    shelf.close()


def test_a_file_is_no_orphan_if_its_row_comes_back(shelf, directory):
    """What a transaction has deleted is there again if it is taken back."""
    shelf.put("k", b"x" * 50_000, None, 0.0)
    shelf.commit()
    (path,) = large_files(directory)
    os.utime(path, (0, 0))
    shelf.begin_writing()
    shelf.drop(shelf.any_row("k"))
    cull(shelf, 10_000.0)
    shelf.roll_back()
    shelf.begin_reading()
    assert shelf.value(shelf.row("k", 0.0)) == b"x" * 50_000


def test_no_look_for_a_name_goes_through_the_whole_table(shelf):
    plan = shelf.sql(f"EXPLAIN QUERY PLAN {NAMED}", ("a", "b")).fetchall()
    assert "cashews_files" in plan[0][3]
