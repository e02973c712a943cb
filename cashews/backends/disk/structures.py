"""The turns of structures on one shelf: bit fields, windows, tallies, circuits, sets."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final, cast

from cashews import messages as m
from cashews.backends.disk.files import encoded, is_sound
from cashews.backends.disk.rows import StructureRow
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.values import deadline_in
from cashews.structures.circuit import LONG_AGO, Circuit, Phase
from cashews.structures.kinds import Window

BITS, WINDOW, TALLY, CIRCUIT, MEMBERS = "bits", "window", "tally", "circuit", "members"
ALL: Final = -1
"""No limit, in SQLite's words."""
PART: Final = 4_096
"""The bytes of a page: a bit field is stored as one row per page."""
CIRCUIT_FORMAT: Final = Struct(">Bdddqqq")
WINDOW_MARK: Final = b"w"
"""The first byte of a window's content. Earlier versions wrote the events alone, which are eight bytes each."""
WINDOW_HEAD: Final = Struct(">ddd")
"""The length of the longest window, the longest time to live, and the instant of the last write; the events follow."""
TALLY_FORMAT: Final = Struct(">qd")
"""The number of calls, and the instant of the last write. Earlier versions wrote the number alone, as an integer."""
SKEW: Final = 10.0
"""The seconds by which a row may have been written later than now: letters of several processes arrive in any order.
Beyond that the clock was set back, and the row is void, since it might shut everybody out for years."""
PHASES: Final = (Phase.CLOSED, Phase.OPEN, Phase.HALF_OPEN)
ADD_PART: Final = "INSERT OR REPLACE INTO cashews_parts (key, part, content) VALUES (?, ?, ?)"
DROP_MEMBER: Final = "DELETE FROM cashews_parts WHERE key = ? AND part = +CAST(? AS TEXT)"
"""Its second parameter are bytes, since a member that another program or a fault has changed may be no UTF-8."""


def _writer(shelf: Shelf, found: StructureRow | None) -> Callable[[str, str, bytes | int, float | None], None]:
    """Return the method that writes a structure: over the live one that was found, or a new one."""
    return shelf.put_structure if found is not None else shelf.replace_structure


# --- bits


