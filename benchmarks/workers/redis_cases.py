"""What the cases of all Redis clients are made of: a library is its `get`, its `set`, and the block it runs in."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Awaitable
from functools import partial
from itertools import cycle
from typing import Any

import cases
from cases import KEYS, Call, Loop

CALLERS = 100
TEXT = "a name of somebody"
RECORD = {"id": 7, "name": "a name of somebody", "roles": ["reader", "writer"], "active": True}


class Crowd:
    """A call that many callers make at the same time."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __call__(self) -> Awaitable[object]:
        return self.call()


class Library(cases.Library):
    """A client; `prefix` keeps its keys from the others'."""

    prefix: str

    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop)
        self.url = url
        self.keys = [f"{self.prefix}:{key}" for key in KEYS]

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

    async def repeat(self, call: Call, times: int) -> float:
        if not isinstance(call, Crowd):
            return await super().repeat(call, times)
        left = iter(range(times))

        async def caller() -> None:
            for _ in left:
                await call.call()

        started = time.perf_counter()
        await self.loop.together(caller, CALLERS)
        return time.perf_counter() - started

    async def _reader(self, value: object) -> Call:
        for key in self.keys:
            await self.set(key, self.stored(value))
            if await self.get(key) != self.stored(value):
                message = f"{key!r} was not read as it was written"
                raise AssertionError(message)
        keys, get = cycle(self.keys), self.get
        return lambda: get(next(keys))

    def _writer(self, value: object) -> Call:
        keys, put = cycle(self.keys), self.set
        return partial(lambda value: put(next(keys), value), self.stored(value))

    async def redis_get_text(self) -> Call:
        return Crowd(await self._reader(TEXT))

    async def redis_get_record(self) -> Call:
        return Crowd(await self._reader(RECORD))

    async def redis_set_text(self) -> Call:
        return Crowd(self._writer(TEXT))

    async def redis_set_record(self) -> Call:
        return Crowd(self._writer(RECORD))

    async def redis_get_alone(self) -> Call:
        return await self._reader(TEXT)
