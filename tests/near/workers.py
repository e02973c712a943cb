"""The processes beside a proof: ``python -m tests.near.workers count URL ROUNDS`` and ``commit_pairs URL``."""

from __future__ import annotations

import sys
from itertools import count as numbers

import anyio

from cashews import Cache
from cashews.engine.coordinator.modes import TransactionMode
from tests.near.race import PREFIX


def opened(url: str) -> Cache:
    return Cache.open(url, client_side=True, client_side_prefix=PREFIX, suppress=False)


async def commit_pairs(url: str) -> None:
    """Commit two equal keys together, until somebody ends the process."""
    async with opened(url) as cache:
        for number in numbers():
            async with cache.transaction(mode=TransactionMode.FAST):
                await cache.set_many({"a": number, "b": number})


async def count(url: str, rounds: str) -> None:
    """Read a number, add one to it and write it, in transactions."""
    async with opened(url) as cache:
        for _ in range(int(rounds)):
            await cache.get("n")
            async with cache.transaction(timeout=1_000):
                await cache.set("n", await cache.get("n", default=0) + 1)


WORK = {"count": count, "commit_pairs": commit_pairs}

if __name__ == "__main__":
    anyio.run(WORK[sys.argv[1]], *sys.argv[2:])
