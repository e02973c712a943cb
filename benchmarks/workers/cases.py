"""What all libraries' cases are made of.

A library is a class with one small method for each case it can do. The method prepares what the case needs and
returns the call to measure; its name is the case's name in the driver's table. Keys, sizes and times to live stand
here, so that they are the same for all.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from importlib.metadata import version
from inspect import iscoroutinefunction
from typing import Any, Protocol

SIZE = 1_000_000
TTL = 600
KEYS = [f"user:{uid}" for uid in range(1_000)]
TEN_KEYS = KEYS[:10]
CALLERS = 10_000
LOAD_SECONDS = 0.02

Call = Callable[[], Awaitable[object]]
Function = Callable[[int], Coroutine[Any, Any, int]]


class Loop(Protocol):
    """What the cases need of an event loop; the modules `loop_asyncio` and `loop_trio` have it."""

    __name__: str

    def run(self, main: Callable[[], Coroutine[object, object, None]]) -> None: ...
    def together(self, call: Call, count: int) -> Coroutine[object, object, None]: ...
    def sleep(self, seconds: float) -> Awaitable[object]: ...


def result_of(loop: Loop, main: Callable[[], Awaitable[dict[str, object]]]) -> dict[str, object]:
    """Run a measurement in an event loop and return its result."""
    results: list[dict[str, object]] = []

    async def collect() -> None:
        results.append(await main())

    loop.run(collect)
    return results[0]


async def echo(uid: int) -> int:
    """Do nothing, so that a measurement shows the cache alone."""
    return uid


async def ten(uid: int) -> AsyncIterator[int]:
    """Do nothing, ten times."""
    for number in range(10):
        yield uid + number


async def consume(stream: Callable[[int], AsyncIterator[int]], uid: int) -> None:
    """Take all items."""
    async for _ in stream(uid):
        pass


class Library:
    """A library on an event loop, with its cases as methods."""

    package: str

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def version(self) -> str:
        """Return the version that is measured."""
        return version(self.package)

    @classmethod
    def cases(cls) -> list[str]:
        """Return the names of the cases that this library can do."""
        return [name for name, member in vars(cls).items() if iscoroutinefunction(member) and name != "repeat"]

    def running(self) -> AbstractAsyncContextManager[object]:
        """Return the block in which the cases are measured."""
        return nullcontext()

    async def repeat(self, call: Call, times: int) -> float:
        """Make a call that many times; return the seconds that all of them took."""
        started = time.perf_counter()
        for _ in range(times):
            await call()
        return time.perf_counter() - started


class Stampede:
    """Many callers of one cold key at the same time; `executions` is how often its function ran for them."""

    def __init__(self, loop: Loop, decorate: Callable[[Function], Any]) -> None:
        self.executions = 0
        self._loop = loop
        self._key = 0
        self._decorated = decorate(self._load)

    async def __call__(self) -> None:
        self.executions = 0
        self._key += 1
        await self._loop.together(partial(self._decorated, self._key), CALLERS)

    async def _load(self, uid: int) -> int:
        self.executions += 1
        await self._loop.sleep(LOAD_SECONDS)
        return uid
