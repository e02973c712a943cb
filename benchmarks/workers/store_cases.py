"""What the cases of stores outside of memory are made of: `get` and `set`, by many callers and by one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

import cases
from cases import KEYS, Call

Get = Callable[[str], Awaitable[object]]
Put = Callable[[str, Any], Awaitable[object]]

CALLERS = 100
TEXT = "a name of somebody"
RECORD = {"id": 7, "name": "a name of somebody", "roles": ["reader", "writer"], "active": True}


class Crowd:
    """A call that many callers make at the same time."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __call__(self) -> Awaitable[object]:
        return self.call()


class Store:
    """Keys of one's own in a store, and two calls of it; `stored` turns a value into what is given to it."""

    def __init__(self, prefix: str, get: Get, put: Put, stored: Callable[[object], Any] = lambda value: value) -> None:
        self._keys = [f"{prefix}:{key}" for key in KEYS]
        self._get = get
        self._put = put
        self._stored = stored

    async def reader(self, value: object) -> Call:
        """Return a call that reads a value."""
        await self._fill(value)
        keys, get = cycle(self._keys), self._get
        return lambda: get(next(keys))

    async def writer(self, value: object) -> Call:
        """Return a call that writes a value over another."""
        await self._fill(value)
        keys, put, stored = cycle(self._keys), self._put, self._stored(value)
        return lambda: put(next(keys), stored)

    async def _fill(self, value: object) -> None:
        """Write a value under all keys, and see that it is read again."""
        expected = self._stored(value)
        for key in self._keys:
            await self._put(key, expected)
            if await self._get(key) != expected:
                message = f"{key!r} was not read as it was written"
                raise AssertionError(message)


class Library(cases.Library):
    """A library whose calls are made by many callers where a case says so."""

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
