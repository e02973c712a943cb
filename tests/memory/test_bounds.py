"""What the table costs: nothing gathers, and sweeping looks only at what is due."""

from __future__ import annotations

import gc
import weakref
from random import Random

from cashews import messages as m
from cashews.table.holders import FEW
from cashews.table.keyspace import PAGE, Table
from cashews.table.turns import TURNS
from cashews.table.wheel import Wheel

YEAR = 365 * 86_400


def table(size: int = 1_000_000, tick: float = 1.0) -> Table:
    return Table(size, tick, lambda: None)


def serve(subject: Table, message, now: float):
    return TURNS[type(message)](subject, message, now)


def filed(subject: Table) -> int:
    return sum(map(len, subject.values.wheel._buckets.values()))


class WatchedWheel(Wheel):
    """A wheel that notes every row that a sweep examines."""

    def __init__(self, rows):
        super().__init__(1.0, lambda: None, rows)
        self.seen = []

    def take_due(self, now, limit):
        taken = super().take_due(now, limit)
        self.seen += taken
        return taken


def watched(size: int = 1_000_000) -> tuple[Table, list[int]]:
    """Return a table, and a list that gets every row of a value that a sweep examines."""
    subject = table(size)
    subject.values.wheel = wheel = WatchedWheel(len(subject.values.keys))
    return subject, wheel.seen


def test_rewriting_a_key_does_not_make_the_wheel_grow():
    """Guarantee 27: a hundred thousand times, with every kind of time to live, with and without time passing."""
    random, subject, now = Random(1), table(), 0.0
    for number in range(100_000):
        now += random.choice([0.0, 0.001, 0.01])
        ttl = random.choice([None, 10 ** random.uniform(-3, 8)])
        serve(subject, m.Set("k", number, ttl), now)
    assert filed(subject) <= 1
    assert len(subject.values) == 1
    assert len(subject.values.wheel._instants) <= 1_100


def test_rewriting_with_one_ttl_is_looked_at_once_a_ttl():
    subject, seen = watched()
    for number in range(10_000):
        now = number / 10
        serve(subject, m.Set("k", number, 60), now)
        subject.sweep(now)
    assert len(seen) <= 1_000 / 60 * 3
    assert serve(subject, m.Get("k"), 1_000.0) == 9_999


def test_a_sweep_looks_only_at_what_is_due():
    subject, seen = watched()
    for number in range(10_000):
        serve(subject, m.Set(f"long{number}", 1, 10_000), 0.0)
    for number in range(10):
        serve(subject, m.Set(f"short{number}", 1, 1), 0.0)
    short = [subject.values.rows[f"short{number}"] for number in range(10)]
    subject.sweep(5.0)
    assert sorted(seen) == short
    assert len(subject.values) == 10_000


def test_a_sweep_looks_at_no_more_than_its_limit():
    """Guarantee 25."""
    subject, seen = watched()
    for number in range(5_000):
        serve(subject, m.Set(str(number), 1, 1), 0.0)
    sweeps = 0
    while subject.sweep(10.0) <= 10.0:
        sweeps += 1
        assert len(seen) <= sweeps * 1_000
    assert sweeps >= 4
    assert not subject.values


def test_ttls_from_milliseconds_to_years_are_looked_at_a_few_times_each():
    random, (subject, seen), sweeps = Random(2), watched(), 0
    deadlines = {str(number): 10 ** random.uniform(-3, 8) for number in range(2_000)}
    for key, ttl in deadlines.items():
        serve(subject, m.Set(key, 1, ttl), 0.0)
    while (due := subject.due) < 10 * YEAR:
        subject.sweep(due)
        sweeps += 1
        assert all(deadlines[key] > due - 1 for key in list(subject.values)[:5])
    assert not subject.values
    assert sweeps <= len(deadlines) + len(seen)
    assert len(seen) <= len(deadlines) * 6


def test_clearing_leaves_no_cyclic_garbage():
    """Guarantee 25: one garbage collection of a million keys would stop the loop."""
    subject = table()
    for number in range(30_000):
        serve(subject, m.Set(str(number), [number], 10 + number % 50), 0.0)
    gc.collect()
    gc.disable()
    try:
        subject.clear()
        turns = 1
        while subject.bury():
            turns += 1
        assert turns >= 30_000 // 2_000
        assert gc.collect() <= 10
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


def test_short_and_long_ttls_in_turn_do_not_gather():
    """Guarantee 27: a row whose key goes is filed for the next one, and never twice."""
    subject, now = table(size=50), 0.0
    for number in range(20_000):
        serve(subject, m.Set(str(number), number, a_ttl(number)), now)
        if number % 3 == 0:
            serve(subject, m.Delete(str(number - 10)), now)
        now += 0.1
        subject.sweep(now)
    assert filed(subject) <= 50
    assert len(subject.values.keys) <= 50


def a_ttl(number: int) -> float:
    return (0.05, 5.0, 500.0, 5e6)[number % 4]


def test_a_collection_looks_at_columns_and_not_at_keys():
    """Guarantee 25: one object for each key would make a full collection of a million take a seventh of a second."""
    gc.collect()
    before = len(gc.get_objects())
    subject = table()
    for number in range(20_000):
        serve(subject, m.Set(str(number), number, 10 + number % 500), 0.0)
    gc.collect()
    assert len(gc.get_objects()) - before < 100


class Content:
    """Something whose end can be seen."""


def test_a_removed_value_is_kept_alive_by_nothing():
    """Guarantee 27, in each way in which a value leaves."""
    subject = table(size=7)
    watched = {}
    for name in ("evicted", "replaced", "deleted", "expired", "matched", "tagged", "cleared"):
        content = Content()
        watched[name] = weakref.ref(content)
        tags = (name,)
        serve(subject, m.SetTagged(name, content, 1 if name == "expired" else 100, tags=tags), 0.0)
        del content
    serve(subject, m.Set("new", 1, 100), 0.0)
    serve(subject, m.Set("replaced", 1), 0.0)
    serve(subject, m.Delete("deleted"), 0.0)
    cursor = subject.cursor("match*")
    while not cursor.is_over:
        subject.delete_page(m.DeleteMatch("match*"), cursor, 0.0)
    subject.delete_doomed(subject.doom(("tagged",)), 0.0)
    while subject.sweep(50.0) <= 50.0:
        pass
    assert [name for name, content in watched.items() if content() is not None] == ["cleared"]
    subject.clear()
    while subject.bury():
        pass
    assert watched["cleared"]() is None


def test_what_was_cleared_is_let_go_of_bit_by_bit():
    """Guarantee 25: what the values themselves hold may take a while to free."""
    subject = table()
    contents = weakref.WeakSet()
    for number in range(3 * PAGE):
        content = Content()
        contents.add(content)
        serve(subject, m.Set(str(number), content), 0.0)
    del content
    subject.clear()
    for turn in range(1, 4):
        subject.bury()
        assert len(contents) == (3 - turn) * PAGE


def test_values_and_structures_share_the_limit_of_a_sweep():
    """Guarantee 25."""
    subject = table()
    for number in range(20):
        serve(subject, m.Set(f"v{number}", 1, 1), 0.0)
        serve(subject, m.SetAdd(f"s{number}", ("a",), 1), 0.0)
    for left in range(33, 0, -7):
        subject.sweep(10.0, 7)
        assert len(subject.values) + len(subject.structures) == left
