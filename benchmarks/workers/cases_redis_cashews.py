"""Redis cases of this library and, word for word the same, of the original."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import redis_cases
from cases import TTL, Loop

import cashews

ORIGINAL = not hasattr(cashews, "__version__")


class Library(redis_cases.Library):
    package = "cashews"
    prefix = "original" if ORIGINAL else "cashews"

    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop, url)
        self._cache = cashews.Cache()
        self._cache.setup(url)

    def version(self) -> str:
        return super().version() if ORIGINAL else cashews.__version__

    def get(self, key: str) -> Awaitable[object]:
        return self._cache.get(key)

    def set(self, key: str, value: Any) -> Awaitable[object]:
        return self._cache.set(key, value, expire=TTL)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._cache.close()
