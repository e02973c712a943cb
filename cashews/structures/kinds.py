"""The kinds of structures but circuits: bit fields, windows of events, tallies, sets. And the rules of counters."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from typing import Final

from cashews.exceptions import CounterOverflowError, WrongTypeError

COUNTER_MAX: Final = 2**63 - 1


class Bits(bytearray):
    """A row of unsigned fields of some bits each; a field that was never written is zero."""

    def read(self, index: int, size: int) -> int:
        """Return the field of `size` bits at an index."""
        if size == 1:  # Bloom filters read many single bits
            byte = index >> 3
            return self[byte] >> (~index & 7) & 1 if byte < len(self) else 0
        first, last, shift = self._place(index, size)
        chunk = self[first:last].ljust(last - first, b"\0")
        return int.from_bytes(chunk, "big") >> shift & (1 << size) - 1

    def add(self, index: int, size: int, by: int) -> int:
        """Add to a field, clamped to its range, and return its new value."""
        first, last, shift = self._place(index, size)
        if len(self) < last:
            self.extend(bytes(last - len(self)))
        mask = (1 << size) - 1
        chunk = int.from_bytes(self[first:last], "big")
        field = max(0, min((chunk >> shift & mask) + by, mask))
        self[first:last] = (chunk & ~(mask << shift) | field << shift).to_bytes(last - first, "big")
        return field

    @staticmethod
    def _place(index: int, size: int) -> tuple[int, int, int]:
        begin, end = index * size, (index + 1) * size
        last = (end + 7) // 8
        return begin // 8, last, last * 8 - end


class Window(list[float]):
    """A window of events: the instants of those that were admitted, in order.

    Windows of several lengths may share one: an event stays until it has left the longest of them.
    """

    __slots__ = ("lease", "span")

    def __init__(self, events: Iterable[float] = (), span: float = 0.0, lease: float = 0.0) -> None:
        super().__init__(events)
        self.span = span
        """The length of the longest window that was asked for."""
        self.lease = lease
        """The longest time to live that was asked for: the longest window needs the events of all."""

    def admit(self, start: float, end: float, limit: int) -> int:
        """Count an event at `end` among those after `start`; returns `limit` + 1 if that many were there already."""
        self.span = max(self.span, end - start)
        del self[: bisect_right(self, min(start, end - self.span))]
        inside = len(self) - bisect_right(self, start)
        if inside >= limit:
            return limit + 1
        insort(self, end)
        return inside + 1

    def room_after(self, start: float) -> float:
        """Return the seconds until the oldest event after an instant has left the window that begins there."""
        return self[bisect_right(self, start)] - start


class Tally:
    """The number of calls in a window."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


class Members(set[str]):
    """The members of a set."""


class Foreign:
    """A structure of another store, of which only the kind is known here."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


def kind_of(value: object) -> str:
    """Return the name of a value's kind, for error messages."""
    return value.kind if type(value) is Foreign else type(value).__name__


def integer(key: str, value: object) -> int:
    """Return the value of a counter.

    :raises WrongTypeError: if it is no integer
    :raises CounterOverflowError: if it is an integer beyond 64 bits
    """
    if type(value) is int:
        return counter(key, value)
    raise WrongTypeError(key, kind_of(value), "an integer")


def is_counter(value: int) -> bool:
    """Say whether an integer is in the range of counters: 64 bits, signed."""
    return -COUNTER_MAX - 1 <= value <= COUNTER_MAX


def counter(key: str, value: int) -> int:
    """Return a value of a counter.

    :raises CounterOverflowError: if it is out of range
    """
    if not is_counter(value):
        raise CounterOverflowError(key)
    return value