class BitFields:
    """The bit fields of a key, read page by page. A change of a field writes only the page, or two, that it is in."""

    def __init__(self, shelf: Shelf, key: str) -> None:
        self._shelf = shelf
        self._key = key
        self._pages: dict[int, bytearray] = {}
        self._changed: set[int] = set()

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            question = "SELECT content FROM cashews_parts WHERE key = ? AND part = ?"
            found = self._shelf.sql(question, (self._key, number)).fetchone()
            page = self._pages[number] = bytearray(PART if found is None else found[0])
        return page

    def _span(self, index: int, size: int) -> tuple[range, int]:
        """Return the bytes that contain a field, and the number of bits after the field in the last of them."""
        end = (index + 1) * size
        last = (end + 7) // 8
        return range(index * size // 8, last), last * 8 - end

    def _chunk(self, span: range) -> int:
        return int.from_bytes(bytes([self._page(at // PART)[at % PART] for at in span]), "big")

    def read(self, index: int, size: int) -> int:
        """Return the unsigned field of `size` bits at an index."""
        span, after = self._span(index, size)
        return self._chunk(span) >> after & (1 << size) - 1

    def add(self, index: int, size: int, by: int) -> int:
        """Add to a field and return its new value, which stays within the range of `size` bits."""
        span, after = self._span(index, size)
        mask = (1 << size) - 1
        chunk = self._chunk(span)
        field = max(0, min((chunk >> after & mask) + by, mask))
        changed = (chunk & ~(mask << after) | field << after).to_bytes(len(span), "big")
        for at, byte in zip(span, changed, strict=True):
            self._page(at // PART)[at % PART] = byte
            self._changed.add(at // PART)
        return field

    def save(self) -> None:
        """Write the changed pages."""
        for number in self._changed:
            self._shelf.sql(ADD_PART, (self._key, number, bytes(self._pages[number])))


def get_bits(shelf: Shelf, message: m.GetBits, now: float) -> tuple[int, ...]:
    if shelf.structure_of_kind(message.key, BITS, now) is None:
        return (0,) * len(message.indexes)
    fields = BitFields(shelf, message.key)
    return tuple([fields.read(index, message.size) for index in message.indexes])


def incr_bits(shelf: Shelf, message: m.IncrBits, now: float) -> tuple[int, ...]:
    if shelf.structure_of_kind(message.key, BITS, now) is None:
        shelf.replace_structure(message.key, BITS, None, None)
    fields = BitFields(shelf, message.key)
    replies = tuple([fields.add(index, message.size, message.by) for index in message.indexes])
    fields.save()
    return replies


# --- windows and tallies


def slice_incr(shelf: Shelf, message: m.SliceIncr, now: float) -> int:
    return _count(shelf, message, now)[0] if message.maxvalue > 0 else message.maxvalue + 1


def admit_slice(shelf: Shelf, message: m.AdmitSlice, now: float) -> float:
    count, window = _count(shelf, message, now)
    return 0.0 if count <= message.maxvalue else window.room_after(message.start)


def _count(shelf: Shelf, message: m.SliceIncr | m.AdmitSlice, now: float) -> tuple[int, Window]:
    """Count an event in the window of a key, unless that is full; returns the number of events, and the window."""
    found, window = _window(shelf.structure_of_kind(message.key, WINDOW, now), now)
    count = window.admit(message.start, message.end, message.maxvalue)
    deadline = None if found is None else found.deadline
    if count <= message.maxvalue and message.expire is not None:
        window.lease = max(window.lease, message.expire)
        deadline = _later(found, deadline_in(window.lease, now))
    _writer(shelf, found)(message.key, WINDOW, _window_content(window, now), deadline)
    return count, window


def _window(found: StructureRow | None, now: float) -> tuple[StructureRow | None, Window]:
    """Return a row and its window; no row and a new window if the row was written at a later time than now."""
    content = b"" if found is None else cast("bytes", found.content)
    if not content.startswith(WINDOW_MARK):
        return found, Window(array("d", content))
    span, lease, written = WINDOW_HEAD.unpack_from(content, len(WINDOW_MARK))
    if written > now + SKEW:
        return None, Window()
    return found, Window(array("d", content[len(WINDOW_MARK) + WINDOW_HEAD.size :]), span, lease)


def _window_content(window: Window, now: float) -> bytes:
    return WINDOW_MARK + WINDOW_HEAD.pack(window.span, window.lease, now) + array("d", window).tobytes()


def _later(found: StructureRow | None, deadline: float | None) -> float | None:
    """Return the later one of two deadlines: windows of several lengths may share a row."""
    if found is None:
        return deadline
    return None if found.deadline is None or deadline is None else max(found.deadline, deadline)


def admit(shelf: Shelf, message: m.Admit, now: float) -> float:
    found, calls = _tally(shelf.structure_of_kind(message.key, TALLY, now), now)
    deadline = deadline_in(message.period, now) if found is None else found.deadline
    calls += 1
    if calls == message.limit + 1 and message.ban is not None:
        deadline = deadline_in(message.ban, now)
    _writer(shelf, found)(message.key, TALLY, TALLY_FORMAT.pack(calls, now), deadline)
    if calls <= message.limit:
        return 0.0
    return math.inf if deadline is None else deadline - now


def _tally(found: StructureRow | None, now: float) -> tuple[StructureRow | None, int]:
    """Return a row and its number of calls; no row and 0 if the row was written at a later time than now."""
    if found is None:
        return None, 0
    if isinstance(found.content, int):
        return found, found.content
    calls, written = TALLY_FORMAT.unpack(cast("bytes", found.content))
    return (None, 0) if written > now + SKEW else (found, calls)


# --- circuits


def enter_circuit(shelf: Shelf, message: m.EnterCircuit, now: float) -> float | m.Refusal:
    found = shelf.structure_of_kind(message.key, CIRCUIT, now)
    circuit = _unpacked(found)
    entered = circuit.enter(message.rules, now)
    _writer(shelf, found)(message.key, CIRCUIT, *_packed(circuit))
    return entered


def report_circuit(shelf: Shelf, message: m.ReportCircuit, now: float) -> None:
    found = shelf.structure_of_kind(message.key, CIRCUIT, now)
    circuit = _unpacked(found)
    circuit.report(message.rules, message.entered, now, failed=message.failed)
    _writer(shelf, found)(message.key, CIRCUIT, *_packed(circuit))


def _unpacked(found: StructureRow | None) -> Circuit:
    """Return the circuit in a row, a new one if there is no row."""
    circuit = Circuit()
    if found is not None:
        phase, *fields = CIRCUIT_FORMAT.unpack(cast("bytes", found.content))
        circuit.phase = PHASES[phase]
        circuit.changed, circuit.until, circuit.forget_at, circuit.calls, circuit.failures, circuit.tries = fields
    return circuit


def _packed(c: Circuit) -> tuple[bytes, float | None]:
    """Return the content of a circuit's row, and its deadline."""
    instants, counts = (c.changed, c.until, c.forget_at), (c.calls, c.failures, c.tries)
    content = CIRCUIT_FORMAT.pack(PHASES.index(c.phase), *instants, *counts)
    return content, None if c.forget_at == LONG_AGO else c.forget_at


# --- sets


def set_add(shelf: Shelf, message: m.SetAdd, now: float) -> None:
    key = message.key
    found = shelf.structure_of_kind(key, MEMBERS, now)
    if not message.values:
        return
    deadline = deadline_in(message.expire, now)
    if found is None:
        shelf.replace_structure(key, MEMBERS, None, deadline)
    elif deadline is None or (found.deadline is not None and found.deadline < deadline):
        shelf.set_deadline(found, deadline)
    for member in message.values:
        shelf.sql(ADD_PART, (key, member, None))


def set_remove(shelf: Shelf, message: m.SetRemove, now: float) -> None:
    found = shelf.structure_of_kind(message.key, MEMBERS, now)
    if found is not None:
        _drop_members(shelf, found, message.key, message.values)


def set_pop(shelf: Shelf, message: m.SetPop, now: float) -> list[str]:
    found = shelf.structure_of_kind(message.key, MEMBERS, now)
    if found is None:
        return []
    popped = _any_members(shelf, message.key, message.count)
    _drop_members(shelf, found, message.key, popped)
    sound = list(filter(is_sound, popped))
    return sound if sound or not popped else set_pop(shelf, message, now)


def members(shelf: Shelf, key: str) -> list[str]:
    """Return the members of a set."""
    return list(filter(is_sound, _any_members(shelf, key, ALL)))


def _any_members(shelf: Shelf, key: str, count: int) -> list[str]:
    """Return up to `count` members of a set, those that are not UTF-8 included."""
    found = shelf.sql("SELECT part FROM cashews_parts WHERE key = ? LIMIT ?", (key, count))
    return [part for (part,) in found]


def _drop_members(shelf: Shelf, found: StructureRow, key: str, values: tuple[str, ...] | list[str]) -> None:
    """Remove members of a set, and the set itself if it is empty then."""
    for member in values:
        shelf.sql(DROP_MEMBER, (key, encoded(member)))
    if not _any_members(shelf, key, 1):
        shelf.drop_structure(found)
