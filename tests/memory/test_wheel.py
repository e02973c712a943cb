"""The expiry wheel: what is filed is found in time, and the wheel stays small."""

from __future__ import annotations

import math
from array import array
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cashews.table.wheel import NEVER, ROOM, Wheel

TICKS = st.sampled_from([1.0, 0.1, 0.3, 0.7, 1 / 3, 0.01, 1.1, 3.3, 60.0])
TTLS = st.floats(0.001, 1e9)
LOOKS = 9
"""How often a row is looked at on its way: once a level of the wheel, and a year has 8 of them with small ticks."""


def nothing() -> None:
    """Take no notice of earlier deadlines."""


class Rows:
    """A wheel, and the deadlines of its rows."""

    def __init__(self, tick: float, on_earlier=nothing):
        self.wheel = Wheel(tick, on_earlier)
        self.deadlines = array("d")

    def file(self, deadline: float, now: float) -> int:
        row = len(self.deadlines)
        self.deadlines.append(deadline)
        self.wheel.grow(1)
        self.wheel.file(row, deadline, now)
        return row

    def move(self, row: int, deadline: float, now: float) -> None:
        self.deadlines[row] = deadline
        self.wheel.file(row, deadline, now)

    @property
    def filed(self):
        """Every filed row with the instant it is filed under, checking its place."""
        filed = {}
        for instant, bucket in self.wheel._buckets.items():
            for place, row in enumerate(bucket):
                assert row not in filed
                assert self.wheel._places[row] == place
                filed[row] = instant
        assert list(self.wheel.filed) == [filed.get(row, NEVER) for row in range(len(self.deadlines))]
        return filed

    def follow(self, limit: int = 100):
        """Sweep as the sweeper does: sleep until `due`, look, file anew what is not due; yield what is, and when."""
        wheel = self.wheel
        while wheel.due < math.inf:
            now = wheel.due
            for _ in range(LOOKS * (len(self.deadlines) + 1)):
                taken = wheel.take_due(now, limit)
                assert len(taken) <= limit
                for row in taken:
                    if self.deadlines[row] <= now:
                        yield now, row
                    else:
                        wheel.file(row, self.deadlines[row], now)
                if wheel.due > now:
                    break
            else:
                pytest.fail(f"the sweeper spins at {now}")


@given(tick=TICKS, start=st.floats(0, 1e9), ttl=TTLS)
@example(tick=0.1, start=0.0, ttl=(2752 + 63) * 0.1 - 0.05)
@example(tick=0.7, start=0.0, ttl=(192 + 63) * 0.7 - 0.05)
def test_a_row_is_found_at_its_deadline_and_at_the_latest_one_tick_after(tick, start, ttl):
    """Guarantee 2. However tick and deadline are rounded, and never by spinning."""
    rows = Rows(tick)
    row = rows.file(start + ttl, start)
    found = list(rows.follow())
    assert [each for _, each in found] == [row]
    assert start + ttl <= found[0][0] <= start + ttl + tick * 1.000_001
    assert not rows.wheel._buckets


@given(
    tick=TICKS,
    start=st.floats(0, 1e6),
    ttls=st.lists(st.tuples(st.floats(0, 100), TTLS), max_size=50),
    limit=st.integers(1, 5),
)
def test_every_row_is_found_once_and_in_time(tick, start, ttls, limit):
    """Guarantee 2. However many are filed into one bucket, and how late."""
    rows, now = Rows(tick), start
    for passed, ttl in ttls:
        now = min(now + passed, rows.wheel.due)
        rows.file(now + ttl, now)
    found = list(rows.follow(limit))
    assert sorted(row for _, row in found) == list(range(len(ttls)))
    for at, row in found:
        assert rows.deadlines[row] <= at <= rows.deadlines[row] + tick * 1.000_001


@given(st.lists(st.tuples(st.floats(0, 100), TTLS, st.integers(0, 10)), max_size=60))
def test_a_row_that_is_filed_again_is_in_one_bucket(steps):
    rows, now = Rows(0.5), 0.0
    for passed, ttl, again in steps:
        now = min(now + passed, rows.wheel.due)
        if again < len(rows.deadlines):
            rows.move(again, now + ttl, now)
        else:
            rows.file(now + ttl, now)
        assert rows.filed.keys() == set(range(len(rows.deadlines)))
    found = list(rows.follow())
    assert sorted(row for _, row in found) == list(range(len(rows.deadlines)))
    for at, row in found:
        assert rows.deadlines[row] <= at <= rows.deadlines[row] + 0.500_001


@given(tick=TICKS, start=st.floats(0, 1e6), ttls=st.lists(TTLS, max_size=50), passed=st.floats(0, 1e6))
def test_overdue_rows_are_in_the_buckets_that_are_due_soon(tick, start, ttls, passed):
    rows, now = Rows(tick), start + passed
    for ttl in ttls:
        rows.file(start + ttl, start)
    overdue = [row for bucket in rows.wheel.soon(now) for row in bucket if rows.deadlines[row] <= now]
    assert sorted(overdue) == [row for row, ttl in enumerate(ttls) if start + ttl <= now]


def test_who_waits_is_told_of_an_earlier_deadline_and_of_no_later_one():
    told = []
    rows = Rows(1.0, lambda: told.append(rows.wheel.due))
    for ttl in (1_000, 2_000, 50, 60, 3, 3.5, 0.5):
        rows.file(ttl, 0.0)
    assert told == sorted(told, reverse=True)
    assert told[-1] == rows.wheel.due == 1.0
    assert len(told) == 4


def test_there_are_few_buckets_however_long_the_times_to_live():
    """Guarantee 27."""
    random, rows = Random(1), Rows(1.0)
    for _ in range(20_000):
        rows.file(10 ** random.uniform(-3, 9), 0.0)
    assert len(rows.wheel._buckets) <= 64 * 6


def test_empty_buckets_do_not_gather_where_nobody_sweeps():
    """Guarantee 27: a row that is due earlier each time leaves a bucket behind, which nothing else would take away."""
    rows = Rows(1.0)
    kept, moving = rows.file(5.0, 0.0), rows.file(1e6, 0.0)
    for step in range(50_000):
        rows.move(moving, 1e6 - step, 1e6 - step - 10)
    assert len(rows.wheel._buckets) == len(rows.wheel._instants) <= ROOM
    assert rows.filed.keys() == {kept, moving}
    assert sorted(row for _, row in rows.follow()) == [kept, moving]


def test_buckets_may_be_thrown_out_while_rows_are_filed_anew():
    rows = Rows(1.0)
    for number in range(200):
        rows.file(64.0 + number * 70, 0.0)
    rows.wheel._room = 0  # at every new bucket
    assert [row for _, row in rows.follow()] == list(range(200))
    assert not rows.wheel._instants


def test_a_row_that_is_filed_after_the_time_went_back_is_found():
    """No clock of ours does that; but a bucket that was taken is gone for good."""
    rows = Rows(1.0)
    first = rows.file(9.5, 0.0)
    assert rows.wheel.take_due(10.0, 100) == [first]
    second = rows.file(9.6, 5.0)
    rows.move(second, 9.7, 5.0)
    assert [row for _, row in rows.follow()] == [second]
