"""A process that is killed leaves a store that opens, with every acknowledged commit whole or absent as a whole."""

import shutil
import sqlite3
from pathlib import Path
from random import Random

import pytest

from cashews import messages as m
from cashews.backends.disk import reading
from cashews.backends.disk.files import File
from cashews.backends.disk.reading import Reader
from cashews.backends.disk.writing import Writer
from tests.disk.conftest import Dying, ask, writing
from tests.disk.kills import Kills
from tests.subjects import rows_in

pytestmark = pytest.mark.diskcache


@pytest.mark.parametrize("shards", [0, 3])
async def test_what_was_acknowledged_is_there_whole_whenever_processes_are_killed(
    opened, tmp_path, shards, anyio_backend
):
    """Guarantee 15, under load; `python -m tests.disk.kills` does it more often."""
    kills = Kills(tmp_path, shards, opened, Random(f"{shards} {anyio_backend}"))
    await kills.run(4)
    assert kills.figures["commits"]
    assert kills.figures["commands"]


@pytest.mark.usefixtures("half_done")
@pytest.mark.parametrize("attempts", [0, 3])
def test_whoever_reads_next_sees_the_whole_commit(files, one_in_each, attempts, monkeypatch):
    monkeypatch.setattr(reading, "SNAPSHOT_ATTEMPTS", attempts)
    reader = Reader(files)
    assert ask(reader, m.GetMany(tuple(reversed(one_in_each)))) == (b"2", 6, 2)
    assert ask(reader, m.LockTimeLeft(one_in_each[1])) is None
    reader.close()


@pytest.mark.usefixtures("half_done")
def test_whoever_writes_next_writes_after_the_whole_commit(files, one_in_each):
    writer, reader = Writer(files), Reader(files)
    _, b, c = one_in_each
    assert ask(writer, m.Incr(b, 1)) == 7
    assert ask(writer, m.Delete(c)) is True
    assert ask(reader, m.GetMany((b, c)))[0] == 7
    assert ask(writer, m.Incr(b, 1)) == 8
    assert ask(writer, m.Commit((), (m.Set(b, 1), m.Set(c, 2)))) is m.CommitOutcome.COMMITTED
    assert ask(reader, m.GetMany((b, c))) == (1, 2)
    reader.close()
    writer.close()


def test_a_commit_over_several_files_that_does_not_fit_leaves_nothing(files, one_in_each):
    writer, reader = Writer(files), Reader(files)
    a, b, c = one_in_each
    ask(writer, m.Set(c, b"no integer"))
    failed = ask(writer, m.Commit((), (m.Set(a, 1), m.Set(b, 1), m.Incr(c, 1))))
    assert isinstance(failed, TypeError)
    assert ask(writer, m.Commit(((a, "not ours"),), (m.Set(a, 1), m.Set(b, 1)))) is m.CommitOutcome.LOST
    found = ask(reader, m.GetMany((a, b)))
    assert not any(found)
    reader.close()
    writer.close()


@pytest.mark.usefixtures("half_done")
def test_what_somebody_else_has_made_of_a_key_stops_nobody(files, one_in_each):
    """diskcache may change what a commit over several files has yet to change."""
    a, b, c = one_in_each
    connection = sqlite3.connect(f"{files[1].directory}/cache.db")
    with connection:
        connection.execute("UPDATE Cache SET value = 'text' WHERE key = ?", (b,))
    connection.close()
    writer, reader = Writer(files), Reader(files)
    assert ask(reader, m.GetMany((a, b, c))) == (2, "text", b"2")
    assert ask(reader, m.LockTimeLeft(b)) is None
    assert ask(writer, m.Set(b, 1)) is True
    reader.close()
    writer.close()


def test_a_first_file_that_was_lost_counts_on_from_the_others(files, one_in_each):
    a, b, _ = one_in_each
    dying = Writer(files)
    for number in range(5):
        ask(dying, m.Commit((), (m.Set(a, number), m.Set(b, number))))
    dying.close()
    shutil.rmtree(files[0].directory)
    files = [File(file.directory, {}, 0.0) for file in files]
    reader, dying = Reader(files), Dying(files)
    assert ask(reader, m.Get(b)) == 4
    with writing(Path(files[0].directory)):
        assert ask(reader, m.Get(b)) == 4
    ask(dying, m.Commit((), (m.Set(a, 99), m.Set(b, 99))))
    dying.close()
    assert ask(reader, m.GetMany((a, b))) == (99, 99)
    reader.close()


def test_nothing_is_crossed_out_of_the_ledger_of_another_file(files, one_in_each, directory):
    """The first file was deleted after a commit, and whoever made it anew was killed within another one."""
    a, b, _ = one_in_each
    writer, dying, reader = Writer(files), Dying(files), Reader(files)
    ask(writer, m.Commit((), (m.Set(a, 1), m.Set(b, 1))))
    shutil.rmtree(directory)
    ask(dying, m.Commit((), (m.Set(a, 99), m.Set(b, 99))))
    dying.close()
    ask(writer, m.Set(a, 100))
    assert ask(reader, m.GetMany((a, b))) == (100, 99)
    reader.close()
    writer.close()


def test_what_is_about_to_expire_at_a_commit_leaves_no_tags(files, one_in_each, directory):
    dying, writer = Dying(files), Writer(files)
    a, b, _ = one_in_each
    ask(dying, m.Commit((), (m.Set(a, 1), m.SetTagged(b, 1, 0, tags=("tag",)))))
    dying.close()
    assert ask(writer, m.Delete(b)) is False
    assert rows_in(directory, "cashews_tags") == 0
    writer.close()


def test_the_ledger_is_bounded(files, directory, one_in_each):
    writer = Writer(files)
    for number in range(20):
        assert ask(writer, m.Commit((), tuple(m.Set(key, number) for key in one_in_each))) is m.CommitOutcome.COMMITTED
    assert rows_in(directory, "cashews_ledger") == 2
    ask(writer, m.Set(one_in_each[0], 1))
    assert rows_in(directory, "cashews_ledger") == 0
    writer.close()


class Replaced(File):
    """A file whose large values are replaced by others whenever they are about to be read, so many times."""

    times = 0
    replace = None

    def read(self, name):
        if Replaced.times:
            Replaced.times -= 1
            Replaced.replace()
        return super().read(name)


@pytest.mark.parametrize(("times", "seen"), [(1, 1), (2, 2), (3, 2)])
def test_values_with_files_of_their_own_are_seen_whole_with_the_others(files, one_in_each, times, seen, monkeypatch):
    """Guarantee 15, by whoever reads a row just before its value is replaced; the third time, nobody replaces it."""
    writer = Writer([File(file.directory, {}, 0.0) for file in files])
    reader = Reader([Replaced(file.directory, {}, 1.0) for file in files])
    a, b, c = one_in_each
    numbers = iter(range(10))

    def commit():
        number = next(numbers)
        writes = (m.Set(a, number), m.Set(b, b"%d" % number * 40_000), m.Set(c, number))
        return ask(writer, m.Commit((), writes))

    assert commit() is m.CommitOutcome.COMMITTED
    monkeypatch.setattr(Replaced, "replace", staticmethod(commit))
    monkeypatch.setattr(Replaced, "times", times)
    assert ask(reader, m.GetMany((a, b, c))) == (seen, b"%d" % seen * 40_000, seen)
    assert next(numbers) == times + 1
    reader.close()
    writer.close()
