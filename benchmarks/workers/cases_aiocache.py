"""Cases of aiocache and its memory store, on asyncio only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any

import aiocache
import cases
from cases import KEYS, TEN_KEYS, TTL, Call, Stampede, echo

cache = aiocache.Cache(aiocache.Cache.MEMORY)


def cached(prefix: str) -> Callable[[Any], Any]:
    """Decorate as aiocache does, with keys like the others'."""
    decorator: Callable[[Any], Any] = aiocache.cached(ttl=TTL, key_builder=lambda _function, uid: f"{prefix}:{uid}")
    return decorator


class Library(cases.Library):
    package = "aiocache"

    async def decorated_hit(self) -> Call:
        user = cached("user")(echo)
        await user(7)
        return partial(user, 7)

    async def decorated_miss(self) -> Call:
        user, cold = cached("cold")(echo), count()
        return lambda: user(next(cold))

    async def get(self) -> Call:
        await cache.set("user:7", 7, ttl=TTL)
        return partial(cache.get, "user:7")

    async def set(self) -> Call:
        keys = cycle(KEYS)
        return lambda: cache.set(next(keys), 7, ttl=TTL)

    async def get_many(self) -> Call:
        for key in TEN_KEYS:
            await cache.set(key, 7, ttl=TTL)
        return partial(cache.multi_get, TEN_KEYS)

    async def incr(self) -> Call:
        return partial(cache.increment, "counter")

    async def stampede(self) -> Call:
        return Stampede(self.loop, cached("stampede"))
