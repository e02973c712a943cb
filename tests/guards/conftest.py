"""A cache on a clock that the test owns, in memory and on a server."""

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
    async with subject.open(clock) as cache:
        yield cache
