"""A reader of the race: a process with a client-side cache, which logs what it reads and when.

``python -m tests.near.reader LOOP BUG URL PREFIX SECONDS SEED`` prints one JSON object: `runs` of equal reads by key,
`marked` reads that follow a marker, and how many `own` writes were not seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from time import monotonic

import anyio
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.exceptions import CacheBackendInteractionError
from tests.near.plants import plant
from tests.near.writer import KEYS, MARKER

TASKS = 6
LAG = 2.0


class Reader:
    """The reading tasks of one process, and their log."""

    def __init__(self, cache: Cache, seconds: float, seed: str) -> None:
        self.cache = cache
        self.until = monotonic() + seconds
        self.runs: dict[str, list[list[object]]] = {key: [] for key in KEYS}
        """By key: value, when it was asked for first, when it was asked for last."""
        self.marked: list[list[object]] = []
        """Version of the marker, key, value, when it was asked for, when it was there."""
        self.newest = dict.fromkeys(KEYS, 0)
        """The newest version of each key that a read has answered."""
        self.reads = self.own = self.unseen = self.went_back = 0
        self.seed, self.own_key = seed, f"own {seed}"

    async def go_on(self, work: Callable[[Random], Awaitable[None]], random: Random) -> None:
        """Do work again and again; a server that is out of reach is tried again, and its refusals are no reads."""
        while monotonic() < self.until:
            with suppress(CacheBackendInteractionError):
                await work(random)
            await checkpoint()

    async def read(self, key: str) -> tuple[object, float]:
        asked, newest = monotonic(), self.newest[key]
        value = await self.cache.get(key)
        if isinstance(value, int):
            self.went_back += value < newest
            self.newest[key] = max(value, self.newest[key])
        runs = self.runs[key]
        if runs and runs[-1][0] == value:
            runs[-1][2] = max(asked, runs[-1][2])
        else:
            runs.append([value, asked, asked])
        self.reads += 1
        return value, asked

    async def read_all(self, random: Random) -> None:
        """Read keys in a random order."""
        for key in random.sample(KEYS, len(KEYS)):
            await self.read(key)

    async def read_behind_the_marker(self, random: Random) -> None:
        """Read the marker on the connection, past the near table, and then keys: none may be older than the marker."""
        marker = await self.cache.get_raw(MARKER)
        for key in random.sample(KEYS, 6):
            value, asked = await self.read(key)
            self.marked.append([int(marker or 0), key, value, asked, monotonic()])

    async def write_own(self, random: Random) -> None:
        """Write a key of one's own, and read it."""
        name, number = self.own_key, random.randrange(1_000_000)
        stored = await self.cache.set(name, number)
        self.own += stored
        self.unseen += stored and await self.cache.get(name) != number
        deleted = await self.cache.delete(name)
        self.own += deleted
        self.unseen += deleted and await self.cache.get(name) is not None

    async def run(self) -> dict[str, object]:
        async with anyio.create_task_group() as tasks:
            for number in range(TASKS):
                work = self.read_all if number % 2 else self.read_behind_the_marker
                tasks.start_soon(self.go_on, work, Random(f"{self.seed} {number}"))
            tasks.start_soon(self.go_on, self.write_own, Random(self.seed))
        figures = self.cache.statistics().backends[""]
        near = {name: figures[name] for name in figures if name.startswith("near_")}
        counted = {"reads": self.reads, "own": self.own, "unseen": self.unseen, "went_back": self.went_back}
        return {
            "runs": self.runs,
            "marked": self.marked,
            "connects": figures["connects"],
            **counted,
            **near,
        }


async def read(url: str, prefix: str, seconds: float, seed: str) -> None:
    options = {"client_side_prefix": prefix, "client_side_lag": LAG, "suppress": False}
    async with Cache.open(url, client_side=True, **options) as cache:
        await cache.get_raw(MARKER)  # the time begins when there is a connection
        print(json.dumps(await Reader(cache, seconds, seed).run()))


def main(loop: str, bug: str, url: str, prefix: str, *rest: str) -> None:
    seconds, seed = rest
    plant(bug)
    anyio.run(read, url, prefix, float(seconds), seed, backend=loop)


if __name__ == "__main__":
    main(*sys.argv[1:])
