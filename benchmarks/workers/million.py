"""A cache filled with many keys, and what it is filled with; the same for this library and for the original."""

from __future__ import annotations

import time
from collections.abc import Callable

import loop_asyncio
from lines import report_progress

import cashews

BATCH = 1_000  # keys set between two turns of the event loop
PROGRESS_SECONDS = 2.0

Value = Callable[[int], object]


def small_int(number: int) -> int:
    """Return a value that costs nothing, since CPython keeps one object for each small integer."""
    return number % 100


def short_string(number: int) -> str:
    """Return a value of some 15 characters, one object for each key."""
    return f"name of {number}"


VALUES: dict[str, Value] = {"small int": small_int, "short string": short_string}


def new_cache(size: int) -> cashews.Cache:
    """Return a memory cache with room for so many keys, looking for expired ones every second."""
    cache = cashews.Cache()
    cache.setup(f"mem://?size={size}&check_interval=1")
    return cache


async def fill(cache: cashews.Cache, keys: int, value: Value, ttl: Callable[[], float]) -> None:
    """Set keys named `user:{number}`, each with the time to live that it is given at that moment."""
    shown = time.perf_counter()
    for first in range(0, keys, BATCH):
        for number in range(first, min(first + BATCH, keys)):
            await cache.set(f"user:{number}", value(number), expire=ttl())
        await loop_asyncio.sleep(0)
        if time.perf_counter() - shown > PROGRESS_SECONDS:
            shown = time.perf_counter()
            report_progress(f"{first:,} of {keys:,} keys set")


async def seconds_per_set(cache: cashews.Cache, value: Value) -> float:
    """Find out how long one `set` takes here."""
    trial = 5_000
    started = time.perf_counter()
    await fill(cache, trial, value, lambda: 600.0)
    return (time.perf_counter() - started) / trial
