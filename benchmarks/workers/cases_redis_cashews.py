"""Redis cases of this library and, word for word the same, of the original."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import redis_cases
from cases import TTL, Call, Loop

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

    @classmethod
    def cases(cls) -> list[str]:
        own = [name for name, member in vars(cls).items() if name.startswith("redis_") and callable(member)]
        return [*super().cases(), *own]

    async def redis_two_sets(self) -> Call:
        return self._two_sets

    async def redis_transaction_fast(self) -> Call:
        return partial(self._in_transaction, "fast")

    async def redis_transaction_locked(self) -> Call:
        return partial(self._in_transaction, "locked")

    async def redis_transaction_serializable(self) -> Call:
        return partial(self._in_transaction, "serializable")

    async def _two_sets(self) -> None:
        await self._cache.set(f"{self.prefix}:first", 7)
        await self._cache.set(f"{self.prefix}:second", 7)

    async def _in_transaction(self, mode: str) -> None:
        async with self._cache.transaction(cashews.TransactionMode(mode)):
            await self._two_sets()
