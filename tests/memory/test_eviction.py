"""Evictions: which value leaves a full table."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache
from cashews import messages as m
from cashews.exceptions import WrongOptionError
from cashews.messages.values import Cause
from cashews.table.eviction import FEW, MOST_PASSED, S3Fifo, SecondChance, eviction_over
from cashews.table.keyspace import Table
from cashews.table.turns import TURNS
from tests.internals import inside

EVICTIONS = ("clock", "s3-fifo")
USES = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200)


class Filled:
    """A table without deadlines, the keys that were evicted, and the commands about numbered keys."""

    def __init__(self, size: int, eviction: str):
        self.table = Table(size, 1.0, lambda: None, eviction=eviction)
        self.evicted: list[int] = []
        self.table.removed = self.note

    def note(self, removal):
        key, _, cause = removal
        if cause is Cause.EVICTED:
            self.evicted.append(int(key))

    def get(self, number: int) -> object:
        return TURNS[m.Get](self.table, m.Get(str(number), None), 0.0)

    def set(self, number: int) -> None:
        TURNS[m.Set](self.table, m.Set(str(number), number), 0.0)

    def delete(self, number: int) -> None:
        TURNS[m.Delete](self.table, m.Delete(str(number)), 0.0)

    def load(self, number: int) -> bool:
        """Get a value, or set it; says whether it was there."""
        found = self.get(number) is not None
        if not found:
            self.set(number)
        return found

    @property
    def keys(self) -> set[int]:
        return set(map(int, self.table.values.rows))


@given(uses=USES, size=st.integers(1, 12))
def test_the_clock_evicts_in_the_order_of_arrival_those_that_were_not_used_since_it_came_by(uses, size):
    """Guarantee 27; the model is a queue in which a used key goes to the end."""
    subject, queue, evicted = Filled(size, "clock"), OrderedDict(), []
    for is_set, number in uses:
        if not is_set:
            subject.get(number)
        elif number not in queue and len(queue) == size:
            while queue[first := next(iter(queue))]:
                queue[first] = False
                queue.move_to_end(first)
            del queue[first]
            evicted.append(first)
        if number in queue:
            queue[number] = True
        elif is_set:
            queue[number] = False
        if is_set:
            subject.set(number)
    assert subject.evicted == evicted
    assert subject.keys == set(queue)


@pytest.mark.parametrize("eviction", EVICTIONS)
@given(uses=st.lists(st.tuples(st.sampled_from(["get", "set", "delete"]), st.integers(0, 60)), max_size=300))
def test_any_commands_leave_at_most_so_many_and_evict_nothing_without_need(eviction, uses):
    """Guarantee 27."""
    size, model = 20, {}
    subject = Filled(size, eviction)
    for command, number in uses:
        before = len(subject.evicted)
        getattr(subject, command)(number)
        if command == "set":
            full = number not in model and len(model) == size
            assert len(subject.evicted) == before + full
            for leaving in subject.evicted[before:]:
                del model[leaving]
            model[number] = number
        elif command == "delete":
            model.pop(number, None)
        assert subject.keys == model.keys()
    assert [subject.get(number) for number in model] == list(model)


@pytest.mark.parametrize("eviction", EVICTIONS)
@pytest.mark.parametrize("size", [20, 1_000])
def test_values_in_use_survive_a_scan(eviction, size):
    """Guarantee 27: each half of them is used while as many others come as a quarter of the size."""
    subject = Filled(size, eviction)
    often = range(size // 2)
    for _ in range(3):
        for number in often:
            subject.load(number)
    misses = 0
    for step in range(40):
        for number in range(size // 4):
            subject.load(1_000_000 + step * size + number)
        for number in often:
            misses += not subject.load(number)
    assert misses <= size // 2  # of twenty times as many reads; each may have to come back once


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_a_value_that_was_used_since_the_last_pass_is_there_after_as_many_new_ones(eviction):
    """Guarantee 27: those that nobody uses leave before it."""
    size = 100
    subject = Filled(size, eviction)
    for number in range(size):
        subject.set(number)
    for number in range(0, size, 10):
        subject.get(number)
    for number in range(1_000, 1_000 + size // 2):
        subject.set(number)
    assert subject.keys >= set(range(0, size, 10))


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_a_new_value_in_the_place_of_a_deleted_one_is_not_the_next_to_leave(eviction):
    """Guarantee 27: wherever that place is."""
    size = 20
    for place in range(size):
        subject = Filled(size, eviction)
        for number in range(size + size // 2):  # the hand is half way round
            subject.set(number)
        deleted = sorted(subject.keys)[place]
        subject.delete(deleted)
        subject.set(500)
        subject.set(501)
        subject.set(502)
        assert 500 in subject.keys


def test_keys_that_are_used_once_push_out_nothing_but_each_other():
    """The point of S3-FIFO: with the clock, a long scan sweeps everything away."""
    size = 1_000
    left = {}
    for eviction in EVICTIONS:
        subject = Filled(size, eviction)
        for _ in range(3):
            for number in range(size // 2):
                subject.load(number)
        for number in range(20 * size):
            subject.load(1_000_000 + number)
        left[eviction] = len(subject.keys & set(range(size // 2)))
    assert left["clock"] == 0
    assert left["s3-fifo"] >= size // 2 * 0.8


def test_most_keys_that_come_back_soon_after_they_were_evicted_stay():
    """S3-FIFO remembers them: the second time they are not among the new ones."""
    size = 1_000
    subject = Filled(size, "s3-fifo")
    for number in range(2 * size):
        subject.set(number)
    back = set(range(2 * size - 400, 2 * size - 200))
    assert not subject.keys & back
    for number in back:
        subject.set(number)
    for number in range(1_000_000, 1_000_000 + size // 2):
        subject.set(number)
    assert len(subject.keys & back) >= len(back) // 2


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_no_eviction_looks_at_all_rows_one_by_one(eviction):
    """Guarantee 25: where every value was used, the hand of a million rows would hold up the loop."""
    size = 20 * MOST_PASSED
    subject = Filled(size, eviction)
    for number in range(size + 1):
        subject.set(number)
    used = subject.table.values.used
    used[:] = b"\x01" * size
    subject.set(-1)
    cleared = used.count(0)
    assert cleared == size if eviction == "clock" else cleared <= MOST_PASSED + 2


def test_few_values_have_no_part_for_new_ones():
    for size, kind in ((FEW - 1, SecondChance), (FEW, S3Fifo)):
        subject = Filled(size, "s3-fifo")
        for number in range(size):
            subject.set(number)
        assert type(eviction_over(subject.table.values, "s3-fifo")) is kind
        assert type(eviction_over(subject.table.values, "clock")) is SecondChance


async def test_the_eviction_is_an_option():
    for eviction, kind in (("clock", SecondChance), ("s3-fifo", S3Fifo)):
        async with Cache.open(f"mem://?size=10&eviction={eviction}") as cache:
            await cache.set_many({str(number): number for number in range(11)})
            assert type(inside(cache).table()._eviction) is kind
    with pytest.raises(WrongOptionError, match="'clock', 's3-fifo'"):
        Cache().setup("mem://?eviction=lru")
    with pytest.raises(WrongOptionError, match="'clock', 's3-fifo'"):
        Cache().setup("mem://", eviction="lru")
