"""The turns about what is changed in place, on one shelf: bit fields, windows, tallies, circuits, sets."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final, cast

from cashews import messages as m
from cashews.backends.disk.shelf import Kept, Shelf
from cashews.backends.disk.values import deadline_in
from cashews.structures.circuit import LONG_AGO, Circuit, Phase
from cashews.structures.kinds import Window

BITS, WINDOW, TALLY, CIRCUIT, MEMBERS = "bits", "window", "tally", "circuit", "members"
PART: Final = 4_096
"""How many bytes of a bit field stand in one row."""
CIRCUIT_HEAD: Final = Struct(">Bdddqqq")
PHASES: Final = (Phase.CLOSED, Phase.OPEN, Phase.HALF_OPEN)
ADD_PART: Final = "INSERT OR REPLACE INTO cashews_parts (key, part, content) VALUES (?, ?, ?)"
DROP_PART: Final = "DELETE FROM cashews_parts WHERE key = ? AND part = ?"


def _begin(shelf: Shelf, key: str, kind: str, now: float) -> None:
    """Have a key hold a structure, a new one if there is none.

    :raises WrongTypeError: if it holds something else
    """
    if shelf.of_kind(key, kind, now) is None:
        shelf.renew(key, kind, None, None)


def _to(shelf: Shelf, kept: Kept | None) -> Callable[[str, str, bytes | int, float | None], None]:
    """Return what writes a structure in the place of the live one that was found, or of none."""
    return shelf.keep if kept is not None else shelf.renew


# --- bits


class Fields:
    """Unsigned fields of some bits each, in pages: a change of one writes no more than its page, or two."""

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
        """Return the bytes that a field is in, and how many bits stand behind it there."""
        end = (index + 1) * size
        last = (end + 7) // 8
        return range(index * size // 8, last), last * 8 - end

    def _chunk(self, span: range) -> int:
        return int.from_bytes(bytes([self._page(at // PART)[at % PART] for at in span]), "big")

    def read(self, index: int, size: int) -> int:
        """Return the field of `size` bits at an index."""
        span, behind = self._span(index, size)
        return self._chunk(span) >> behind & (1 << size) - 1

    def add(self, index: int, size: int, by: int) -> int:
        """Add to a field within its range and return it."""
        span, behind = self._span(index, size)
        mask = (1 << size) - 1
        chunk = self._chunk(span)
        field = max(0, min((chunk >> behind & mask) + by, mask))
        changed = (chunk & ~(mask << behind) | field << behind).to_bytes(len(span), "big")
        for at, byte in zip(span, changed, strict=True):
            self._page(at // PART)[at % PART] = byte
            self._changed.add(at // PART)
        return field

    def save(self) -> None:
        """Write the pages that have changed."""
        for number in self._changed:
            self._shelf.sql(ADD_PART, (self._key, number, bytes(self._pages[number])))


def get_bits(shelf: Shelf, message: m.GetBits, now: float) -> tuple[int, ...]:
    if shelf.of_kind(message.key, BITS, now) is None:
        return (0,) * len(message.indexes)
    fields = Fields(shelf, message.key)
    return tuple([fields.read(index, message.size) for index in message.indexes])


def incr_bits(shelf: Shelf, message: m.IncrBits, now: float) -> tuple[int, ...]:
    _begin(shelf, message.key, BITS, now)
    fields = Fields(shelf, message.key)
    replies = tuple([fields.add(index, message.size, message.by) for index in message.indexes])
    fields.save()
    return replies


# --- windows and tallies


def slice_incr(shelf: Shelf, message: m.SliceIncr, now: float) -> int:
    if message.maxvalue < 1:
        return message.maxvalue + 1
    kept = _counting(shelf.of_kind(message.key, WINDOW, now), now, message.expire)
    window = Window() if kept is None else Window(array("d", cast("bytes", kept.content)))
    count = window.admit(message.start, message.end, message.maxvalue)
    deadline = None if kept is None else kept.deadline
    if count <= message.maxvalue and message.expire is not None:
        deadline = deadline_in(message.expire, now)
    _to(shelf, kept)(message.key, WINDOW, array("d", window).tobytes(), deadline)
    return count


def _counting(kept: Kept | None, now: float, longest: float | None) -> Kept | None:
    """Return what still counts: what would last longer than it may is from before the clock was set back."""
    if kept is None or kept.deadline is None or longest is None or kept.deadline <= now + longest:
        return kept
    return None


def admit(shelf: Shelf, message: m.Admit, now: float) -> bool:
    kept = _counting(shelf.of_kind(message.key, TALLY, now), now, max(message.period, message.ban or 0))
    if kept is None:
        calls, deadline = 1, deadline_in(message.period, now)
    else:
        calls, deadline = cast("int", kept.content) + 1, kept.deadline
    if calls == message.limit + 1 and message.ban is not None:
        deadline = deadline_in(message.ban, now)
    _to(shelf, kept)(message.key, TALLY, calls, deadline)
    return calls <= message.limit


# --- circuits


def enter_circuit(shelf: Shelf, message: m.EnterCircuit, now: float) -> float | None:
    kept = shelf.of_kind(message.key, CIRCUIT, now)
    circuit = _circuit(kept)
    entered = circuit.enter(message.rules, now)
    _to(shelf, kept)(message.key, CIRCUIT, *_packed(circuit))
    return entered


def report_circuit(shelf: Shelf, message: m.ReportCircuit, now: float) -> None:
    kept = shelf.of_kind(message.key, CIRCUIT, now)
    circuit = _circuit(kept)
    circuit.report(message.rules, message.entered, now, failed=message.failed)
    _to(shelf, kept)(message.key, CIRCUIT, *_packed(circuit))


def _circuit(kept: Kept | None) -> Circuit:
    """Return a circuit as it was kept, a new one if it was not."""
    circuit = Circuit()
    if kept is not None:
        phase, *fields = CIRCUIT_HEAD.unpack(cast("bytes", kept.content))
        circuit.phase = PHASES[phase]
        circuit.changed, circuit.until, circuit.forget_at, circuit.calls, circuit.failures, circuit.tries = fields
    return circuit


def _packed(c: Circuit) -> tuple[bytes, float | None]:
    """Return what is kept of a circuit, and until when."""
    instants, counts = (c.changed, c.until, c.forget_at), (c.calls, c.failures, c.tries)
    content = CIRCUIT_HEAD.pack(PHASES.index(c.phase), *instants, *counts)
    return content, None if c.forget_at == LONG_AGO else c.forget_at


# --- sets


def set_add(shelf: Shelf, message: m.SetAdd, now: float) -> None:
    key = message.key
    kept = shelf.of_kind(key, MEMBERS, now)
    if not message.values:
        return
    deadline = deadline_in(message.expire, now)
    if kept is None:
        shelf.renew(key, MEMBERS, None, deadline)
    elif deadline is None or (kept.deadline is not None and kept.deadline < deadline):
        shelf.set_deadline(kept, deadline)
    for member in message.values:
        shelf.sql(ADD_PART, (key, member, None))


def set_remove(shelf: Shelf, message: m.SetRemove, now: float) -> None:
    kept = shelf.of_kind(message.key, MEMBERS, now)
    if kept is not None:
        _take_out(shelf, kept, message.key, message.values)


def set_pop(shelf: Shelf, message: m.SetPop, now: float) -> list[str]:
    kept = shelf.of_kind(message.key, MEMBERS, now)
    if kept is None:
        return []
    taken = members(shelf, message.key, message.count)
    _take_out(shelf, kept, message.key, taken)
    return taken


def members(shelf: Shelf, key: str, count: int = -1) -> list[str]:
    """Return members of a set, all of them by default."""
    found = shelf.sql("SELECT part FROM cashews_parts WHERE key = ? LIMIT ?", (key, count))
    return [part for (part,) in found]


def _take_out(shelf: Shelf, kept: Kept, key: str, values: tuple[str, ...] | list[str]) -> None:
    for member in values:
        shelf.sql(DROP_PART, (key, member))
    if not members(shelf, key, 1):
        shelf.drop_kept(kept)
