"""Calls of which each has another result."""

import anyio

RESULTS = {"hit": 2, "miss": 2, "stale": 0, "shared": 1}


def calls_of(cache, clock):
    """Return a function that makes five calls: two load for a second each, one shares a load, two are hits."""

    @cache(ttl="1m", key="{n}")
    async def value(n):
        await clock.advance(1)
        return n

    async def make():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(value, 1)
            tasks.start_soon(value, 1)
        for n in (1, 2, 2):
            await value(n)

    return make
