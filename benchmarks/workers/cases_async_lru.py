"""Cases of async-lru, a decorator and nothing else, on asyncio only."""

from __future__ import annotations

from functools import partial
from itertools import count

import cases
from async_lru import alru_cache
from cases import SIZE, TTL, Call, Stampede, echo


class Library(cases.Library):
    package = "async-lru"

    async def decorated_hit(self) -> Call:
        user = alru_cache(maxsize=SIZE, ttl=TTL)(echo)
        await user(7)
        return partial(user, 7)

    async def decorated_miss(self) -> Call:
        user, cold = alru_cache(maxsize=SIZE, ttl=TTL)(echo), count()
        return lambda: user(next(cold))

    async def stampede(self) -> Call:
        return Stampede(self.loop, alru_cache(maxsize=SIZE, ttl=TTL))
