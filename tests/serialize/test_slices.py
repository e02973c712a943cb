"""Who has many values encoded or decoded lets others run in between: after a time, not after a number."""

from __future__ import annotations

from itertools import count

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews.clock import SystemClock

MANY = 30


class Heavy:
    """Notes how often others have run whenever it is encoded or decoded."""

    turns = 0
    notes: list[int]

    def __getstate__(self):
        Heavy.notes.append(Heavy.turns)
        return {"heavy": True}

    def __setstate__(self, state):
        Heavy.notes.append(Heavy.turns)


@pytest.fixture
def heavy(monkeypatch):
    """Have each look at the system's clock take a millisecond."""
    monkeypatch.setattr(SystemClock, "now", staticmethod((number / 1_000 for number in count()).__next__))
    Heavy.notes = []


async def during(call):
    """Make a call while another task runs whenever it may; returns how often it did from the first note to the last."""
    Heavy.notes.clear()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run)
            await call
            scope.cancel()
    assert len(Heavy.notes) == MANY
    return Heavy.notes[-1] - Heavy.notes[0]


async def _run():
    while True:
        Heavy.turns += 1
        await checkpoint()


@pytest.mark.usefixtures("heavy")
async def test_others_run_while_many_values_are_encoded_or_decoded(cache):
    """Guarantee 25."""
    pairs = {f"k{number}": Heavy() for number in range(MANY)}
    assert await during(cache.set_many(pairs)) >= MANY / 4
    assert await during(cache.get_many(*pairs)) >= MANY / 4
    assert await during(_matching(cache)) >= MANY / 4


@pytest.mark.usefixtures("heavy")
async def test_others_run_while_a_transaction_is_encoded(cache):
    """Guarantee 25."""
    pairs = {f"k{number}": Heavy() for number in range(MANY)}
    assert await during(_committing(cache, pairs)) >= MANY / 4


async def _matching(cache):
    return [pair async for pair in cache.get_match("*", batch_size=100)]


async def _committing(cache, pairs):
    async with cache.transaction():
        for key, value in pairs.items():
            await cache.set(key, value)
        Heavy.notes.clear()  # each `set` copied its value; what follows is the commit
