"""How long the event loop stands still with many keys in a memory store: `crowded.py KEYS`.

While they are set, in a full garbage collection, and while commands go over all of them.
"""

from __future__ import annotations

import gc
import sys

import loop_asyncio
from cases import result_of
from lines import answer_with
from million import fill, new_cache, small_int
from ticker import Watch

import cashews


async def scan(cache: cashews.Cache) -> None:
    """Go over all keys."""
    async for _ in cache.scan("user:*"):
        pass


async def collect() -> None:
    """Have the garbage collector walk over everything."""
    gc.collect()


async def measure(keys: int) -> dict[str, object]:
    """Do one thing after the other, and watch."""
    cache, watch = new_cache(keys), Watch(loop_asyncio)
    await watch.step("keys are set", lambda: fill(cache, keys, small_int, lambda: 3600.0))
    await watch.step("a full garbage collection", collect)
    await watch.step("`scan`", lambda: scan(cache))
    await watch.step("`delete_match` that matches nothing", lambda: cache.delete_match("*nothing*"))
    await watch.step("`delete_match` of every tenth key", lambda: cache.delete_match("user:*7"))
    await watch.step("`clear`", cache.clear)
    return {"keys": keys, "steps": watch.steps}


if __name__ == "__main__":
    answer_with(lambda: result_of(loop_asyncio, lambda: measure(int(sys.argv[1]))))
