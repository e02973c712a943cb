"""A hundred callers on a cluster, beside the cluster client of redis-py: ``python -m benchmarks.cluster URL``.

The URL is one of ``redis+cluster://``. Prints the commands in a second for reads and for writes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter

from redis.asyncio import RedisCluster

from cashews import Cache

CALLERS = 100
CALLS = 200


async def rate(call: Callable[[str], Awaitable[object]]) -> float:
    """Return the calls in a second of a hundred callers."""

    async def caller(number: int) -> None:
        for turn in range(CALLS):
            await call(f"key:{number}:{turn}")

    began = perf_counter()
    await asyncio.gather(*map(caller, range(CALLERS)))
    return CALLERS * CALLS / (perf_counter() - began)


async def main(url: str) -> None:
    async with Cache.open(url, suppress=False) as cache, RedisCluster.from_url(url.replace("+cluster", "")) as client:
        await cache.ping()
        await client.ping()
        reads = await rate(cache.get_raw), await rate(client.get)
        writes = await rate(lambda key: cache.set_raw(key, b"v")), await rate(lambda key: client.set(key, b"v"))
    for name, (ours, theirs) in {"get": reads, "set": writes}.items():
        print(f"{name}: {ours:,.0f}/s, redis-py {theirs:,.0f}/s: {ours / theirs:.1f} times")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
