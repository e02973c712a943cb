"""What the cases need of an event loop, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

sleep = asyncio.sleep


def run(main: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run an event loop until the coroutine function has ended."""
    asyncio.run(main())


async def together(call: Callable[[], Awaitable[object]], count: int) -> None:
    """Run that many calls at the same time, each in a task of its own."""
    await asyncio.gather(*[_await(call) for _ in range(count)])


async def _await(call: Callable[[], Awaitable[object]]) -> None:
    await call()
