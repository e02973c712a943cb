"""The memory store's state: pure, every instant is an argument, no turn awaits anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from sys import getsizeof
from typing import Any, Final, TypeVar, cast

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.exceptions import WrongTypeError
from cashews.keys.pattern import matcher
from cashews.messages.values import Cause
from cashews.strategies.entry import Entry
from cashews.structures.circuit import Circuit
from cashews.structures.kinds import Bits, Foreign, Members, Tally, Window, counter, integer, kind_of
from cashews.table.cursor import TableCursor
from cashews.table.keyspace import NEVER, PAGE, seconds_left
from cashews.table.tagged_keys import TaggedKeys
from cashews.table.wheel import Slot

CHECKED = frozenset({m.Incr, m.SetAdd, m.SetRemove, m.Delete})
"""Writes that may not fit what is there, and what makes room for them."""

Structure = TypeVar("Structure", Bits, Circuit, Window, Members, Tally)


class Table(TaggedKeys):
    """The turns. `turn(message, now)` answers what the message asks."""

    # --- values

    def get(self, message: m.Get | m.GetRaw, now: float) -> object:
        slot = self._live.get(message.key)
        if slot is None or slot.deadline <= now:
            self.misses += 1
            if slot is not None:
                self._drop(slot, Cause.EXPIRED)
            return message.default
        self.hits += 1
        self._order.touch(slot)
        return slot.value

    def get_hit(self, message: m.GetHit, now: float) -> object:
        found = self.get(message, now)
        if not isinstance(found, Entry):
            return found
        found.hits += 1
        return Entry(found.outcome, found.deadline, found.cost, found.hits)

    def get_many(self, message: m.GetMany, now: float) -> tuple[object, ...]:
        return tuple(self.get(m.Get(key, message.default), now) for key in message.keys)

    def set(self, message: m.Set, now: float) -> bool:
        slot = self._live.get(message.key)
        if slot is not None and slot.deadline <= now:
            self._drop(slot, Cause.EXPIRED)
            slot = None
        if message.exist is not None and message.exist is (self._find(message.key, now) is None):
            return False
        if message.permit is not None and message.permit.void:
            return False
        return self._store(slot, message.key, message.value, message.expire, now)

    def set_tagged(self, message: m.SetTagged, now: float) -> bool:
        if message.since is not None and self._tagged.overtaken(message.tags, message.since):
            return False
        stored = self.set(message, now)
        if stored:
            self._tagged.put(message.key, message.tags)
        return stored

    def set_raw(self, message: m.SetRaw, now: float) -> bool:
        return self.set(m.Set(message.key, message.value, message.expire), now)

    def set_many(self, message: m.SetMany, now: float) -> None:
        for key, value in message.pairs.items():
            self.set(m.Set(key, value, message.expire), now)

    def incr(self, message: m.Incr, now: float) -> int:
        slot = self._find(message.key, now)
        if slot is None:
            value = counter(message.key, message.value)
            self._store(None, message.key, value, message.expire, now)
            return value
        slot.value = value = counter(message.key, integer(message.key, slot.value) + message.value)
        self._order.touch(slot)
        return value

    def exists(self, message: m.Exists, now: float) -> bool:
        return self._find(message.key, now) is not None

    def delete(self, message: m.Delete, now: float) -> bool:
        slot = self._find(message.key, now)
        if slot is not None:
            self._drop(slot, Cause.DELETED)
        return slot is not None

    def delete_many(self, message: m.DeleteMany, now: float) -> None:
        for key in message.keys:
            self.delete(m.Delete(key), now)

    def expire(self, message: m.Expire, now: float) -> bool:
        slot = self._find(message.key, now)
        if slot is not None:
            self._set_deadline(slot, message.timeout, now)
        return slot is not None

    def get_expire(self, message: m.GetExpire, now: float) -> int:
        slot = self._find(message.key, now)
        if slot is None:
            return -2
        return -1 if slot.deadline == NEVER else seconds_left(slot.deadline, now)

    def get_size(self, message: m.GetSize, now: float) -> int:
        slot = self._find(message.key, now)
        return 0 if slot is None else getsizeof(slot.key) + getsizeof(slot.value) + getsizeof(slot)

    # --- many keys, in pages

    def scan(self, message: m.Scan, now: float) -> m.Page[str]:
        cursor = message.cursor if isinstance(message.cursor, TableCursor) else self.cursor()
        matches = matcher(message.pattern)
        keys = [key for key in cursor.take(PAGE) if matches(key) and self._find(key, now) is not None]
        return m.Page(keys, cursor if cursor.keys else None)

    def get_match(self, message: m.GetMatch, now: float) -> m.Page[tuple[str, object]]:
        page = self.scan(m.Scan(message.pattern, message.batch_size, message.cursor), now)
        return m.Page([(key, self._live[key].value) for key in page.items if key in self._live], page.cursor)

    def delete_page(self, message: m.DeleteMatch, cursor: TableCursor, now: float) -> None:
        """Remove what matches among the next keys of a cursor."""
        matches = matcher(message.pattern)
        for key in filter(matches, cursor.take(PAGE)):
            self.delete(m.Delete(key), now)

    def cursor(self) -> TableCursor:
        """Return the beginning of a scan over the keys there are now."""
        return TableCursor([*self._live, *self._structures])

    # --- bits, windows, sets

    def get_bits(self, message: m.GetBits, now: float) -> tuple[int, ...]:
        bits = self._peek(message.key, Bits, now)
        if bits is None:
            return (0,) * len(message.indexes)
        read, size = bits.read, message.size
        return tuple([read(index, size) for index in message.indexes])

    def incr_bits(self, message: m.IncrBits, now: float) -> tuple[int, ...]:
        bits = self._keep(message.key, Bits, now)
        return tuple(bits.add(index, message.size, message.by) for index in message.indexes)

    def slice_incr(self, message: m.SliceIncr, now: float) -> int:
        if message.maxvalue < 1:
            return message.maxvalue + 1
        window = self._keep(message.key, Window, now)
        count = window.admit(message.start, message.end, message.maxvalue)
        if count <= message.maxvalue and message.expire is not None:
            self._set_deadline(self._structures[message.key], message.expire, now)
        return count

    def admit(self, message: m.Admit, now: float) -> bool:
        slot = self._structures.get(message.key)
        if slot is None or slot.deadline <= now or slot.value.__class__ is not Tally:
            slot = self._first_call(message, now)
        tally = cast("Tally", slot.value)
        tally.calls += 1
        if tally.calls == message.limit + 1 and message.ban is not None:
            self._set_deadline(slot, message.ban, now)
        return tally.calls <= message.limit

    def _first_call(self, message: m.Admit, now: float) -> Slot:
        self._keep(message.key, Tally, now)
        slot = self._structures[message.key]
        self._set_deadline(slot, message.period, now)
        return slot

    def enter_circuit(self, message: m.EnterCircuit, now: float) -> float | None:
        slot = self._circuit(message.key, now)
        circuit = cast("Circuit", slot.value)
        known = circuit.forget_at
        entered = circuit.enter(message.rules, now)
        if circuit.forget_at != known:
            self._set_deadline(slot, circuit.forget_at - now, now)
        return entered

    def report_circuit(self, message: m.ReportCircuit, now: float) -> None:
        slot = self._circuit(message.key, now)
        circuit = cast("Circuit", slot.value)
        known = circuit.forget_at
        circuit.report(message.rules, message.entered, now, failed=message.failed)
        if circuit.forget_at != known:
            self._set_deadline(slot, circuit.forget_at - now, now)

    def _circuit(self, key: str, now: float) -> Slot:
        slot = self._structures.get(key)
        if slot is None or slot.deadline <= now or slot.value.__class__ is not Circuit:
            self._keep(key, Circuit, now)
            slot = self._structures[key]
        return slot

    def set_add(self, message: m.SetAdd, now: float) -> None:
        known = self._find(message.key, now)
        if not message.values:
            return
        self._keep(message.key, Members, now).update(message.values)
        slot = self._structures[message.key]
        if known is None or message.expire is None or slot.deadline < now + message.expire:
            self._set_deadline(slot, message.expire, now)

    def set_remove(self, message: m.SetRemove, now: float) -> None:
        members = self._peek(message.key, Members, now)
        if members is not None:
            members.difference_update(message.values)
            self._drop_empty(message.key, members)

    def set_pop(self, message: m.SetPop, now: float) -> list[str]:
        members = self._peek(message.key, Members, now)
        if members is None:
            return []
        taken = list(islice(members, message.count))
        members.difference_update(taken)
        self._drop_empty(message.key, members)
        return taken

    def _drop_empty(self, key: str, members: Members) -> None:
        if not members:
            self._drop(self._structures[key], Cause.DELETED)

    def _peek(self, key: str, kind: type[Structure], now: float) -> Structure | None:
        slot = self._find(key, now)
        if slot is None:
            return None
        if not isinstance(slot.value, kind):
            raise WrongTypeError(key, kind_of(slot.value), kind.__name__.lower())
        return slot.value

    def _keep(self, key: str, kind: type[Structure], now: float) -> Structure:
        value = self._peek(key, kind, now)
        if value is None:
            value = kind()
            self._structures[key] = Slot(key, value, NEVER)
        return value

    # --- locks

    def set_lock(self, message: m.SetLock, now: float) -> int:
        return self._locks.take(message.key, message.value, message.expire, now)

    def renew_lock(self, message: m.RenewLock, now: float) -> bool:
        return self._locks.renew(message.key, message.value, message.expire, now)

    def unlock(self, message: m.Unlock, now: float) -> bool:
        return self._locks.give_back(message.key, message.value, now)

    def lock_time_left(self, message: m.LockTimeLeft, now: float) -> float | None:
        return self._locks.left(message.key, now)

    def watch_lock(self, message: m.WatchLock, now: float) -> bool:
        """Answer that it is told already: no other process has these locks."""
        return True

    def unwatch_lock(self, message: m.UnwatchLock, now: float) -> None:
        return None

    # --- transactions

    def peek(self, message: m.Peek, now: float) -> m.State:
        slot = self._find(message.key, now)
        if slot is None:
            return m.State()
        left = None if slot.deadline == NEVER else slot.deadline - now
        if message.key in self._live:
            return m.State(slot.value, left=left, tags=self._tagged.of(message.key))
        if isinstance(slot.value, Members):
            return m.State(members=frozenset(slot.value), left=left)
        return m.State(foreign=type(slot.value).__name__, left=left)

    def restore(self, key: str, state: m.State, now: float) -> None:
        """Have a key hold what another table does; it must hold nothing yet."""
        if state.value is not ABSENT:
            self._store(None, key, state.value, state.left, now)
            if state.tags:
                self._tagged.put(key, state.tags)
        elif not state.absent:
            kept = Foreign(state.foreign) if state.members is None else Members(state.members)
            self._structures[key] = slot = Slot(key, kept, NEVER)
            self._set_deadline(slot, state.left, now)

    def commit(self, message: m.Commit, now: float) -> m.CommitOutcome:
        """Apply all writes or none.

        :raises WrongTypeError: if one does not fit what its key holds
        :raises CounterOverflowError: if one would take its counter out of range
        """
        locks, held = self._locks, message.locks
        if held and not all(locks.is_held(key, token, now) for key, token in held):
            return m.CommitOutcome.LOST
        checked = [write for write in message.writes if write.__class__ in CHECKED]
        if checked:
            self._check(checked, now)
        if message.tags:
            self.delete_tags(message.tags, now)
        for write in message.writes:
            TURNS[write.__class__](self, write, now)
        for key, token in held:
            locks.give_back(key, token, now)
        return m.CommitOutcome.COMMITTED

    def _check(self, writes: list[m.Write], now: float) -> None:
        """Raise what the writes would raise, one after the other."""
        counters: dict[str, int] = {}
        removed: set[str] = set()
        for write in writes:
            if isinstance(write, m.Delete):
                removed.add(write.key)
            elif isinstance(write, m.Incr):
                slot = self._find(write.key, now)
                before = counters.get(write.key, 0 if slot is None else integer(write.key, slot.value))
                counters[write.key] = counter(write.key, before + write.value)
            elif write.key not in removed:
                self._peek(write.key, Members, now)

    # --- the whole store

    def count(self, now: float) -> int:
        """Return the number of live keys, once everything due has been swept."""
        return len(self._live) + len(self._structures) - self._wheel.overdue(now)

    def ping(self, message: m.Ping, now: float) -> bytes:
        return b"PONG" if message.message is None else message.message

    def statistics(self) -> dict[str, int]:
        return {
            "keys": len(self._live),
            "kept": len(self._structures),
            "locks": len(self._locks),
            "hits": self.hits,
            "misses": self.misses,
            "evicted": self.evicted,
            "expired": self.expired,
            **self._tagged.statistics(),
        }


TURNS: Final[Mapping[type[m.Message[Any]], Callable[[Table, Any, float], Any]]] = {
    m.Get: Table.get,
    m.Recall: Table.get,
    m.GetHit: Table.get_hit,
    m.GetRaw: Table.get,
    m.GetMany: Table.get_many,
    m.RecallMany: Table.get_many,
    m.GetMatch: Table.get_match,
    m.Set: Table.set,
    m.SetTagged: Table.set_tagged,
    m.SetRaw: Table.set_raw,
    m.SetMany: Table.set_many,
    m.Incr: Table.incr,
    m.Exists: Table.exists,
    m.Delete: Table.delete,
    m.DeleteMany: Table.delete_many,
    m.MarkLoad: Table.mark_load,
    m.GetKeyTags: Table.get_key_tags,
    m.Scan: Table.scan,
    m.Expire: Table.expire,
    m.GetExpire: Table.get_expire,
    m.GetSize: Table.get_size,
    m.GetBits: Table.get_bits,
    m.IncrBits: Table.incr_bits,
    m.SliceIncr: Table.slice_incr,
    m.Admit: Table.admit,
    m.EnterCircuit: Table.enter_circuit,
    m.ReportCircuit: Table.report_circuit,
    m.SetAdd: Table.set_add,
    m.SetRemove: Table.set_remove,
    m.SetPop: Table.set_pop,
    m.SetLock: Table.set_lock,
    m.RenewLock: Table.renew_lock,
    m.Unlock: Table.unlock,
    m.LockTimeLeft: Table.lock_time_left,
    m.WatchLock: Table.watch_lock,
    m.UnwatchLock: Table.unwatch_lock,
    m.Peek: Table.peek,
    m.Commit: Table.commit,
    m.Ping: Table.ping,
}
"""The turn of each message that takes just one."""
