"""The stores that keep tags, in time that the test owns, and a function whose loads the test holds back."""

from __future__ import annotations

import anyio
import pytest

from cashews.testing.clock import VirtualClock
from tests.subjects import DISK, Subject, clock_of, each, subject_of

STORES = (
    "mem",
    "mem-copies-watched",
    "mem-chained-unswept",
    "redis",
    "redis-signed",
    "redis-chained",
    "redis-many",
    *DISK,
)


@pytest.fixture(params=each(STORES))
def subject(request: pytest.FixtureRequest) -> Subject:
    return subject_of(request)


@pytest.fixture
def clock(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return clock_of(subject, monkeypatch)


@pytest.fixture
async def cache(subject: Subject, clock: VirtualClock):
    async with subject.open(clock) as cache:
        yield cache


class Gate:
    """A load that waits for the test: `begun` is set when it runs, and it returns `value` once `go` is set."""

    def __init__(self) -> None:
        self.value = "old"
        self.runs = 0
        self.begun, self.go = anyio.Event(), anyio.Event()

    async def __call__(self, *_: object, **__: object) -> str:
        self.runs += 1
        value = self.value
        self.begun.set()
        await self.go.wait()
        return value


@pytest.fixture
def gate() -> Gate:
    return Gate()
