"""The backends that have to behave alike. Add a line to `tests/subjects.py`, and every test here runs on one more."""

from __future__ import annotations

import pytest

from cashews.testing import VirtualClock
from tests.subjects import SUBJECTS, Subject, clock_of, each, subject_of


@pytest.fixture(params=each(SUBJECTS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return subject_of(request)


@pytest.fixture
def clock(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return clock_of(subject, monkeypatch, start=1_000)


@pytest.fixture
async def cache(subject: Subject, clock: VirtualClock):
    async with subject.open(clock) as cache:
        yield cache
