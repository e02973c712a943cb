"""A process that writes and reads under load until it is killed: `python -m tests.disk.victim ORDERS`, see `Orders`.

It says on its output what is done: a line with a name and the number of its last step, once that is acknowledged.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass

import anyio

from cashews import Cache
from cashews.clock import SystemClock
from cashews.engine.coordinator.modes import TransactionMode
from tests.disk.scripts import COMMITTERS, READERS, WRITERS, number_of, script, whole


@dataclass(frozen=True)
class Orders:
    """What a process is told: where, on which loop, how late it is, who it is, and which steps are done."""

    directory: str
    shards: int
    loop: str
    late: int
    own: str
    others: str
    done: dict[str, int]

    def __str__(self):
        return json.dumps(asdict(self))

    def names(self, roles):
        """Return the names of those who are in this process."""
        return [f"{self.own}:{role}" for role in roles]


class LateClock(SystemClock):
    """A clock for which the leases of those who were killed have passed."""

    def __init__(self, late):
        self._late = late

    def wall(self):
        return SystemClock.wall() + self._late


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Torn(BaseException):
    """Somebody has seen a part of a transaction, or what was there before one that was acknowledged."""


class Load:
    """Those who write and read in this process."""

    def __init__(self, cache, orders):
        self._cache = cache
        self._done = dict(orders.done)
        self._watched = [f"{each}:{name}" for each in (orders.own, *orders.others) for name in COMMITTERS]

    async def commit(self, name):
        """Commit one transaction after the other; every third committer locks what it writes."""
        mode = TransactionMode.FAST if int(name[-1]) % 3 else TransactionMode.LOCKED
        while True:
            async with self._cache.transaction(mode):
                await self._next(name)
            self._acknowledged(name)

    async def write(self, name):
        while True:
            await self._next(name)
            self._acknowledged(name)

    async def _next(self, name):
        for verb, arguments, options in script(name, self._done[name] + 1):
            await getattr(self._cache, verb)(*arguments, **options)

    def _acknowledged(self, name):
        self._done[name] += 1
        say(name, self._done[name])

    async def read(self, name):
        """Look at the transactions of all committers, here and in other processes."""
        seen = 0
        while True:
            for committer in self._watched:
                await self._look(committer)
            seen += len(self._watched)
            say(name, seen)

    async def _look(self, committer):
        least = self._done.get(committer, 0)
        found = await self._cache.get_many(*reversed(whole(committer)), default=0)
        numbers = set(map(number_of, found))
        if len(numbers) > 1 or min(numbers) < least:
            raise Torn(committer, least, *map(number_of, found))


async def main(orders):
    say("opening")
    options = {"directory": orders.directory, "shards": orders.shards, "suppress": False}
    async with (
        Cache.open("disk://", clock=LateClock(orders.late), **options) as cache,
        anyio.create_task_group() as tasks,
    ):
        load = Load(cache, orders)
        for work, roles in ((load.commit, COMMITTERS), (load.write, WRITERS), (load.read, READERS)):
            for name in orders.names(roles):
                tasks.start_soon(work, name)


if __name__ == "__main__":
    given = Orders(**json.loads(sys.argv[1]))
    anyio.run(main, given, backend=given.loop)
