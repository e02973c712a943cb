"""The modes of a transaction, and a task that is outside of every transaction of the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from cashews.engine.coordinator.modes import TransactionMode
from tests.internals import inside

SERIALIZABLE = pytest.param(TransactionMode.SERIALIZABLE, marks=pytest.mark.over_slots)


@pytest.fixture(params=[TransactionMode.FAST, TransactionMode.LOCKED, SERIALIZABLE], ids=lambda mode: mode.value)
def mode(request):
    return request.param


class Outside:
    """``await outside(cache.get, "k")`` calls something in a task that is in no transaction."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[Callable[[], Awaitable[None]]](1)

    async def __call__(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        done = anyio.Event()
        outcome: list[Any] = []

        async def call() -> None:
            try:
                outcome.append(await function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001  raised where it is awaited
                outcome.append(error)
            done.set()

        await self._send.send(call)
        await done.wait()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    async def serve(self) -> None:
        with self._send, self._receive:
            async for call in self._receive:
                await call()


@pytest.fixture
async def outside():
    outside = Outside()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outside.serve)
        yield outside
        tasks.cancel_scope.cancel()


@pytest.fixture
def held():
    """``held(cache)``: how many locks of transactions are held in this process."""
    return lambda cache: inside(cache).transaction_locks


@pytest.fixture
async def neighbour(subject, clock):
    """A cache of its own of the same store, as another process has it."""
    async with subject.open(clock) as cache:
        yield cache


@pytest.fixture
def server(subjects_server):
    return subjects_server
