"""Whatever happens to one message of a batch, each of the others has its own outcome, once."""

import sqlite3
from pathlib import Path
from threading import Event
from time import monotonic

import anyio
import pytest

from cashews import messages as m
from cashews.actors.mailbox import Mailbox
from cashews.backends.disk import lane
from cashews.backends.disk.files import File
from cashews.backends.disk.lane import FailedError
from cashews.backends.disk.reading import Reader
from cashews.backends.disk.writing import Writer
from cashews.exceptions import CacheBackendInteractionError
from tests.disk.conftest import ask, taken, writing
from tests.disk_time import stores_of

pytestmark = pytest.mark.diskcache


class UnforeseenError(Exception):
    pass


@pytest.mark.parametrize("shards", [0, 3])
async def test_a_failure_that_nobody_has_foreseen_is_answered_and_ends_no_lane(opened, shards, monkeypatch, caplog):
    def fail(*_):
        raise UnforeseenError

    async with opened(shards=shards) as cache:
        await cache.set("k", 1)
        with monkeypatch.context() as patch:
            patch.setattr(Reader, "_serve_shards", fail)
            patch.setattr(Writer, "_serve_shards", fail)
            for ask_cache in (cache.get, cache.delete):
                with pytest.raises(CacheBackendInteractionError, match="Unforeseen"):
                    await ask_cache("k")
        assert await cache.get("k") == 1
    caplog.clear()


async def test_who_waits_for_room_is_let_in_when_all_the_others_have_gone(opened, directory, monkeypatch):
    """The thread finds nobody to serve only after those who wait have looked in vain."""
    monkeypatch.setattr(lane, "ROOM", 10)
    take, looked, begun = Mailbox.take, Event(), anyio.Event()

    async def begin():
        await cache.set("begun", 1)
        begun.set()

    async with opened() as cache:
        await cache.set("k", 1)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                with writing(directory):
                    tasks.start_soon(begin)
                    await taken(cache)
                    monkeypatch.setattr(Mailbox, "take", lambda *args: looked.wait(10) and take(*args))
                    async with anyio.create_task_group() as impatient:
                        for number in range(10):
                            impatient.start_soon(cache.set, f"k{number}", 1)
                        await anyio.wait_all_tasks_blocked()
                        tasks.start_soon(cache.set, "late", 1)
                        await anyio.wait_all_tasks_blocked()
                        impatient.cancel_scope.cancel()
                await begun.wait()
                await anyio.wait_all_tasks_blocked()
                looked.set()
        assert await cache.get_many("begun", "late", "k3") == (1, 1, None)


class Sticky(File):
    """A file whose large values cannot be removed."""

    def remove(self, names):
        if names:
            raise PermissionError


def test_what_cannot_be_removed_after_a_commit_has_nothing_served_twice(directory):
    writer = Writer([Sticky(str(directory), {}, 1.0)])
    ask(writer, m.Set("k", bytes(50_000)))
    outcomes = ask(writer, m.Incr("n", 1), m.Delete("k"), m.SetLock("l", "token", 10))
    assert outcomes[:2] == [1, True]
    assert outcomes[2] > 0
    writer.close()


def test_a_value_that_cannot_be_read_fails_alone(files):
    writer, reader = Writer(files[:1]), Reader(files[:1])
    ask(writer, m.Set("bad", bytes(50_000)), m.Set("good", 1))
    (path,) = Path(files[0].directory).rglob("*.val")
    path.unlink()
    path.mkdir()
    bad, good = ask(reader, m.Get("bad"), m.Get("good"))
    assert isinstance(bad, FailedError)
    assert good == 1
    reader.close()
    writer.close()


def test_a_commit_over_several_files_that_meets_a_damaged_one_is_applied_to_a_new_one(files, one_in_each):
    a, b, c = one_in_each
    writer, reader = Writer(files), Reader(files)
    commit = m.Commit((), (m.Set(a, 2), m.Set(b, 2)))
    assert ask(writer, commit, m.Set(c, 3)) == [m.CommitOutcome.COMMITTED, True]
    for path in Path(files[1].directory).glob("cache*"):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
    assert ask(writer, commit) is m.CommitOutcome.COMMITTED
    assert ask(reader, m.GetMany((a, b, c))) == (2, 2, 3)
    assert [file.damaged for file in files] == [0, 1, 0]
    writer.close()
    reader.close()


async def test_without_a_write_ahead_log_a_batch_waits_once_for_who_reads(opened, directory):
    async with opened(sqlite_journal_mode="delete", timeout=0.3) as cache:
        await cache.set("k", 1)
        (store,) = stores_of([cache])
        reading = sqlite3.connect(directory / "cache.db", isolation_level=None)
        reading.execute("BEGIN")
        reading.execute("SELECT * FROM Cache").fetchall()
        failed = []

        async def put(number):
            with pytest.raises(CacheBackendInteractionError, match="another process"):
                await cache.set(f"k{number}", 1)
            failed.append(number)

        before = store.statistics()["batches"]
        began = monotonic()
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(put, number)
        assert monotonic() - began < 20 * 0.3
        assert len(failed) == 20
        assert store.statistics()["batches"] - before <= 2
        reading.close()
        assert await cache.set("k", 2)
