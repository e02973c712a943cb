"""How files are made, opened and missed: whole or not at all, and without waiting for longer than is wished."""

import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from time import monotonic

import anyio
import diskcache
import pytest

from cashews import messages as m
from cashews.backends.disk import schema
from cashews.backends.disk.files import File, count_shards
from cashews.backends.disk.reading import Reader
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.writing import Writer
from cashews.exceptions import CacheBackendInteractionError, WrongOptionError
from tests.disk.conftest import ask, writing
from tests.disk.test_closing import resident

pytestmark = pytest.mark.diskcache
CHANGES = [{"size_limit": 10**6}, {"eviction_policy": "least-recently-used"}, {"sqlite_journal_mode": "delete"}]


def query(directory, question):
    with closing(sqlite3.connect(Path(directory, "cache.db"))) as connection:
        return connection.execute(question).fetchall()


def execute(directory, statement, *given):
    with closing(sqlite3.connect(Path(directory, "cache.db"))) as connection, connection:
        connection.execute(statement, given)


def schema_of(directory):
    return dict(query(directory, "SELECT name, sql FROM sqlite_master"))


@pytest.fixture
def shelf(directory):
    """Return a function that opens a file of the directory with some settings."""
    shelves = []

    def open_shelf(**settings):
        shelf = Shelf(File(str(directory), settings, 10.0))
        shelf.open()
        shelves.append(shelf)
        return shelf

    yield open_shelf
    for each in shelves:
        each.close()


# --- what is made


@pytest.mark.parametrize("policy", ["none", "least-recently-stored", "least-recently-used", "least-frequently-used"])
def test_a_file_has_what_diskcache_makes_and_what_we_add(shelf, directory, tmp_path, policy):
    given = {"eviction_policy": policy, "size_limit": 10**6, "sqlite_auto_vacuum": 2, "sqlite_cache_size": 100}
    shelf(**given).close()
    diskcache.Cache(str(tmp_path / "theirs"), **given).close()
    ours, theirs = schema_of(directory), schema_of(tmp_path / "theirs")
    assert {name: sql for name, sql in ours.items() if "cashews_" not in name} == theirs
    assert {name for name in ours if name.startswith("cashews_")} == schema.OURS
    for question in ("SELECT * FROM Settings ORDER BY key", "PRAGMA journal_mode", "PRAGMA auto_vacuum"):
        assert query(directory, question) == query(tmp_path / "theirs", question)


def test_a_file_knows_its_schema_whoever_has_made_it(shelf, directory):
    diskcache.Cache(str(directory)).close()
    for _ in range(2):
        shelf().close()
        assert query(directory, "SELECT value FROM cashews_marks WHERE name = 'schema'") == [(1,)]
        execute(directory, "DELETE FROM cashews_marks")


def test_the_mark_of_a_later_version_stays(shelf, directory):
    shelf().close()
    execute(directory, "UPDATE cashews_marks SET value = 2")
    shelf(cull_limit=3).close()
    assert query(directory, "SELECT value FROM cashews_marks") == [(2,)]


def test_a_file_that_somebody_has_half_made_is_completed(shelf, directory):
    diskcache.Cache(str(directory)).close()
    whole = schema_of(directory)
    execute(directory, "DROP TRIGGER Settings_size_insert")
    execute(directory, "DELETE FROM Settings WHERE key = 'size'")
    shelf().close()
    assert schema_of(directory).items() >= whole.items()
    assert query(directory, "SELECT value FROM Settings WHERE key = 'size'") == [(0,)]


def test_a_file_that_cannot_be_made_is_not_made_by_half(shelf, directory, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STATEMENTS", [*schema.STATEMENTS, "nonsense"])
        with pytest.raises(sqlite3.OperationalError, match="nonsense"):
            shelf()
    assert schema_of(directory) == {}
    shelf()


def test_files_are_made_by_many_at_once_each_with_settings_of_his_own(directory):
    barrier = Barrier(8)

    def open_one(limit):
        shelf = Shelf(File(str(directory), {"cull_limit": limit}, 60.0))
        barrier.wait()
        shelf.open()
        with closing(shelf):
            return shelf.settings.cull_limit

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(open_one, range(8))) == list(range(8))


# --- waiting


@pytest.mark.parametrize("change", CHANGES, ids=str)
async def test_who_comes_with_other_settings_waits_for_no_longer_than_he_wants(opened, directory, change):
    async with opened() as cache:
        await cache.set("k", 1)
    async with opened(timeout=0.2, **change) as cache:
        with writing(directory):
            begun = monotonic()
            with pytest.raises(CacheBackendInteractionError, match="another process"):
                await cache.set("k", 2)
            with pytest.raises(CacheBackendInteractionError, match="another process"):
                await cache.get("k")
            assert monotonic() - begun < 10
        assert await cache.get("k") == 1
    settings = dict(query(directory, "SELECT key, value FROM Settings"))
    assert settings.items() >= change.items()


@pytest.mark.parametrize("change", CHANGES, ids=str)
async def test_a_cancelled_scope_does_not_wait_for_a_file_to_be_changed(opened, directory, change):
    async with opened() as cache:
        await cache.set("k", 1)
    with writing(directory), anyio.CancelScope() as scope:
        async with opened(timeout=3_600, **change) as cache, anyio.create_task_group() as tasks:
            tasks.start_soon(cache.get, "k")
            tasks.start_soon(cache.set, "k", 2)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert resident() == []


async def test_a_file_that_cannot_be_changed_can_be_read_with_other_settings(opened, shelf, directory):
    async with opened() as cache:
        await cache.set("k", 1)
    with (directory / "cache.db").open("r+b") as file:
        file.seek(18)
        file.write(b"\3")  # whoever knows formats up to 2 may read, and not write
    assert shelf(cull_limit=3).settings.cull_limit == 3
    async with opened(size_limit=10**6) as cache:
        assert await cache.get("k") == 1
        with pytest.raises(CacheBackendInteractionError, match="readonly"):
            await cache.set("k", 2)


