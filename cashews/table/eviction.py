"""Evictions: the rules that say which value leaves a full table. A hit only notes that the row was used.

Sources: Corbató, "A Paging Experiment with the Multics System", 1968 (CLOCK); Yang and others, "FIFO Queues are All You
Need for Cache Eviction", SOSP 2023 (S3-FIFO).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from typing import Final, Literal, TypeAlias

from cashews.table.columns import Columns

EvictionName: TypeAlias = Literal["clock", "s3-fifo"]
FEW: Final = 10
"""From this size on there is a part for new values."""
NEW_SHARE: Final = 10
"""The part for new values is one of so many."""
MOST_PASSED: Final = 2_000
"""How many used rows a hand that looks at each of them passes at most: a fraction of a millisecond."""


class Eviction(ABC):
    """A rule over columns in which every row has a key."""

    @abstractmethod
    def victim(self, key: str) -> int:
        """Return the row of the value that leaves for a new key."""


class SecondChance(Eviction):
    """A hand that goes round the rows: it passes those that were used since it came by, and takes the first other one.

    That is nearly the least recently used one.
    """

    __slots__ = ("_hand", "_used")

    def __init__(self, columns: Columns) -> None:
        self._used = columns.used
        self._hand = 0

    def victim(self, key: str) -> int:
        used, hand = self._used, self._hand
        row = used.find(0, hand)
        if row < 0:
            used[hand:] = bytes(len(used) - hand)
            hand, row = 0, used.find(0)  # at the latest where the hand was
        if row > hand:
            used[hand:row] = bytes(row - hand)
        self._hand = row + 1 if row + 1 < len(used) else 0
        return row


class S3Fifo(Eviction):
    """A tenth of the rows for new values, the others for values that were used while they were new, each with a hand.

    A value that leaves unused is remembered for a while by a part of its key's hash; if it comes back, it begins among
    the others. So values that are used just once, as in a scan, push out nothing but each other.
    """

    __slots__ = ("_columns", "_ghosts", "_hand", "_new", "_new_hand", "_places", "_ring")

    def __init__(self, columns: Columns) -> None:
        size = len(columns.keys)
        self._columns = columns
        self._ring = array("i", bytes(4 * size))
        """The row at each place, as its difference to the place: each row begins at its own place."""
        self._new = size // NEW_SHARE
        """The number of places for new values: the first ones."""
        self._new_hand, self._hand = 0, self._new
        self._ghosts = array("I", bytes(4 << (size - 1).bit_length()))
        """A part of the hash of a value that left unused, at a place that another part of its hash says."""

    def victim(self, key: str) -> int:
        place, ghost = self._ghost(key)
        if self._ghosts[place] == ghost:
            self._ghosts[place] = 0
            at = self._pass_used()
            return at + self._ring[at]
        ring, at = self._ring, self._new_hand
        self._new_hand = at + 1 if at + 1 < self._new else 0
        row = at + ring[at]
        if not self._columns.used[row]:
            place, ghost = self._ghost(self._columns.keys[row])
            self._ghosts[place] = ghost
            return row
        self._columns.used[row] = 0
        other = self._pass_used()  # changes places with it, and leaves
        leaving = other + ring[other]
        ring[at], ring[other] = leaving - at, row - other
        return leaving

    def _ghost(self, key: str | None) -> tuple[int, int]:
        """Return the place at which a key is remembered, and its number there."""
        digest = hash(key)
        return digest & (len(self._ghosts) - 1), digest >> 32 & 0xFFFF_FFFF | 1

    def _pass_used(self) -> int:
        """Pass the used rows among the others, and return the place of the first unused one."""
        ring, used, at = self._ring, self._columns.used, self._hand
        for _ in range(MOST_PASSED):
            row = at + ring[at]
            if not used[row]:
                break
            used[row] = 0
            at = at + 1 if at + 1 < len(ring) else self._new
        used[at + ring[at]] = 0
        self._hand = at + 1 if at + 1 < len(ring) else self._new
        return at


def eviction_over(columns: Columns, name: EvictionName) -> Eviction:
    """Return the eviction of a name over columns in which every row has a key; few rows have the simple one."""
    return S3Fifo(columns) if name == "s3-fifo" and len(columns.keys) >= FEW else SecondChance(columns)
