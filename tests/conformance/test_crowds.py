"""Crowds of callers: nobody's write is lost, however many come at once."""

from __future__ import annotations

from tests.crowds import lost_of

CALLERS = 900
"""Fewer than the values that a memory store of the tests holds."""


async def test_a_crowd_of_writers_loses_nothing(cache):
    assert await lost_of(cache, CALLERS) == 0