# --- shards


def sharded(directory):
    places = [str(directory / f"{number:03}") for number in range(3)]
    return [File(place, {}, 10.0, (str(directory), *reversed(places))) for place in places]


def test_all_directories_are_there_before_any_file(directory):
    writer = Writer(sharded(directory)[1:2])
    ask(writer, m.Set("k", 1))
    writer.close()
    assert [path.parent.name for path in directory.rglob("cache.db")] == ["001"]
    assert count_shards(str(directory)) == 3


def test_the_first_directory_is_made_last(directory):
    """Otherwise some of them would pass for all, once a process is killed in between."""
    directory.mkdir()
    (directory / "001").write_text("in the way")
    writer = Writer(sharded(directory))
    assert isinstance(ask(writer, m.Set("k", 1)), Exception)
    assert (directory / "002").exists()
    assert count_shards(str(directory)) == 0


async def test_shards_are_looked_for_when_they_are_needed(opened):
    early = opened()
    async with opened(shards=3) as cache:
        await cache.set_many({f"k{number}": number for number in range(10)})
    async with early:
        assert await early.get_many(*[f"k{number}" for number in range(10)]) == tuple(range(10))
        assert await early.get_keys_count() == 10


# --- a directory that is gone


@pytest.mark.parametrize("shards", [0, 3])
@pytest.mark.parametrize("again", [False, True])
async def test_a_directory_that_was_deleted_is_made_anew(opened, directory, shards, again):
    large = bytes(50_000)
    async with opened(shards=shards) as cache:
        await cache.set_many({f"k{number}": number for number in range(10)})
        assert await cache.get("k1") == 1
        shutil.rmtree(directory)
        if again:
            directory.mkdir()
        assert await cache.get("k1") is None
        assert await cache.set("k2", large)
        assert await cache.get_many("k2", "k3") == (large, None)
        async with opened(shards=None) as other:
            assert await other.get("k2") == large
            assert await other.incr("k3") == 1
        assert await cache.get("k3") == 1
    assert directory.stat().st_mode & 0o077 == 0 or again


async def test_a_directory_that_somebody_has_replaced_is_the_one_that_counts(opened, directory):
    async with opened() as cache:
        await cache.set("k", "old")
        assert await cache.get("k") == "old"
        directory.rename(directory.with_name("moved"))
        async with opened() as other:
            await other.set("k", "new")
            assert await cache.get("k") == "new"
            assert await cache.incr("n") == 1
            assert await other.get("n") == 1
    async with opened(directory=directory.with_name("moved")) as cache:
        assert await cache.get_many("k", "n") == ("old", None)


def test_a_deleted_ledger_brings_nothing_back(directory, one_in_each):
    a, b, _ = one_in_each
    files = sharded(directory)
    writer, reader = Writer(files), Reader(files)
    assert ask(writer, m.Commit((), (m.Set(a, 1), m.Set(b, 1)))) is m.CommitOutcome.COMMITTED
    shutil.rmtree(directory)
    ask(writer, m.SetLock(b, "token", 10))
    assert ask(reader, m.Exists(b)) is False
    writer.close()
    reader.close()


# --- where it is


async def test_another_working_directory_later_is_no_matter(opened, tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    cache = opened(directory="cache")
    monkeypatch.chdir(tmp_path / "other")
    async with cache:
        await cache.set("k", bytes(50_000))
        monkeypatch.chdir(tmp_path)
        assert await cache.get("k") == bytes(50_000)
    assert list(tmp_path.rglob("cache.db")) == [tmp_path / "one" / "cache" / "cache.db"]


async def test_a_path_is_expanded_once(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "$NAME/~")
    monkeypatch.setenv("NAME", "wrong")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with opened(directory="~/$PLACE") as cache:
        await cache.set("k", 1)
    assert list(tmp_path.rglob("*.db")) == [tmp_path / "$NAME" / "~" / "cache.db"]
    assert not (tmp_path / "wrong").exists()


def test_a_home_that_nobody_has_is_a_wrong_option(opened):
    with pytest.raises(WrongOptionError, match="'directory' is '~nobody of this name/cache'"):
        opened(directory="~nobody of this name/cache")


@pytest.mark.parametrize("shards", [0, 2])
async def test_what_we_make_is_the_users_own_from_the_directory_on(opened, tmp_path, shards):
    before = os.umask(0)
    try:
        async with opened(directory=tmp_path / "above" / "cache", shards=shards) as cache:
            await cache.set_many({f"k{number}": number for number in range(10)})
    finally:
        os.umask(before)
    made = [path.parent for path in (tmp_path / "above").rglob("cache.db")]
    assert [path.stat().st_mode & 0o777 for path in {tmp_path / "above" / "cache", *made}] == [0o700] * (1 + shards)
    assert (tmp_path / "above").stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("shards", [0, 2])
async def test_files_are_the_users_own_in_a_directory_that_is_open_to_all(opened, directory, shards):
    before = os.umask(0)
    try:
        directory.mkdir(mode=0o777)
        async with opened(shards=shards, disk_min_file_size=100) as cache:
            await cache.set_many({f"k{number}": bytes(1_000) for number in range(10)})
            files = [path for path in directory.rglob("*") if path.is_file()]
            modes = {path.name.rpartition("-")[2]: path.stat().st_mode & 0o777 for path in files}
            folders = {path.stat().st_mode & 0o777 for path in directory.rglob("*") if path.is_dir()}
    finally:
        os.umask(before)
    assert {"cache.db", "wal", "shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert folders == {0o700}
