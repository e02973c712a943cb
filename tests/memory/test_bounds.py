"""What the table costs: nothing gathers, and sweeping looks only at what is due."""

from __future__ import annotations

import gc
from random import Random

from cashews import messages as m
from cashews.table.holders import FEW
from cashews.table.keyspace import Table
from cashews.table.turns import TURNS

YEAR = 365 * 86_400


def table(size: int = 1_000_000, tick: float = 1.0) -> Table:
    return Table(size, tick, lambda: None)


def serve(subject: Table, message, now: float):
    return TURNS[type(message)](subject, message, now)


def filed(subject: Table) -> int:
    count = 0
    for bucket in subject.wheel._buckets.values():
        slot = bucket.after
        while slot is not bucket:
            count += 1
            assert slot.after.before is slot
            slot = slot.after
    return count


def looks_at(subject: Table) -> list[str]:
    """A list that gets the key of every slot that a sweep examines."""
    seen, take_due = [], subject.wheel.take_due

    def noting(now, limit):
        for slot in take_due(now, limit):
            seen.append(slot.key)
            yield slot

    subject.wheel.take_due = noting
    return seen


def test_rewriting_a_key_does_not_make_the_wheel_grow():
    """Guarantee 27: a hundred thousand times, with every kind of time to live, with and without time passing."""
    random, subject, now = Random(1), table(), 0.0
    for number in range(100_000):
        now += random.choice([0.0, 0.001, 0.01])
        ttl = random.choice([None, 10 ** random.uniform(-3, 8)])
        serve(subject, m.Set("k", number, ttl), now)
    assert filed(subject) <= 1
    assert len(subject.values) == 1
    assert len(subject.wheel._ticks) <= 1_100


def test_rewriting_with_one_ttl_is_looked_at_once_a_ttl():
    subject = table()
    seen = looks_at(subject)
    for number in range(10_000):
        now = number / 10
        serve(subject, m.Set("k", number, 60), now)
        subject.sweep(now)
    assert len(seen) <= 1_000 / 60 * 3
    assert serve(subject, m.Get("k"), 1_000.0) == 9_999


def test_a_sweep_looks_only_at_what_is_due():
    subject = table()
    for number in range(10_000):
        serve(subject, m.Set(f"long{number}", 1, 10_000), 0.0)
    for number in range(10):
        serve(subject, m.Set(f"short{number}", 1, 1), 0.0)
    seen = looks_at(subject)
    subject.sweep(5.0)
    assert sorted(seen) == [f"short{number}" for number in range(10)]
    assert len(subject.values) == 10_000


def test_a_sweep_looks_at_no_more_than_its_limit():
    """Guarantee 25."""
    subject = table()
    for number in range(5_000):
        serve(subject, m.Set(str(number), 1, 1), 0.0)
    seen, sweeps = looks_at(subject), 0
    while subject.sweep(10.0) <= 10.0:
        sweeps += 1
        assert len(seen) <= sweeps * 1_000
    assert sweeps >= 4
    assert not subject.values


def test_ttls_from_milliseconds_to_years_are_looked_at_a_few_times_each():
    random, subject = Random(2), table()
    deadlines = {str(number): 10 ** random.uniform(-3, 8) for number in range(2_000)}
    for key, ttl in deadlines.items():
        serve(subject, m.Set(key, 1, ttl), 0.0)
    seen, sweeps = looks_at(subject), 0
    while (due := subject.due) < 10 * YEAR:
        subject.sweep(due)
        sweeps += 1
        assert all(deadlines[key] > due - 1 for key in list(subject.values)[:5])
    assert not subject.values
    assert sweeps <= len(deadlines) + len(seen)
    assert len(seen) <= len(deadlines) * 6


def test_clearing_leaves_no_cyclic_garbage():
    """Guarantee 25: slots are linked in circles, and one garbage collection of a million would stop the loop."""
    subject = table()
    for number in range(30_000):
        serve(subject, m.Set(str(number), [number], 10 + number % 50), 0.0)
    buckets = len(subject.wheel._buckets)
    gc.collect()
    gc.disable()
    try:
        subject.clear()
        turns = 1
        while subject.bury():
            turns += 1
        assert turns >= 30_000 // 2_000
        assert gc.collect() <= buckets + 10
    finally:
        gc.enable()


def test_dropping_keys_one_by_one_leaves_no_cyclic_garbage():
    subject = table()
    for number in range(5_000):
        serve(subject, m.Set(str(number), [number], 10), 0.0)
    gc.collect()
    gc.disable()
    try:
        for number in range(2_500):
            serve(subject, m.Delete(str(number)), 0.0)
        while subject.sweep(100.0) <= 100.0:
            pass
        assert gc.collect() <= 10
    finally:
        gc.enable()


def test_locks_that_nobody_gives_back_do_not_gather():
    """Guarantee 27."""
    subject = table()
    serve(subject, m.SetLock("held", "token", None), 0.0)
    for number in range(20_000):
        assert serve(subject, m.SetLock(str(number), "token", 1), float(number))
    assert len(subject.locks) <= FEW + 1
    assert serve(subject, m.LockTimeLeft("held"), 1e9) is not None


def test_a_full_table_stays_full_and_drops_the_least_recently_used():
    """Guarantee 27."""
    subject = table(size=100)
    for number in range(1_000):
        serve(subject, m.Set(str(number), number, 1_000), 0.0)
        serve(subject, m.Get("0"), 0.0)
    assert len(subject.values) == 100
    assert filed(subject) == 100
    assert set(subject.values) == {"0", *map(str, range(901, 1_000))}
    assert subject.statistics()["evicted"] == 900
