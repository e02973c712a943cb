"""Time for attempts: seconds in which the event loop stands still count for nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from redis import exceptions as redis

from cashews.actors.later import start_soon
from cashews.clock import Clock

PARTS: Final = 32
"""The parts into which time is cut: a part that the loop overslept is over, and no other with it.

An attempt to connect takes some ten turns of the loop, and so it has them.
"""


@asynccontextmanager
async def in_time(clock: Clock, seconds: float, message: str) -> AsyncGenerator[None]:
    """Give a block some seconds of a loop that turns: the answers of a server that was in time are read then.

    :raises TimeoutError: with the message, if the block takes longer
    """
    error: BaseException | None = redis.TimeoutError(message)
    async with anyio.create_task_group() as tasks:
        start_soon(tasks, _count_down, clock, seconds, tasks.cancel_scope)
        try:
            yield
            error = None
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as raised:  # noqa: BLE001  raised below, and not as one of a group
            error = raised
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error


async def _count_down(clock: Clock, seconds: float, block: anyio.CancelScope) -> None:
    began, overslept = clock.now(), 0.0
    for part in range(1, PARTS + 1):
        due = began + overslept + seconds * part / PARTS
        with clock.move_on_at(due):  # a deadline in the statistics of a clock, and no sleeper
            await anyio.sleep_forever()
        overslept += max(clock.now() - due, 0.0)
    block.cancel()
