"""Many threads with event loops of their own use one cache under load. Guarantee 30."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

from tests.engine.elsewhere import PATIENCE
from tests.internals import inside


class Worker:
    """Mixed operations in a loop of its own; each checks its answer."""

    def __init__(self, cache, number, start):
        self.cache = cache
        self.number = number
        self.start = start
        self.done = 0

        @cache(ttl=100, key="shared:{n}")
        async def square(n):
            return n * n

        self.square = square

    async def run(self):
        await anyio.to_thread.run_sync(self.start.wait, PATIENCE)
        for turn in range(200):
            await getattr(self, f"step_{turn % 8}")(turn)
            self.done += 1

    async def step_0(self, turn):
        await self.cache.set(f"{self.number}:{turn}", turn, expire=100)
        assert await self.cache.get(f"{self.number}:{turn}") == turn

    async def step_1(self, turn):
        await self.cache.incr("count")

    async def step_2(self, turn):
        async with self.cache.lock("lock", 30):
            held = await self.cache.get("in the lock", 0)
            await self.cache.set("in the lock", held + 1)

    async def step_3(self, turn):
        assert await self.square(turn % 16) == (turn % 16) ** 2

    async def step_4(self, turn):
        async with self.cache.transaction(timeout=PATIENCE):
            await self.cache.set("in a transaction", await self.cache.get("in a transaction", 0) + 1)

    async def step_5(self, turn):
        await self.cache.set(f"{self.number}:tagged", turn, tags=[f"{self.number}"])
        await self.cache.delete_tags(f"{self.number}")
        assert await self.cache.get(f"{self.number}:tagged") is None

    async def step_6(self, turn):
        with anyio.move_on_after(0):
            await self.cache.set("left", turn)
        await self.cache.delete("shared:1")

    async def step_7(self, turn):
        found = {key async for key in self.cache.scan(f"{self.number}:*")}
        assert f"{self.number}:{turn - 7}" in found


@pytest.mark.trio
@pytest.mark.parametrize("home", ["asyncio", "trio"])
def test_eight_threads_with_loops_of_their_own(stored, home):
    before = set(threading.enumerate())  # those of an earlier test's cache end when that is collected
    start, failures = threading.Barrier(9), []
    workers = [Worker(stored, number, start) for number in range(8)]

    def work(worker, backend):
        try:
            anyio.run(worker.run, backend=backend)
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)

    async def main():
        await stored.set("first", 1)
        running = [
            threading.Thread(target=work, args=(worker, ("asyncio", "trio")[worker.number % 2])) for worker in workers
        ]
        for thread in running:
            thread.start()
        await anyio.to_thread.run_sync(start.wait, PATIENCE)
        for thread in running:
            await anyio.to_thread.run_sync(thread.join)
        assert failures == []
        assert [worker.done for worker in workers] == [200] * 8
        assert await stored.get_many("count", "in the lock", "in a transaction") == (200, 200, 200)
        assert stored.statistics().lock_waiters == stored.statistics().loads == stored.statistics().leases == 0
        await stored.close()
        assert stored.statistics().tasks == 0
        assert inside(stored).held() == {}

    anyio.run(main, backend=home)
    assert not [thread for thread in {*threading.enumerate()} - before if thread.name.startswith("cashews")]
