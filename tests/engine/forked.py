"""Workers that are forked from one process: each prints its draws of chance, and its faults under load, as JSON.

``python -m tests.engine.forked URL OPTIONS WORKERS SECONDS`` forks the workers of a pre-forking server.
"""

from __future__ import annotations

import json
import os
import sys
from random import Random

import anyio
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.exceptions import CacheError
from tests.internals import inside

ITEMS = 250
"""The items of a run."""


class Worker:
    """Uses one lock and one iterator together with all other workers, while some of its tasks are cancelled."""

    def __init__(self, cache: Cache, number: int) -> None:
        self.cache = cache
        self.number = number
        self.random = Random(number)
        self.runs = 0
        self.counts = {"runs": 0, "mixed runs": 0, "turns": 0, "foreign unlocks": 0}

        @cache.iterator(0.3, key="run")
        async def run():
            self.runs += 1
            own = f"{number}:{self.runs}"
            for item in range(ITEMS):
                if item % 100 == 0:
                    await checkpoint()
                yield own, item

        self.run = run

    async def read(self) -> None:
        items = [item async for item in self.run()]
        self.counts["runs"] += 1
        whole = [number for _, number in items] == list(range(ITEMS))
        self.counts["mixed runs"] += not whole or len({own for own, _ in items}) != 1

    async def lock(self) -> None:
        async with self.cache.lock("lock", 30):
            with anyio.CancelScope(shield=True):  # a count that was begun is ended
                inside = await self.cache.incr("inside")
                await checkpoint()
                self.counts["turns"] += 1
                self.counts["foreign unlocks"] += inside != 1
                await self.cache.incr("inside", -1)

    async def steps(self, deadline: float) -> None:
        while anyio.current_time() < deadline:
            with anyio.move_on_after(self.random.choice((0.001, 0.01, 1))):
                await self.random.choice((self.read, self.lock))()

    async def work(self, seconds: float) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(self.steps, anyio.current_time() + seconds)


def main() -> None:
    url, options, workers, seconds = sys.argv[1:]
    cache = Cache()
    cache.setup(url, **json.loads(options))
    given = Cache(random=Random(7))
    pipes = []
    for number in range(int(workers)):
        reader, writer = os.pipe()
        if os.fork() == 0:
            worker = Worker(cache, number)
            draws = [inside(cache).engine.random.random() for _ in range(3)]
            try:
                anyio.run(worker.work, float(seconds))
            except CacheError as error:
                worker.counts["error"] = repr(error)
            told = {"draws": draws, "given": inside(given).engine.random.random(), **worker.counts}
            os.write(writer, json.dumps(told).encode())
            os._exit(0)
        os.close(writer)
        pipes.append(reader)
    told = [json.loads(os.read(reader, 100_000) or b"null") for reader in pipes]
    for _ in pipes:
        os.wait()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
