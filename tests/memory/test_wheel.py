"""The expiry wheel: what is filed is found in time, and the wheel stays small."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cashews.table.wheel import ROOM, Slot, Wheel

TICKS = st.sampled_from([1.0, 0.1, 0.3, 0.7, 1 / 3, 0.01, 1.1, 3.3, 60.0])
TTLS = st.floats(0.001, 1e9)
LOOKS = 8
"""How often a slot is looked at on its way: once a level of the wheel, and a year has 8 of them with small ticks."""


def nothing() -> None:
    """Take no notice of earlier deadlines."""


def walk(wheel: Wheel):
    """Every filed slot with the tick it is filed under, checking the links both ways."""
    for tick, bucket in wheel._buckets.items():
        slot, before = bucket.after, bucket
        while slot is not bucket:
            assert slot.before is before
            yield tick, slot
            before, slot = slot, slot.after
        assert bucket.before is before


def follow(wheel: Wheel, limit: int = 100):
    """Sweep as the sweeper does: sleep until `due`, look, file anew what is not due; yield what is, and when."""
    while wheel.due < math.inf:
        now = wheel.due
        for _ in range(LOOKS * limit):
            for slot in wheel.take_due(now, limit):
                if slot.deadline <= now:
                    yield now, slot
                else:
                    wheel.file(slot, now)
            if wheel.due > now:
                break
        else:
            pytest.fail(f"the sweeper spins at {now}")


@given(tick=TICKS, start=st.floats(0, 1e9), ttl=TTLS)
@example(tick=0.1, start=0.0, ttl=(2752 + 63) * 0.1 - 0.05)
@example(tick=0.7, start=0.0, ttl=(192 + 63) * 0.7 - 0.05)
def test_a_slot_is_found_at_its_deadline_and_at_the_latest_one_tick_after(tick, start, ttl):
    """Guarantee 2. However tick and deadline are rounded, and never by spinning."""
    wheel = Wheel(tick, nothing)
    slot = Slot("k", None, start + ttl)
    wheel.file(slot, start)
    found = list(follow(wheel))
    assert [each for _, each in found] == [slot]
    assert slot.deadline <= found[0][0] <= slot.deadline + tick * 1.000_001
    assert not wheel._buckets


@given(tick=TICKS, start=st.floats(0, 1e6), ttls=st.lists(TTLS, max_size=50), limit=st.integers(1, 5))
def test_every_slot_is_found_once(tick, start, ttls, limit):
    wheel = Wheel(tick, nothing)
    slots = [Slot(str(number), None, start + ttl) for number, ttl in enumerate(ttls)]
    for slot in slots:
        wheel.file(slot, start)
    found = [slot.key for _, slot in follow(wheel, limit)]
    assert sorted(found) == sorted(slot.key for slot in slots)


@given(st.lists(st.tuples(st.floats(0, 100), TTLS, st.booleans()), max_size=60))
def test_what_is_taken_out_is_found_no_more(steps):
    wheel, now, expected = Wheel(0.5, nothing), 0.0, []
    for passed, ttl, leaves in steps:
        now += passed
        slot = Slot("k", None, now + ttl)
        wheel.file(slot, now)
        if leaves:
            Wheel.take_out(slot)
            Wheel.take_out(slot)
        else:
            expected.append(slot)
    assert {slot for _, slot in walk(wheel)} == set(expected)
    assert {slot for _, slot in follow(wheel)} == set(expected)


@given(tick=TICKS, start=st.floats(0, 1e6), ttls=st.lists(TTLS, max_size=50), passed=st.floats(0, 1e6))
def test_overdue_slots_are_counted_between_sweeps_too(tick, start, ttls, passed):
    wheel, now = Wheel(tick, nothing), start + passed
    for ttl in ttls:
        wheel.file(Slot("k", None, start + ttl), start)
    assert wheel.overdue(now) == sum(start + ttl <= now for ttl in ttls)


def test_who_waits_is_told_of_an_earlier_deadline_and_of_no_later_one():
    told = []
    wheel = Wheel(1.0, lambda: told.append(wheel.due))
    for ttl in (1_000, 2_000, 50, 60, 3, 3.5, 0.5):
        wheel.file(Slot("k", None, ttl), 0.0)
    assert told == sorted(told, reverse=True)
    assert told[-1] == wheel.due == 1.0
    assert len(told) == 4


def test_there_are_few_buckets_however_long_the_times_to_live():
    """Guarantee 27."""
    random, wheel = Random(1), Wheel(1.0, nothing)
    for _ in range(20_000):
        wheel.file(Slot("k", None, 10 ** random.uniform(-3, 9)), 0.0)
    assert len(wheel._buckets) <= 64 * 6


def test_empty_buckets_do_not_gather_where_nobody_sweeps():
    """Guarantee 27: with check_interval=0 a new second brings a new bucket, which nothing else would take away."""
    wheel = Wheel(1.0, nothing)
    kept = Slot("kept", None, 5.0)
    wheel.file(kept, 0.0)
    for now in range(50_000):
        slot = Slot("k", None, now + 10.0)
        wheel.file(slot, float(now))
        Wheel.take_out(slot)
    assert len(wheel._buckets) == len(wheel._ticks) <= ROOM
    assert [slot for _, slot in walk(wheel)] == [kept]
    assert [slot for _, slot in follow(wheel)] == [kept]


def test_buckets_may_be_thrown_out_while_slots_are_filed_anew():
    wheel = Wheel(1.0, nothing)
    slots = [Slot(str(number), None, 64.0 + number * 70) for number in range(200)]
    for slot in slots:
        wheel.file(slot, 0.0)
    wheel._room = 0  # at every new bucket
    found = [slot for _, slot in follow(wheel)]
    assert found == slots
    assert not wheel._ticks
