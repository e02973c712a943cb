"""A cache whose time and chance the test owns, and a function that counts how often it runs."""

from random import Random

import pytest

from tests.subjects import clock_of, each, subject_of


@pytest.fixture(params=each(["mem", "redis", "disk"]))
def subject(request):
    return subject_of(request)


@pytest.fixture
def clock(subject, monkeypatch):
    return clock_of(subject, monkeypatch)


@pytest.fixture
async def cache(subject, clock):
    async with subject.open(clock, random=Random(1)) as opened:
        yield opened


class Origin:
    """A function: answers the number of its run; fails and takes time on demand."""

    def __init__(self, clock):
        self.clock = clock
        self.runs = 0
        self.error = None
        self.takes = 0.0

    async def __call__(self, *_, **__):
        self.runs += 1
        run = self.runs
        if self.takes:
            await self.clock.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return run


@pytest.fixture
def origin(clock):
    return Origin(clock)
