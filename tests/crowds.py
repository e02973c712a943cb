"""A crowd of callers at once: ``python -m tests.crowds --store redis --loop asyncio --callers 100000``.

It prints how many of their writes are lost, and the microseconds that each took.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from time import perf_counter

import anyio

from cashews import Cache
from tests.oracle.__main__ import STORES, address


async def lost_of(cache: Cache, callers: int) -> int:
    """Have so many tasks write a key each, all at once; returns how many of the values are not there."""
    async with anyio.create_task_group() as tasks:
        for number in range(callers):
            tasks.start_soon(cache.set, f"crowd:{number}", number)
    found = await cache.get_many(*(f"crowd:{number}" for number in range(callers)))
    return sum(value != number for number, value in enumerate(found))


async def run(url: str, options: dict[str, object], callers: int) -> None:
    async with Cache.open(url, **options) as cache:
        started = perf_counter()
        lost = await lost_of(cache, callers)
        each = (perf_counter() - started) / callers
        print(f"{callers:,} callers at once: {lost} writes lost, {each * 1e6:.0f} µs each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=STORES, default="redis")
    parser.add_argument("--loop", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--callers", type=int, default=100_000)
    asked = parser.parse_args()
    with ExitStack() as stack:
        url, options = address(asked.store, stack)
        if asked.store.startswith("mem"):
            options["size"] = 2 * asked.callers
        anyio.run(run, url, options, asked.callers, backend=asked.loop)


if __name__ == "__main__":
    main()
