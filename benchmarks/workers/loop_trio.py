"""What the cases need of an event loop, on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import trio

sleep = trio.sleep


def run(main: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run an event loop until the coroutine function has ended."""
    trio.run(main)


async def together(call: Callable[[], Awaitable[object]], count: int) -> None:
    """Run that many calls at the same time, each in a task of its own."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_await, call)


async def _await(call: Callable[[], Awaitable[object]]) -> None:
    await call()
