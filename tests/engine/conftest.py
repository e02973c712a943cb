"""A clock that the test owns, a cache on it, and a backend that does what a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from cashews import Cache
from cashews.api import settings
from cashews.backends.interface import Backend, Environment
from cashews.testing.clock import VirtualClock
from tests.internals import inside


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        yield cache


class Stub(Backend):
    """Stores nothing, answers every message with what it answers when declined, and runs the services it is given."""

    name = "stub"
    turns: Mapping[Any, Any] = {}

    def __init__(self, environment: Environment, services: tuple[Callable[[], Any], ...]) -> None:
        self.environment = environment
        self.given = services
        self.closed = 0

    async def ask(self, message, *, strict=False):
        return message.declined()

    @property
    def services(self):
        return self.given

    def statistics(self):
        return {"closed": self.closed}

    async def close(self):
        await anyio.lowlevel.checkpoint()
        self.closed += 1


@pytest.fixture
def serving(monkeypatch):
    """``serving(service, ...)``: from now on ``stub://`` makes backends that run these services."""

    def serve(*services):
        monkeypatch.setitem(settings._factories, "stub", lambda _url, _options, around: Stub(around, services))

    return serve


@pytest.fixture
def tasks_now():
    """``tasks_now()``: how many tasks the running loop has."""
    return lambda: len(anyio.get_running_tasks())


@pytest.fixture
def stored_in():
    """``stored_in(cache, prefix)``: the keys that a memory backend holds, expired or not."""
    return lambda cache, prefix="": inside(cache).stored(prefix)


@pytest.fixture
def stored(patient):
    """A cache of which nothing was asked yet, and which is never entered as a block."""
    url, options = patient
    cache = Cache("shared")
    cache.setup(url, **options)
    yield cache
    anyio.run(cache.close)


@pytest.fixture
def memory():
    cache = Cache("shared")
    cache.setup("mem://")
    yield cache
    anyio.run(cache.close)
