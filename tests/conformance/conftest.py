"""The backends that have to behave alike. Add a line to `BACKENDS`, and every test here runs on one more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from cashews import Cache
from cashews.testing import VirtualClock


async def hand_on(call, _cmd, _backend, *args, **kwargs):
    """Change nothing, but have every message pass the chain instead of being served in place."""
    return await call(*args, **kwargs)


@dataclass(frozen=True)
class Subject:
    """How to set up a cache for the suite; `clock` is the time that its values live in."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    middlewares: Sequence[Any] = ()
    listeners: Sequence[Any] = ()

    def open(self, clock: VirtualClock) -> Cache:
        cache = Cache.open(self.url, middlewares=self.middlewares, clock=clock, **self.options)
        for listener in self.listeners:
            cache.on_remove(listener)
        return cache


MANY = 10_000
"""More keys than one page of any backend holds; each of them has to have room."""

BACKENDS = {
    "mem": Subject("mem://", {"size": MANY}),
    "mem-copies-watched": Subject("mem://", {"size": MANY, "copy": "deep"}, listeners=[lambda *_: None]),
    "mem-chained-unswept": Subject("mem://", {"size": MANY, "check_interval": 0}, middlewares=[hand_on]),
    "mem-pickled-signed": Subject(
        "mem://", {"size": MANY, "secret": "s", "compress_type": "zlib", "compress_threshold": 0}
    ),
}


@pytest.fixture(params=BACKENDS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return BACKENDS[request.param]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(start=1_000)


@pytest.fixture
async def cache(subject: Subject, clock: VirtualClock):
    async with subject.open(clock) as cache:
        yield cache
