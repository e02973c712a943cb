"""Cases of `anyio.functools.lru_cache`, a decorator and nothing else, on asyncio and on trio."""

from __future__ import annotations

from functools import partial
from itertools import count

import cases
from anyio.functools import lru_cache
from cases import SIZE, TTL, Call, Stampede, echo


class Library(cases.Library):
    package = "anyio"

    async def decorated_hit(self) -> Call:
        user = lru_cache(maxsize=SIZE, ttl=TTL)(echo)
        await user(7)
        return partial(user, 7)

    async def decorated_miss(self) -> Call:
        user, cold = lru_cache(maxsize=SIZE, ttl=TTL)(echo), count()
        return lambda: user(next(cold))

    async def stampede(self) -> Call:
        return Stampede(self.loop, lru_cache(maxsize=SIZE, ttl=TTL))
