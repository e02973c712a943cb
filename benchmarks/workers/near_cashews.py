"""What the cases of this library and, word for word the same, of the original are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from cases import TTL, Call, Loop, echo
from near_cases import Reads
from store_cases import TEXT

import cashews


class Cashews(Reads):
    """This library, or the original, on a store; `options` are those of the store."""

    package = "cashews"

    def __init__(self, loop: Loop, url: str, **options: Any) -> None:
        super().__init__(loop, url)
        self._cache = cashews.Cache()
        self._cache.setup(url, **options)

    def version(self) -> str:
        own: str | None = getattr(cashews, "__version__", None)
        return own or super().version()

    def get(self, key: str) -> Awaitable[object]:
        return self._cache.get(key)

    def set(self, key: str, value: Any) -> Awaitable[object]:
        return self._cache.set(key, value, expire=TTL)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._cache.init()
        try:
            yield
        finally:
            await self._cache.close()

    async def near_decorated(self) -> Call:
        user = self._cache(ttl="10m", key=f"{self.prefix}:decorated:{{uid}}")(echo)
        await user(7)
        await user(7)
        return partial(user, 7)

    async def near_early(self) -> Call:
        user = self._cache.early(ttl="10m", early_ttl="9m", key=f"{self.prefix}:early:{{uid}}")(echo)
        await user(7)
        await user(7)
        return partial(user, 7)

    async def near_get_many(self) -> Call:
        return partial(self._cache.get_many, *(await self._filled(TEXT))[:10])
