"""A process that is killed leaves a store that opens, with every acknowledged commit whole or absent as a whole."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from cashews import messages as m
from cashews.backends.disk import serving
from cashews.backends.disk.files import File, shard_of
from cashews.backends.disk.lane import Part
from cashews.backends.disk.serving import Reader, Writer
from tests.disk.committer import KEYS
from tests.subjects import rows_in

pytestmark = pytest.mark.diskcache
HERE = Path(__file__).parent
KILLS = int(os.environ.get("CASHEWS_KILLS", "5"))
"""How many processes are killed per layout; more of them take longer."""


def killed_while_committing(directory, shards, random):
    """Have a process commit, and kill it at a moment of its own; returns the last commit that it has acknowledged."""
    command = [sys.executable, str(HERE / "committer.py"), str(directory), str(shards)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = [process.stdout.readline() for _ in range(random.randint(1, 40))]
        for _ in range(random.randint(0, 20_000)):  # part of a commit
            pass
        process.kill()
        lines += process.stdout.readlines()
    return int([line for line in lines if line.endswith("\n")][-1])


@pytest.mark.parametrize("shards", [0, 3])
async def test_commits_are_whole_whenever_the_process_is_killed(opened, directory, shards):
    """Guarantee 15."""
    random = Random(shards)
    for _ in range(KILLS):
        acknowledged = killed_while_committing(directory, shards, random)
        async with opened(shards=shards) as cache:
            found = {await cache.get(key) for key in KEYS}
            assert len(found) == 1
            (number,) = found
            assert acknowledged <= number <= acknowledged + 1
            assert await cache.get("counter") == number
            assert await cache.get("large") == b"%d " % number * 10_000
            assert await cache.set_pop("set") == [str(number)]
            await cache.set_add("set", str(number))
    for path in directory.rglob("cache.db"):
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


class KilledError(Exception):
    pass


class Dying(Writer):
    """A writer whose process ends once a commit is in the ledger, before the other files are committed."""

    def _finish(self, shards, number):
        raise KilledError


@pytest.fixture
def files(directory):
    return [File(str(directory / f"{number:03}"), {}, 1.0) for number in range(3)]


def ask(server, message):
    part = Part(message, 1_000.0)
    server.serve([part])
    return part.outcome


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


@pytest.mark.usefixtures("half_done")
@pytest.mark.parametrize("glances", [0, 3])
def test_whoever_reads_next_sees_the_whole_commit(files, one_in_each, glances, monkeypatch):
    monkeypatch.setattr(serving, "GLANCES", glances)
    reader = Reader(files)
    assert ask(reader, m.GetMany(tuple(reversed(one_in_each)))) == (b"2", 6, 2)
    assert ask(reader, m.IsLocked(one_in_each[1])) is None
    reader.close()


@pytest.mark.usefixtures("half_done")
def test_whoever_writes_next_writes_after_the_whole_commit(files, one_in_each):
    writer, reader = Writer(files), Reader(files)
    _, b, c = one_in_each
    assert ask(writer, m.Incr(b, 1)) == 7
    assert ask(writer, m.Delete(c)) is True
    assert ask(reader, m.GetMany((b, c)))[0] == 7
    assert ask(writer, m.Incr(b, 1)) == 8
    assert ask(writer, m.Commit((), (m.Set(b, 1), m.Set(c, 2)))) is m.Outcome.COMMITTED
    assert ask(reader, m.GetMany((b, c))) == (1, 2)
    reader.close()
    writer.close()


def test_a_commit_over_several_files_that_does_not_fit_leaves_nothing(files, one_in_each):
    writer, reader = Writer(files), Reader(files)
    a, b, c = one_in_each
    ask(writer, m.Set(c, b"no integer"))
    failed = ask(writer, m.Commit((), (m.Set(a, 1), m.Set(b, 1), m.Incr(c, 1))))
    assert isinstance(failed, TypeError)
    assert ask(writer, m.Commit(((a, "not ours"),), (m.Set(a, 1), m.Set(b, 1)))) is m.Outcome.LOST
    found = ask(reader, m.GetMany((a, b)))
    assert not any(found)
    reader.close()
    writer.close()


def test_the_ledger_is_bounded(files, directory, one_in_each):
    writer = Writer(files)
    for number in range(20):
        assert ask(writer, m.Commit((), tuple(m.Set(key, number) for key in one_in_each))) is m.Outcome.COMMITTED
    assert rows_in(directory, "cashews_ledger") == 2
    ask(writer, m.Set(one_in_each[0], 1))
    assert rows_in(directory, "cashews_ledger") == 0
    writer.close()
