"""The turns about bit fields, windows, tallies, circuits and sets: `turn(table, message, now)`."""

from __future__ import annotations

from itertools import islice
from typing import Any, TypeVar, cast

from cashews import messages as m
from cashews.exceptions import WrongTypeError
from cashews.messages.values import Cause
from cashews.structures.circuit import Circuit
from cashews.structures.kinds import Bits, Members, Tally, Window, kind_of
from cashews.table.keyspace import Table

Structure = TypeVar("Structure", Bits, Circuit, Window, Members, Tally)


def find_structure(table: Table, key: str, kind: type[Structure], now: float) -> Structure | None:
    """Return the structure of a key, `None` for an absent key.

    :raises WrongTypeError: if the key holds something else
    """
    place = table.find(key, now)
    if place is None:
        return None
    columns, row = place
    content = columns.contents[row]
    if type(content) is not kind:  # a value of a user's may pretend to be of another class
        raise WrongTypeError(key, kind_of(content), kind.__name__.lower())
    return content


def _ensure_structure(table: Table, key: str, kind: type[Structure], now: float) -> Structure:
    """Return the structure of a key, a new one for an absent key.

    :raises WrongTypeError: if the key holds something else
    """
    structure = find_structure(table, key, kind, now)
    return _new_structure(table, key, kind) if structure is None else structure


def _new_structure(table: Table, key: str, kind: type[Structure]) -> Structure:
    structure = kind()
    table.structures.add(key, structure)
    return structure


# --- bit fields


def get_bits(table: Table, message: m.GetBits, now: float) -> tuple[int, ...]:
    bits = find_structure(table, message.key, Bits, now)
    if bits is None:
        return (0,) * len(message.indexes)
    read, size = bits.read, message.size
    return tuple([read(index, size) for index in message.indexes])


def incr_bits(table: Table, message: m.IncrBits, now: float) -> tuple[int, ...]:
    bits = _ensure_structure(table, message.key, Bits, now)
    return tuple(bits.add(index, message.size, message.by) for index in message.indexes)


# --- windows and tallies


def slice_incr(table: Table, message: m.SliceIncr | m.AdmitSlice, now: float) -> int:
    if message.maxvalue < 1:
        return message.maxvalue + 1
    is_new = table.find(message.key, now) is None
    window = _ensure_structure(table, message.key, Window, now)
    count = window.admit(message.start, message.end, message.maxvalue)
    if count <= message.maxvalue and message.expire is not None:
        window.lease = max(window.lease, message.expire)
        structures = table.structures
        row = structures.rows[message.key]
        if is_new or structures.deadlines[row] < now + window.lease:
            table.set_deadline(structures, row, window.lease, now)
    return count


def admit_slice(table: Table, message: m.AdmitSlice, now: float) -> float:
    count = slice_incr(table, message, now)
    if count <= message.maxvalue:
        return 0.0
    window = find_structure(table, message.key, Window, now)
    return 0.0 if window is None else window.room_after(message.start)


def admit(table: Table, message: m.Admit, now: float) -> float:
    structures = table.structures
    row = structures.rows.get(message.key)
    if row is None or structures.deadlines[row] <= now or type(structures.contents[row]) is not Tally:
        row = _first_call(table, message, now)
    tally: Any = structures.contents[row]  # a call of `cast` would take a twentieth of a limit's time
    tally.calls += 1
    if tally.calls == message.limit + 1 and message.ban is not None:
        table.set_deadline(structures, row, message.ban, now)
    return 0.0 if tally.calls <= message.limit else structures.deadlines[row] - now


def _first_call(table: Table, message: m.Admit, now: float) -> int:
    _ensure_structure(table, message.key, Tally, now)
    row = table.structures.rows[message.key]
    table.set_deadline(table.structures, row, message.period, now)
    return row


# --- circuits


def enter_circuit(table: Table, message: m.EnterCircuit, now: float) -> float | m.Refusal:
    row = _circuit_row(table, message.key, now)
    circuit = cast("Circuit", table.structures.contents[row])
    before = circuit.forget_at
    entered = circuit.enter(message.rules, now)
    if circuit.forget_at != before:
        table.set_deadline(table.structures, row, circuit.forget_at - now, now)
    return entered


def report_circuit(table: Table, message: m.ReportCircuit, now: float) -> None:
    row = _circuit_row(table, message.key, now)
    circuit = cast("Circuit", table.structures.contents[row])
    before = circuit.forget_at
    circuit.report(message.rules, message.entered, now, failed=message.failed)
    if circuit.forget_at != before:
        table.set_deadline(table.structures, row, circuit.forget_at - now, now)


def _circuit_row(table: Table, key: str, now: float) -> int:
    structures = table.structures
    row = structures.rows.get(key)
    if row is None or structures.deadlines[row] <= now or type(structures.contents[row]) is not Circuit:
        _ensure_structure(table, key, Circuit, now)
        row = structures.rows[key]
    return row


# --- sets


def set_add(table: Table, message: m.SetAdd, now: float) -> None:
    if not message.values:
        return
    before = find_structure(table, message.key, Members, now)
    members = _new_structure(table, message.key, Members) if before is None else before
    members.update(message.values)
    structures = table.structures
    row = structures.rows[message.key]
    if before is None or message.expire is None or structures.deadlines[row] < now + message.expire:
        table.set_deadline(structures, row, message.expire, now)


def set_remove(table: Table, message: m.SetRemove, now: float) -> None:
    members = find_structure(table, message.key, Members, now)
    if members is not None:
        members.difference_update(message.values)
        _drop_if_empty(table, message.key, members)


def set_pop(table: Table, message: m.SetPop, now: float) -> list[str]:
    members = find_structure(table, message.key, Members, now)
    if members is None:
        return []
    taken = list(islice(members, message.count))
    members.difference_update(taken)
    _drop_if_empty(table, message.key, members)
    return taken


def _drop_if_empty(table: Table, key: str, members: Members) -> None:
    if not members:
        table.drop(table.structures, table.structures.rows[key], Cause.DELETED)
