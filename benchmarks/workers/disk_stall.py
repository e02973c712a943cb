"""How long the event loop stands still while values on disk are used: `disk_stall.py LOOP KEYS DIRECTORY`.

First 100 callers write and read, then many keys are written, counted, scanned and removed; with no keys, the callers
are all.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from importlib import import_module

from cases import Loop, result_of
from lines import answer_with
from store_cases import CALLERS, RECORD
from ticker import Watch

import cashews

CALLS = 100
BATCH = 500
TAGGED = 10_000


async def measure(loop: Loop, keys: int, directory: str) -> dict[str, object]:
    """Do everything once, in one file."""
    cache, watch = cashews.Cache(), Watch(loop)
    cache.setup(f"disk://?directory={directory}&shards=0", size_limit=10**11)
    await cache.init()
    try:
        await under_load(cache, watch, loop)
        if keys:
            await with_many_keys(cache, watch, keys)
    finally:
        await cache.close()
    return {"keys": keys, "steps": watch.steps}


async def under_load(cache: cashews.Cache, watch: Watch, loop: Loop) -> None:
    """Have many callers write and read."""
    numbers = iter(range(CALLERS * 3))

    async def write() -> None:
        caller = next(numbers)
        for call in range(CALLS):
            await cache.set(f"{caller % CALLERS}:{call}", RECORD, expire=600)

    async def read() -> None:
        caller = next(numbers)
        for call in range(CALLS):
            await cache.get(f"{caller % CALLERS}:{call}")

    await watch.step(f"`set`, {CALLERS} callers", lambda: loop.together(write, CALLERS))
    await watch.step(f"`get`, {CALLERS} callers", lambda: loop.together(read, CALLERS))


async def with_many_keys(cache: cashews.Cache, watch: Watch, keys: int) -> None:
    """Fill the file and empty it again."""

    async def fill() -> None:
        for first in range(0, keys, BATCH):
            await cache.set_many({f"user:{number}": number for number in range(first, first + BATCH)}, expire=600)

    async def tag() -> None:
        for number in range(TAGGED):
            await cache.set(f"tagged:{number}", number, expire=600, tags=["tag"])

    await watch.step(f"`set_many` of {BATCH} keys, {keys // BATCH:,} times", fill)
    await watch.step("`get_keys_count`", cache.get_keys_count)
    await watch.step("`scan`, a tenth matches", lambda: consume(lambda: cache.scan("user:*9")))
    await watch.step("`get_match`, a tenth matches", lambda: consume(lambda: cache.get_match("user:*9")))
    await watch.step("`delete_match` of a tenth", lambda: cache.delete_match("user:1*"))
    await watch.step(f"`set` of {TAGGED:,} tagged values", tag)
    await watch.step(f"`delete_tags` of {TAGGED:,} values", lambda: cache.delete_tags("tag"))
    await watch.step("`clear`", cache.clear)


async def consume(stream: Callable[[], AsyncIterator[object]]) -> None:
    """Take all items."""
    async for _ in stream():
        pass


if __name__ == "__main__":
    _, name, number, place = sys.argv
    chosen: Loop = import_module(f"loop_{name}")
    answer_with(lambda: result_of(chosen, lambda: measure(chosen, int(number), place)))
