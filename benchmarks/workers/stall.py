"""How long the event loop stands still while many keys expire at one instant and are swept: `stall.py KEYS`."""

from __future__ import annotations

import gc
import sys
import time

import loop_asyncio
from cases import result_of
from lines import answer_with, report_progress
from million import fill, new_cache, seconds_per_set, small_int
from ticker import Ticker

import cashews

CALM_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


async def measure(keys: int) -> dict[str, object]:
    """Fill a cache with keys that expire together, and watch."""
    calm, busy = Ticker(loop_asyncio), Ticker(loop_asyncio)
    await calm.tick_until(time.perf_counter() + CALM_SECONDS)
    cache = new_cache(keys)
    per_set = await seconds_per_set(cache, small_int)
    deadline = time.perf_counter() + keys * per_set * 1.5 + 2
    await fill(cache, keys, small_int, lambda: max(0.001, deadline - time.perf_counter()))
    filled_in_time = time.perf_counter() < deadline
    gc.collect()
    report_progress(f"{keys:,} keys set; watching them expire")
    await busy.tick_until(deadline + 2 + keys * 3e-6)  # for the original's second and what it takes then
    left = await wait_until_swept(cache, busy)
    return {
        "keys": keys,
        "calm": calm.longest,
        "stall": busy.longest,
        "left": left,
        "filled_in_time": filled_in_time,
    }


async def wait_until_swept(cache: cashews.Cache, ticker: Ticker) -> int:
    """Go on ticking until no key is left; return how many still are when patience is at its end."""
    end = time.perf_counter() + PATIENCE_SECONDS
    while left := await cache.get_keys_count():
        if time.perf_counter() > end:
            break
        await ticker.tick_until(time.perf_counter() + 1)
    return left


if __name__ == "__main__":
    answer_with(lambda: result_of(loop_asyncio, lambda: measure(int(sys.argv[1]))))
