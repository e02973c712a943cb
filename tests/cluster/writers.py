"""Writers who check every reply, for as long as something happens to their cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio

from cashews import Cache


@asynccontextmanager
async def counting(cache: Cache, keys: Collection[str]) -> AsyncIterator[dict[str, int]]:
    """Count and store under each key during a block, a task for each.

    No command may fail. After the block, every acknowledged write is there, and no increment was made twice.
    """
    ended = anyio.Event()
    counted = dict.fromkeys(keys, 0)

    async def count(key: str) -> None:
        while not ended.is_set():
            counted[key] += 1
            assert await cache.incr(f"{key}:count") == counted[key]
            assert await cache.set(key, counted[key])

    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(count, key)
        yield counted
        ended.set()
    assert await cache.get_many(*keys) == tuple(counted.values())
    assert await cache.get_many(*(f"{key}:count" for key in keys)) == tuple(counted.values())
