"""A clock that the test owns, and what it wants to know about the store inside of a cache."""

from __future__ import annotations

import pytest

from cashews.testing.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stored():
    """``stored(cache)``: the keys that the table holds, expired or not."""

    def keys(cache):
        table = cache._engine.backend_at("")._table
        return [*table.values, *table.structures]

    return keys
