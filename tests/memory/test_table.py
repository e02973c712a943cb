"""The table against a model of it: two dicts, and a list of what left."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cashews import messages as m
from cashews.messages.values import Cause
from cashews.structures.kinds import Members
from cashews.table.keyspace import Table
from cashews.table.turns import TURNS
from cashews.table.wheel import NEVER, ROOM

KEYS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
VALUES = st.integers(0, 99)
TTLS = st.sampled_from([None, 0, -1, 0.0005, 0.003, 0.125, 0.25, 1, 2, 5, 63, 64, 65, 500, 4_096, 5_000, 1e6, 3e8])
PASSING = st.sampled_from([0.0, 0.0002, 0.125, 1.0, 3.0, 64.0, 100.0, 5_000.0, 1e7])
TICKS = st.sampled_from([1.0, 0.1, 0.3, 0.7, 60.0])


def serve(table, message, now):
    return TURNS[type(message)](table, message, now)


class TableMachine(RuleBasedStateMachine):
    """Guarantees 27, 2, 3: values, deadlines and causes, whatever happens between two sweeps."""

    @initialize(size=st.integers(1, 4), tick=TICKS)
    def begin(self, size, tick):
        self.told = 0
        self.way = None
        self.size, self.tick, self.now = size, tick, 1_000.0
        self.table = Table(size, tick, self.count_telling)
        self.events = []
        self.table.removed = self.events.append
        self.live = {}  # key -> [value, deadline]
        self.kept = {}
        self.left = []

    def count_telling(self):
        self.told += 1

    # --- the model

    def drop(self, key, cause):
        value, _ = (self.live if key in self.live else self.kept).pop(key)
        self.left.append((key, value, cause))

    def find(self, key):
        """What a command finds that looks at a key: an expired value goes."""
        found = self.live.get(key) or self.kept.get(key)
        if found is not None and found[1] <= self.now:
            self.drop(key, Cause.EXPIRED)
            return None
        return found

    def deadline(self, ttl):
        return NEVER if ttl is None else self.now + ttl

    def insert(self, key, value, ttl):
        if key in self.kept:
            self.drop(key, Cause.EXPIRED if self.kept[key][1] <= self.now else Cause.REPLACED)
        if len(self.live) >= self.size:  # test_eviction says which value it should be
            leaving, _, cause = self.events[len(self.left)]
            assert cause is Cause.EVICTED
            self.drop(leaving, Cause.EVICTED)
        self.live[key] = [value, self.deadline(ttl)]

    # --- rules

    @rule(key=KEYS, value=VALUES, ttl=TTLS, exist=st.sampled_from([None, None, True, False]))
    def set(self, key, value, ttl, exist):
        stored = serve(self.table, m.Set(key, value, ttl, exist), self.now)
        if key in self.live:
            self.find(key)
        if exist is not None and exist is (self.find(key) is None):
            assert stored is False
        elif ttl is not None and ttl <= 0:
            assert stored is False
            if self.find(key):
                self.drop(key, Cause.DELETED)
        else:
            assert stored is True
            if key in self.live:
                self.left.append((key, self.live[key][0], Cause.REPLACED))
                self.live[key] = [value, self.deadline(ttl)]
            else:
                self.insert(key, value, ttl)

    @rule(key=KEYS)
    def get(self, key):
        value = serve(self.table, m.Get(key, "absent"), self.now)
        found = self.find(key) if key in self.live else None
        assert value == (found[0] if found else "absent")

    @rule(key=KEYS, by=st.integers(-5, 5), ttl=TTLS)
    def incr(self, key, by, ttl):
        found = self.find(key)
        if found and key in self.kept:
            return
        value = serve(self.table, m.Incr(key, by, ttl), self.now)
        if found:
            found[0] += by
            assert value == found[0]
        else:
            assert value == by
            if ttl is None or ttl > 0:
                self.insert(key, by, ttl)

    @rule(key=KEYS, ttl=TTLS)
    def expire(self, key, ttl):
        found = self.find(key)
        assert serve(self.table, m.Expire(key, ttl), self.now) is bool(found)
        if found and ttl is not None and ttl <= 0:
            self.drop(key, Cause.DELETED)
        elif found:
            found[1] = self.deadline(ttl)

    @rule(key=KEYS)
    def delete(self, key):
        found = self.find(key)
        assert serve(self.table, m.Delete(key), self.now) is bool(found)
        if found:
            self.drop(key, Cause.DELETED)

    @rule(key=KEYS)
    def look(self, key):
        found = self.find(key)
        assert serve(self.table, m.Exists(key), self.now) is bool(found)
        left = serve(self.table, m.GetExpire(key), self.now)
        if not found:
            assert left == -2
        elif found[1] == NEVER:
            assert left == -1
        else:
            assert 0 <= left - (found[1] - self.now) < 1 + 1e-5 or left == 1

    @rule(key=KEYS, member=st.sampled_from("xyz"), ttl=TTLS)
    def set_add(self, key, member, ttl):
        found = self.find(key)
        if found and key in self.live:
            return
        serve(self.table, m.SetAdd(key, (member,), ttl), self.now)
        members = found[0] if found else Members()
        members.add(member)
        if ttl is not None and ttl <= 0 and not found:
            self.left.append((key, members, Cause.DELETED))
        elif not found or ttl is None or found[1] < self.now + ttl:
            self.kept[key] = [members, self.deadline(ttl)]

    @rule(key=KEYS)
    def set_pop(self, key):
        found = self.find(key)
        if found and key in self.live:
            return
        taken = serve(self.table, m.SetPop(key), self.now)
        assert set(taken) == (found[0] if found else set())
        if found:
            found[0].clear()
            self.drop(key, Cause.DELETED)

    @rule(key=KEYS)
    def scan(self, key):
        page = serve(self.table, m.Scan(f"*{key}*"), self.now)
        found = self.find(key)
        assert page.items == ([key] if found else [])
        assert page.cursor is None

    @rule(passed=PASSING)
    def pass_time(self, passed):
        self.now += passed

    @precondition(lambda self: self.table.due < math.inf)
    @rule(limit=st.sampled_from([1, 2, 100]))
    def sweep_when_it_is_due(self, limit):
        """As the sweeper does: it comes to an end, and leaves nothing that was due."""
        self.now = max(self.now, self.table.due)
        for _ in range(200):
            if self.examine(limit) > self.now:
                break
        else:
            raise AssertionError
        for _, deadline in [*self.live.values(), *self.kept.values()]:
            assert deadline + self.tick * 1.000_001 > self.now

    @rule(limit=st.sampled_from([1, 2, 100]))
    def sweep(self, limit):
        self.examine(limit)

    def examine(self, limit):
        before = len(self.events)
        due = self.table.sweep(self.now, limit)
        swept = self.events[before:]
        assert len(swept) <= limit
        for key, _, cause in swept:
            assert cause is Cause.EXPIRED
            assert self.find(key) is None
        return due

    @rule()
    def count(self):
        """As the store does: once everything due has been swept."""
        while self.examine(100) <= self.now:
            pass
        values = [*self.live.values(), *self.kept.values()]
        walk = self.table.soon(self.now)
        while not walk.is_over:
            self.walk(walk, 2)
        assert self.table.count() == sum(deadline > self.now for _, deadline in values)

    @rule()
    def begin_to_walk(self):
        """As a count does that takes several turns."""
        while self.examine(100) <= self.now:
            pass
        self.began, self.way = self.now, self.table.soon(self.now)

    @precondition(lambda self: self.way is not None)
    @rule(limit=st.sampled_from([1, 2, 100]))
    def walk_on(self, limit):
        """Whatever has happened meanwhile, at the end nothing is there that had expired at the beginning."""
        self.walk(self.way, limit)
        if self.way.is_over:
            self.way = None
            assert all(deadline > self.began for _, deadline in [*self.live.values(), *self.kept.values()])

    def walk(self, way, limit):
        before = len(self.events)
        self.table.drop_expired(way, self.now, limit)
        gone = self.events[before:]
        assert len(gone) <= limit
        for key, _, cause in gone:
            assert cause is Cause.EXPIRED
            assert self.find(key) is None

    @rule()
    def clear(self):
        self.table.clear()
        while self.table.bury(2):
            pass
        leaving = {key: value for key, (value, _) in [*self.live.items(), *self.kept.items()]}
        assert {key: value for key, value, _ in self.events[len(self.left) :]} == leaving
        self.left += self.events[len(self.left) :]
        self.live, self.kept = {}, {}

    # --- what always holds

    @property
    def both(self):
        return (self.table.values, self.live), (self.table.structures, self.kept)

    @invariant()
    def the_columns_agree_with_the_model(self):
        assert len(self.table.values.keys) <= self.size
        for columns, model in self.both:
            found = {key: [columns.contents[row], columns.deadlines[row]] for key, row in columns.rows.items()}
            assert found == model
            assert {key: columns.keys[row] for key, row in columns.rows.items()} == {key: key for key in model}

    @invariant()
    def a_free_row_keeps_nothing_alive(self):
        for columns, _ in self.both:
            assert sorted([*columns.rows.values(), *columns._free]) == list(range(len(columns.keys)))
            for row in columns._free:
                assert columns.keys[row] is columns.contents[row] is None
                assert columns.deadlines[row] == NEVER
            assert {len(column) for column in (columns.contents, columns.deadlines, columns.used)} == {
                len(columns.keys)
            }

    @invariant()
    def what_left_was_told_with_its_cause(self):
        assert self.events == self.left

    @invariant()
    def what_can_expire_is_filed_once(self):
        for columns, _ in self.both:
            wheel = columns.wheel
            filed = {}
            for instant, bucket in wheel._buckets.items():
                for place, row in enumerate(bucket):
                    assert row not in filed
                    assert wheel._places[row] == place
                    filed[row] = instant
                    assert columns.deadlines[row] == NEVER or instant <= columns.deadlines[row] + self.tick * 1.000_001
            assert list(wheel.filed) == [filed.get(row, NEVER) for row in range(len(columns.keys))]
            assert {row for row, deadline in enumerate(columns.deadlines) if deadline < NEVER} <= filed.keys()
            assert sorted(wheel._instants) == sorted(wheel._buckets)
            assert len(wheel._instants) <= ROOM + 1
            assert wheel.due == min(wheel._instants, default=math.inf)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=120, stateful_step_count=40)
