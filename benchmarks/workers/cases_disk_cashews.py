"""Disk cases of this library and, word for word the same, of the original: in one file, and spread over eight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import store_cases
from cases import TTL, Call, Loop
from store_cases import RECORD, Crowd, Store

import cashews

ORIGINAL = not hasattr(cashews, "__version__")
SHARDS = 8


class Library(store_cases.Library):
    """Two caches, each in a directory of its own."""

    package = "cashews"

    def __init__(self, loop: Loop, directory: str) -> None:
        super().__init__(loop)
        own = Path(directory, f"{'original' if ORIGINAL else 'cashews'}-{loop.__name__}")
        self._caches = [cashews.Cache(), cashews.Cache()]
        for cache, shards in zip(self._caches, (0, SHARDS), strict=True):
            cache.setup(f"disk://?directory={own}-{shards}&shards={shards}")
        self._single, self._sharded = [store_of(cache) for cache in self._caches]

    def version(self) -> str:
        return super().version() if ORIGINAL else cashews.__version__

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        for cache in self._caches:
            await cache.init()
        try:
            yield
        finally:
            for cache in self._caches:
                await cache.close()

    async def disk_get(self) -> Call:
        return Crowd(await self._single.reader(RECORD))

    async def disk_set(self) -> Call:
        return Crowd(await self._single.writer(RECORD))

    async def disk_get_sharded(self) -> Call:
        return Crowd(await self._sharded.reader(RECORD))

    async def disk_set_sharded(self) -> Call:
        return Crowd(await self._sharded.writer(RECORD))

    async def disk_get_alone(self) -> Call:
        return await self._single.reader(RECORD)

    async def disk_set_alone(self) -> Call:
        return await self._single.writer(RECORD)


def store_of(cache: cashews.Cache) -> Store:
    """Return what the cases ask of a cache."""
    return Store("key", cache.get, lambda key, value: cache.set(key, value, expire=TTL))
