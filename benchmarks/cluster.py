"""Callers on a cluster, beside the cluster clients of redis-py and, if it is installed, coredis.

``python -m benchmarks.cluster CLUSTER [SERVER]``: the URLs of a cluster (``redis+cluster://``) and of a single server.
Prints the commands in a second of a hundred callers, and with a server the time of one caller beside the time there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

from redis.asyncio import RedisCluster

from cashews import Cache

CALLERS = 100
CALLS = 200
ALONE, PAIRS = 200, 60
ROUNDS = 5


async def rate(call: Callable[[str], Awaitable[object]], callers: int = CALLERS, calls: int = CALLS) -> float:
    """Return the calls in a second of some callers."""

    async def caller(number: int) -> None:
        for turn in range(calls):
            await call(f"key:{number}:{turn}")

    began = perf_counter()
    await asyncio.gather(*map(caller, range(callers)))
    return callers * calls / (perf_counter() - began)


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[Mapping[str, Any]]:
    """Open the clients of others."""
    plain = url.replace("+cluster", "")
    async with AsyncExitStack() as stack:
        found: dict[str, Any] = {"redis-py": await stack.enter_async_context(RedisCluster.from_url(plain))}
        if find_spec("coredis") is not None:
            from coredis import RedisCluster as CoredisCluster

            found["coredis"] = await stack.enter_async_context(CoredisCluster.from_url(plain))
        yield found


async def compare(url: str) -> None:
    """Print how a hundred callers fare with each client, the median of some rounds."""
    async with Cache.open(url, suppress=False) as cache, clients(url) as others:
        calls: dict[str, dict[str, Callable[[str], Awaitable[object]]]] = {
            "get": {"ours": cache.get_raw, **{name: client.get for name, client in others.items()}},
            "set": {
                "ours": partial(cache.set_raw, value=b"v"),
                **{name: lambda key, client=client: client.set(key, b"v") for name, client in others.items()},
            },
        }
        for name, each in calls.items():
            rates: dict[str, list[float]] = {who: [] for who in each}
            for _ in range(ROUNDS):
                for who, call in each.items():
                    rates[who].append(await rate(call))
            ours, *rest = [(who, median(found)) for who, found in rates.items()]
            beside = "; ".join([f"{who} {found:,.0f}/s: {ours[1] / found:.1f} times" for who, found in rest])
            print(f"{name}: {ours[1]:,.0f}/s, {beside}")


async def compare_alone(url: str, single: str) -> None:
    """Print how long one caller waits on a cluster, beside a single server: the median of ratios of pairs."""
    async with Cache.open(url, suppress=False) as cluster, Cache.open(single, suppress=False) as server:
        ratios: list[float] = []
        for _ in range(PAIRS):
            there, here = await rate(server.get_raw, 1, ALONE), await rate(cluster.get_raw, 1, ALONE)
            ratios.append(there / here)
    print(f"one caller: {median(ratios):.2f} times as long as on one server")


async def main(url: str, single: str | None = None) -> None:
    await compare(url)
    if single is not None:
        await compare_alone(url, single)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
