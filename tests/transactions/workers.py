"""Workers of the history tests: random transactions on a few keys, and an account of what became of each.

``python -m tests.transactions.workers LOOP URL MODE SEED COUNT`` is one of several processes: it prints its account as
JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import suppress
from random import Random
from time import monotonic

import anyio
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.engine.coordinator.modes import TransactionMode
from cashews.exceptions import CacheBackendInteractionError, LockedError, LockLostError
from cashews.messages import CommitOutcome

ACCOUNTS = [f"account:{number}" for number in range(6)]
POSTS = ["post:1", "post:2"]
BALANCE = 100
TASKS = 2
"""How many workers one process has."""
TIMEOUT = 0.2
"""Seconds after which a deadlock between processes is given up."""


async def open_accounts(cache):
    """Give every account its balance."""
    await cache.set_many(dict.fromkeys(ACCOUNTS, BALANCE))


class Worker:
    """Does random things in transactions, one after the other; `account` counts what became of what.

    What is counted under "... unknown" may have been applied or not; nothing else is in doubt.
    """

    def __init__(self, cache: Cache, mode: TransactionMode, seed: object, timeout: float = TIMEOUT) -> None:
        self.cache = cache
        self.mode = mode
        self.random = Random(str(seed))
        self.name = str(seed)
        self.timeout = timeout
        self.account: Counter[str] = Counter()

    async def run(self, count: int) -> None:
        """Do so many things."""
        kinds = [self.increment, self.write_pair]
        if self.mode is not TransactionMode.FAST:
            kinds += [self.transfer, self.transfer, self.add_one, self.follow, self.change_posts]
        for number in range(count):
            await self._do(self.random.choice(kinds), number)

    async def _do(self, kind, number):
        outcome = None
        try:
            async with self.cache.transaction(self.mode, timeout=self.timeout) as tx:
                outcome = tx
                await kind(number)
        except LockLostError:
            self.account["lost"] += 1
        except LockedError as error:
            self.account["deadlock" if "deadlock" in str(error) else "timeout"] += 1
        except CacheBackendInteractionError:
            self.account["failed"] += 1
        reached = CommitOutcome.ABORTED if outcome is None else outcome.outcome
        self.account[f"{kind.__name__} {reached.value}"] += 1
        if reached is not CommitOutcome.COMMITTED:
            await self._until_answered()

    async def _until_answered(self):
        """Wait for the server: to go on without it would be over soon, and show nothing."""
        while True:
            with suppress(CacheBackendInteractionError):
                if await self.cache.ping():
                    return
            await checkpoint()

    async def _pause(self):
        for _ in range(self.random.randint(0, 3)):
            await checkpoint()

    async def transfer(self, _):
        """Move money from one account to another."""
        payer, payee = self.random.sample(ACCOUNTS, 2)
        amount = self.random.randint(1, 10)
        before = await self.cache.get(payer, 0)
        await self._pause()
        after = await self.cache.get(payee, 0)
        await self.cache.set(payer, before - amount)
        await self._pause()
        await self.cache.set(payee, after + amount)

    async def add_one(self, _):
        """Read, modify and write."""
        value = await self.cache.get("read and written", 0)
        await self._pause()
        await self.cache.set("read and written", value + 1)

    async def increment(self, _):
        """Have the store count."""
        await self.cache.incr("counted", 1)
        await self._pause()
        await self.cache.incr("counted too", 1)

    async def write_pair(self, number):
        """Write two keys that are always the same."""
        await self.cache.set("left", f"{self.name} {number}")
        await self._pause()
        await self.cache.set("right", f"{self.name} {number}")

    async def follow(self, _):
        """Write one of these two, and read only the other."""
        left = await self.cache.get("left")
        await self._pause()
        await self.cache.set("right", left)

    async def change_posts(self, _):
        """Leave one of two posts if the other is manned, else man both."""
        own, other = self.random.sample(POSTS, 2)
        is_manned = await self.cache.get(other) == "manned"
        await self._pause()
        await self.cache.set_many({own: "empty"} if is_manned else dict.fromkeys(POSTS, "manned"))

    async def use_resource(self, count: int) -> None:
        """Write one's fencing number down while one holds the lock, so many times."""
        for _ in range(count):
            try:
                async with self.cache.lock("resource", expire=5) as lock:
                    used = await self.cache.get("used", [])
                    await self._pause()
                    await self.cache.set("used", [*used, lock.fence])
                self.account["used"] += 1
            except (LockedError, CacheBackendInteractionError):
                self.account["not used"] += 1


async def read_pairs(cache: Cache, seen: list[tuple[object, ...]]) -> None:
    """Read the two keys that are always the same, and the two posts, until cancelled."""
    while True:
        with suppress(CacheBackendInteractionError):
            seen.append(await cache.get_many("left", "right", *POSTS))
        await checkpoint()


async def count_stalls(cache: Cache, account: Counter[str]) -> None:
    """Count how often this process or the server stood still so long that a lock may have ended, until cancelled."""
    while True:
        before = monotonic()
        await anyio.sleep(TIMEOUT / 20)
        await cache.ping()
        account["stalls"] += monotonic() - before > TIMEOUT / 2


async def main(url: str, mode: str, seed: str, count: str) -> None:
    """Be one of several processes."""
    total: Counter[str] = Counter()
    async with Cache.open(url, suppress=False) as cache, anyio.create_task_group() as watching:
        watching.start_soon(count_stalls, cache, total)
        workers = [Worker(cache, TransactionMode(mode), f"{seed}.{number}") for number in range(TASKS)]
        async with anyio.create_task_group() as tasks:
            for worker in workers:
                tasks.start_soon(worker.run, int(count))
                tasks.start_soon(worker.use_resource, int(count) // 10)
        watching.cancel_scope.cancel()
    for worker in workers:
        total += worker.account
    sys.stdout.write(json.dumps(total))


if __name__ == "__main__":
    _, loop, *words = sys.argv
    anyio.run(main, *words, backend=loop)
