"""What the cases of all Redis clients are made of: a client is its `get`, its `set`, and the block it runs in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from typing import Any

import store_cases
from cases import Call, Loop
from store_cases import RECORD, TEXT, Crowd, Store


class Library(store_cases.Library):
    """A client; `prefix` keeps its keys from the others'."""

    prefix: str

    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop)
        self.url = url
        self.store = Store(self.prefix, self.get, self.set, self.stored)

    @classmethod
    def cases(cls) -> list[str]:
        return ["redis_get_text", "redis_get_record", "redis_set_text", "redis_set_record", "redis_get_alone"]

    @abstractmethod
    def get(self, key: str) -> Awaitable[object]:
        """Return the value of a key."""

    @abstractmethod
    def set(self, key: str, value: Any) -> Awaitable[object]:
        """Keep a value for ten minutes."""

    def stored(self, value: object) -> Any:
        """Return what a value is for this client."""
        return value

    async def redis_get_text(self) -> Call:
        return Crowd(await self.store.reader(TEXT))

    async def redis_get_record(self) -> Call:
        return Crowd(await self.store.reader(RECORD))

    async def redis_set_text(self) -> Call:
        return Crowd(await self.store.writer(TEXT))

    async def redis_set_record(self) -> Call:
        return Crowd(await self.store.writer(RECORD))

    async def redis_get_alone(self) -> Call:
        return await self.store.reader(TEXT)
