"""What the cases of client-side caches are made of, and of the stores that they are compared with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from itertools import count, cycle
from typing import Any

import store_cases
from cases import Call, Loop
from store_cases import RECORD, TEXT, Crowd

FEW = 100
MIXED = 10


class Reads(store_cases.Library):
    """A client that reads by `get` and writes by `set`."""

    prefix = "near"

    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop)
        self.url = url
        self.prefix = f"{self.prefix}:{loop.__name__}"
        self._new = count()

    @classmethod
    def cases(cls) -> list[str]:
        return [name for name in dir(cls) if name.startswith("near_")]

    @abstractmethod
    def get(self, key: str) -> Awaitable[object]:
        """Return the value of a key."""

    @abstractmethod
    def set(self, key: str, value: Any) -> Awaitable[object]:
        """Keep a value for ten minutes."""

    def stored(self, value: object) -> Any:
        """Return what a value is for this client."""
        return value

    async def _filled(self, value: object) -> list[str]:
        keys = [f"{self.prefix}:{number}" for number in range(FEW)]
        for key in keys:
            await self.set(key, self.stored(value))
            await self.get(key)
            await self.get(key)
        return keys

    def _get_new(self) -> Awaitable[object]:
        return self.get(f"{self.prefix}:new:{next(self._new)}")

    async def _reader(self, value: object) -> Call:
        keys, get = cycle(await self._filled(value)), self.get
        return lambda: get(next(keys))

    async def near_get(self) -> Call:
        return await self._reader(TEXT)

    async def near_get_record(self) -> Call:
        return await self._reader(RECORD)

    async def near_set(self) -> Call:
        keys, put, value = cycle(await self._filled(TEXT)), self.set, self.stored(TEXT)
        return lambda: put(next(keys), value)

    async def near_miss(self) -> Call:
        return self._get_new

    async def near_misses(self) -> Call:
        return Crowd(self._get_new)

    async def near_mixed(self) -> Call:
        keys, turns, get, get_new = cycle(await self._filled(TEXT)), count(), self.get, self._get_new
        return Crowd(lambda: get_new() if next(turns) % MIXED == 0 else get(next(keys)))
