"""A clock that the test owns, and what it wants to know about the store inside of a cache."""

from __future__ import annotations

import pytest

from cashews.testing.clock import VirtualClock
from tests.internals import inside


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stored():
    """``stored(cache)``: the keys that the table holds, expired or not."""
    return lambda cache: inside(cache).stored()
