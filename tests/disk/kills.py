"""Processes that are killed under load, and what is checked then: `python -m tests.disk.kills [KILLS [SEED]]`."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

import anyio

from cashews import Cache
from cashews import messages as m
from cashews.backends.disk.files import count_shards
from cashews.engine.coordinator.modes import TransactionMode
from tests.disk.scripts import COMMITTERS, WRITERS, Expected, call, script
from tests.disk.victim import Orders
from tests.disk_time import stores_of
from tests.subjects import rows_in

ROOT = Path(__file__).parents[2]
PROCESSES = "ab"
SOON, LATER = 200, 1_000
"""Within how many lines of its output a process under load is killed."""
PAUSE, OPENING = 300_000, 1_500_000
"""For how many turns of an empty loop at most it then lives on, under load and while it opens."""
LATE = 1_000
"""By how many seconds each round is later than the one before: the leases of whoever was killed have passed."""
OURS = [f"ours{number}" for number in range(10)]
"""The keys of whoever checks; some are in each file."""
SPREAD = {"set_many", "delete_tags", "delete_match"}
"""What is no transaction, and may be done in one file and not yet in another."""
NOTHING = (
    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check != 'ok'",
    "SELECT key FROM cashews_tags EXCEPT SELECT key FROM Cache WHERE raw = 1",
    "SELECT key FROM cashews_parts EXCEPT SELECT key FROM cashews_kept",
    "SELECT value FROM Settings WHERE key = 'count' EXCEPT SELECT COUNT(*) FROM Cache",
    "SELECT value FROM Settings WHERE key = 'size' EXCEPT SELECT IFNULL(SUM(size), 0) FROM Cache",
)
"""Questions about a file that must have no answer."""
FIGURES = (
    ("load", "kills under load"),
    ("opening", "kills while opening"),
    ("commits", "acknowledged commits"),
    ("commands", "acknowledged commands"),
    ("seen", "transactions seen by readers"),
    ("landed", "commits found that were not acknowledged"),
    ("between", "commits killed between their first and their last file"),
    ("ledger", "rows of the ledger found"),
    ("orphans", "large files without a row"),
)


class Process:
    """A process that is killed some lines after its beginning, and a moment."""

    def __init__(self, orders, lines, pause):
        command = [sys.executable, "-m", "tests.disk.victim", str(orders)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self._lines = lines
        self._pause = pause

    def killed(self):
        """Kill it; return the number of the last step that it has acknowledged, by name."""
        with self._process as process:
            lines = [process.stdout.readline() for _ in range(self._lines)]
            for _ in range(self._pause):  # a part of a commit
                pass
            process.kill()
            lines += process.stdout
        assert process.returncode == -signal.SIGKILL, "it has ended by itself: its errors say why"
        return {name: int(number) for name, number in map(str.split, lines[1:])}


def query(path, *questions):
    """Ask a file that nobody uses; return all answers."""
    with closing(sqlite3.connect(path)) as connection:
        return [answer for question in questions for answer in connection.execute(question).fetchall()]


class Directory:
    """A directory in which processes are killed, and what must be found in it."""

    def __init__(self, path, shards, figures):
        self.path = path
        self.shards = shards
        self._figures = figures
        self.done = {f"{process}:{role}": 0 for process in PROCESSES for role in COMMITTERS + WRITERS}
        self._expected = {name: Expected() for name in self.done}
        self._landed = set()
        """Whose last commit has not been acknowledged."""

    @property
    def files(self):
        return sorted(self.path.rglob("cache.db"))

    # --- as the kill has left it

    def look_inside(self):
        """Look at the files before anybody opens them: at copies, since SQLite tidies up what it opens."""
        with TemporaryDirectory() as place:
            copies = [self._copied(file, Path(place, str(number))) for number, file in enumerate(self.files)]
            check_files(self.path, copies)
            self._count_entries(copies)

    def _copied(self, file, place):
        place.mkdir()
        for path in (file, file.with_name("cache.db-wal")):
            if path.exists():
                shutil.copy(path, place)
        return place / file.name

    def _count_entries(self, files):
        entries = query(files[0], "SELECT shard, number FROM cashews_ledger")
        marks = [dict(query(file, "SELECT name, value FROM cashews_marks")).get("applied", 0) for file in files]
        self._figures["ledger"] += len(entries)
        self._figures["between"] += len({number for shard, number in entries if number > marks[shard]})

    # --- as the next one finds it

    async def check(self, cache, acknowledged, random):
        """Check all that whoever opens the directory can see; he reads first, or writes first."""
        if random.randrange(2):
            await self._write(cache)
        self._landed.clear()
        for name in self.done:
            await self._check_steps(cache, name, acknowledged.get(name, self.done[name]))
        await self._check_keys(cache)
        await self._check_tags(cache, random)
        await self._write(cache)
        assert rows_in(self.path, "cashews_ledger") == 0

    async def _check_steps(self, cache, name, acknowledged):
        """Check that all acknowledged steps are there, and the next one whole or not at all."""
        steps = [each for number in range(self.done[name] + 1, acknowledged + 1) for each in script(name, number)]
        before, step = self._expected[name].after(steps), script(name, acknowledged + 1)
        after = before.after(step)
        found = await found_in(cache, before.held.keys() | after.held.keys())
        landed = found == after.held != before.held
        assert landed or found == before.held or (self._spreads(step) and is_part(found, before.held, after.held)), name
        self._count(name, acknowledged, landed=landed)
        self.done[name] = acknowledged + landed
        self._expected[name] = Expected(found)

    def _spreads(self, step):
        return self.shards and len(step) == 1 and step[0][0] in SPREAD

    def _count(self, name, acknowledged, *, landed):
        commits = "committer" in name
        self._figures["commits" if commits else "commands"] += acknowledged - self.done[name]
        if commits and landed:
            self._figures["landed"] += 1
            self._landed.add(name)

    async def _check_keys(self, cache):
        """Check that there is what is expected, and nothing else."""
        held = {key: each for expected in self._expected.values() for key, each in expected.held.items()}
        values = {key: value for key, (value, _) in held.items() if not isinstance(value, frozenset)}
        assert sorted([key async for key in cache.scan("*")]) == sorted(held)
        assert await cache.get_keys_count() == len(held)
        assert await cache.get_many(*values) == tuple(values.values())
        for key, tags in [(key, tags) for key, (_, tags) in held.items() if tags]:
            assert await cache.get_key_tags(key) == tags

    async def _check_tags(self, cache, random):
        """Check that whoever carries a tag goes with it, and nobody else."""
        name = random.choice(sorted(self.done))
        tag = f"{name}:tag{random.choice(('', 0, 1))}"
        await cache.delete_tags(tag)
        self._expected[name] = self._expected[name].after([call("delete_tags", tag)])
        await self._check_keys(cache)

    async def _write(self, cache):
        """Commit over all files, twice: the second commit crosses out the first, and what follows the second."""
        for number in range(2):
            async with cache.transaction(TransactionMode.FAST):
                for key in OURS:
                    await cache.set(key, number)
        await cache.set_many(dict.fromkeys(OURS, 2))
        self._expected["ours"] = Expected(dict.fromkeys(OURS, (2, ())))

    # --- as it is left then

    def check_closed(self):
        """Check the files, and that a commit which was not acknowledged has given back its locks."""
        check_files(self.path, self.files)
        locks = [key for file in self.files for (key,) in query(file, "SELECT key FROM cashews_locks")]
        assert not [key for key in locks for name in self._landed if name in key]

    def orphans(self):
        """Return how many files of large values belong to no row."""
        return len(set(self.path.rglob("*.val")) - {path for file in self.files for path in large_files(file, file)})


def large_files(file, original):
    """Return the files of large values that the rows of a file name."""
    named = query(file, "SELECT filename FROM Cache WHERE filename IS NOT NULL")
    return [original.parent / name for (name,) in named]


def check_files(path, files):
    """Check what must hold in files, which may be copies of those in a directory."""
    for file, original in zip(files, sorted(path.rglob("cache.db")), strict=True):
        assert query(file, *NOTHING) == []
        assert all(large.exists() for large in large_files(file, original))


async def found_in(cache, keys):
    """Return what a store holds under some keys: values with their tags, and sets."""
    (store,) = stores_of([cache])
    states = {key: await store.ask(m.Peek(key)) for key in sorted(keys)}
    return {key: (state.members or state.value, state.tags) for key, state in states.items() if not state.absent}


def is_part(found, before, after):
    """Say whether each key is as it was before a step or as it is after it."""
    return all(found.get(key) in (before.get(key), after.get(key)) for key in before | after)


class Kills:
    """Rounds of kills. `opened` is a function that opens a cache, given its directory and how many shards it has."""

    def __init__(self, place, shards, opened, random, lines=SOON):
        self._lines = lines
        self._place = place
        self._shards = shards
        self._opened = opened
        self._random = random
        self._late = 0
        self.figures = Counter()
        self._lasting = Directory(place / "lasting", shards, self.figures)
        self._plans = cycle((self.under_load, self.while_making, self.two, self.while_opening))

    async def run(self, kills):
        """Have at least so many processes killed under load."""
        wanted = self.figures["load"] + kills
        while self.figures["load"] < wanted:
            self._late += LATE
            await next(self._plans)()
        self.figures["orphans"] = self._lasting.orphans()

    async def under_load(self):
        await self._check(self._lasting, self._kill(self._lasting, self._random.choice(PROCESSES)))

    async def two(self):
        """Kill two processes that share the directory, each at a moment of its own."""
        await self._check(self._lasting, self._kill(self._lasting, *PROCESSES))

    async def while_opening(self):
        await self._check(self._lasting, self._kill_opening(self._lasting))

    async def while_making(self):
        """Kill a process that makes the files: there are none of them, as far as anybody can tell, or all."""
        directory = Directory(self._place / f"new{self._late}", self._shards, self.figures)
        acknowledged = self._kill_opening(directory)
        assert count_shards(str(directory.path)) in {0, self._shards}
        await self._check(directory, acknowledged)
        shutil.rmtree(directory.path)

    def _kill(self, directory, *processes):
        self.figures["load"] += len(processes)
        moments = [(self._random.randint(2, self._lines), self._random.randint(0, PAUSE)) for _ in processes]
        begun = [Process(self._orders(directory, own), *at) for own, at in zip(processes, moments, strict=True)]
        with ThreadPoolExecutor(len(begun)) as threads:  # who is not read from waits, once the pipe is full
            acknowledged = list(threads.map(Process.killed, begun))
        directory.look_inside()
        return {name: number for each in acknowledged for name, number in each.items()}

    def _kill_opening(self, directory):
        self.figures["opening"] += 1
        orders = self._orders(directory, self._random.choice(PROCESSES))
        return Process(orders, 1, self._random.randint(0, OPENING)).killed()

    def _orders(self, directory, own):
        others, loop = PROCESSES.replace(own, ""), self._random.choice(("asyncio", "trio"))
        return Orders(str(directory.path), self._shards, loop, self._late, own, others, directory.done)

    async def _check(self, directory, acknowledged):
        self.figures["seen"] += sum(number for name, number in acknowledged.items() if "reader" in name)
        async with self._opened(directory=directory.path, shards=self._shards) as cache:
            await directory.check(cache, acknowledged, self._random)
        directory.check_closed()


def opened(**options):
    return Cache.open("disk://", suppress=False, **options)


def main(kills=200, seed=0):
    """Kill for each layout, and say in a line what was checked."""
    for shards in (0, 3):
        with TemporaryDirectory() as place:
            begun = perf_counter()
            rounds = Kills(Path(place), shards, opened, Random(seed), LATER)
            for loop in ("asyncio", "trio"):
                anyio.run(rounds.run, kills // 2, backend=loop)
            figures = [f"{rounds.figures[name]:,} {text}" for name, text in FIGURES]
            print(f"{shards} shards", *figures, f"{perf_counter() - begun:.0f} s", sep=", ")  # noqa: T201  its purpose


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
