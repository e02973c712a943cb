"""Cases of cachetools. It is not async at all: nothing is awaited here, and its figures are a floor for the others."""

from __future__ import annotations

import time
from functools import partial
from itertools import count, cycle
from typing import Any

import cachetools
import cases
from cases import KEYS, SIZE, TTL, Call


def echo(uid: int) -> int:
    """Do nothing, and not even asynchronously."""
    return uid


class Library(cases.Library):
    package = "cachetools"

    async def repeat(self, call: Call, times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            call()
        return time.perf_counter() - started

    async def decorated_hit(self) -> Any:
        user = cachetools.cached(cachetools.TTLCache(SIZE, TTL))(echo)
        user(7)
        return partial(user, 7)

    async def decorated_miss(self) -> Any:
        user, cold = cachetools.cached(cachetools.TTLCache(SIZE, TTL))(echo), count()
        return lambda: user(next(cold))

    async def get(self) -> Any:
        cache: cachetools.TTLCache[str, int] = cachetools.TTLCache(SIZE, TTL)
        cache["user:7"] = 7
        return partial(cache.get, "user:7")

    async def set(self) -> Any:
        cache: cachetools.TTLCache[str, int] = cachetools.TTLCache(SIZE, TTL)
        keys = cycle(KEYS)
        return lambda: cache.__setitem__(next(keys), 7)
