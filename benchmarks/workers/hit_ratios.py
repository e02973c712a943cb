"""How often a key is found, for each eviction of `mem://`: `hit_ratios.py SIZE REQUESTS`. Only for this library.

Each trace is asked of a fresh cache, and of a dictionary that evicts exactly the least recently used key.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from random import Random

import loop_asyncio
from cases import result_of
from lines import answer_with, report_progress
from traces import TRACES

import cashews

EVICTIONS = ("clock", "s3-fifo")
SEED = 1


def hits_of_lru(size: int, numbers: Sequence[int]) -> int:
    """Return the hits of a cache from which the least recently used key leaves."""
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for number in numbers:
        if number in kept:
            hits += 1
            kept.move_to_end(number)
        else:
            if len(kept) >= size:
                kept.popitem(last=False)
            kept[number] = None
    return hits


async def hits_of(eviction: str, size: int, numbers: Sequence[int]) -> int:
    """Return the hits of a memory store."""
    cache = cashews.Cache()
    cache.setup(f"mem://?size={size}&eviction={eviction}")
    hits = 0
    for number in numbers:
        key = str(number)
        if await cache.get(key) is None:
            await cache.set(key, 1)
        else:
            hits += 1
    await cache.close()
    return hits


async def measure(size: int, requests: int) -> dict[str, object]:
    """Ask every trace of every eviction."""
    traces: list[dict[str, object]] = []
    for trace in TRACES:
        title = (trace.__doc__ or "").rstrip(".")
        report_progress(title)
        numbers = list(islice(trace(Random(SEED), size), requests))
        hits = {"LRU": hits_of_lru(size, numbers)}
        hits |= {eviction: await hits_of(eviction, size, numbers) for eviction in EVICTIONS}
        traces.append({"trace": title, "ratios": {name: count / requests for name, count in hits.items()}})
    return {"size": size, "requests": requests, "traces": traces}


if __name__ == "__main__":
    answer_with(lambda: result_of(loop_asyncio, lambda: measure(int(sys.argv[1]), int(sys.argv[2]))))
