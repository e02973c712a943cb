"""The backends that have to behave alike. Add a line to `tests/subjects.py`, and every test here runs on one more."""

from __future__ import annotations

import pytest

from cashews.testing.clock import VirtualClock
from tests.subjects import SUBJECTS, Subject, clock_of, each, subject_of

AGES = 10**9
"""Seconds after which the leases of a transaction's locks end: time is moved by years here, and each is renewed."""


def pytest_collection_modifyitems(config, items):
    """Leave out of transactions what they leave alone."""
    left_out = [item for item in items if item.get_closest_marker("no_transaction") and "in-transaction" in item.name]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(params=each(SUBJECTS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return subject_of(request)


@pytest.fixture
def clock(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return clock_of(subject, monkeypatch, start=1_000)


@pytest.fixture
async def cache(subject: Subject, clock: VirtualClock):
    async with subject.open(clock) as cache:
        if subject.in_transaction:
            async with cache.transaction(timeout=AGES):
                yield cache
        else:
            yield cache
