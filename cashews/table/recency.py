"""The order of use: a list linked through the slots, oldest first.

Not an `OrderedDict`: that costs 48 bytes a key against 16, and its growth at a million keys stops the loop for longer
than the guarantees allow.
"""

from __future__ import annotations

import math

from cashews.table.wheel import Slot


class Recency:
    """Slots from the least to the most recently used."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = end = Slot("", None, math.inf)
        end.older = end.newer = end

    def append(self, slot: Slot) -> None:
        """Add a slot that is not in the order as the most recently used."""
        end = self._end
        newest = end.older
        assert newest is not None
        newest.newer = slot
        slot.older = newest
        slot.newer = end
        end.older = slot

    def touch(self, slot: Slot) -> None:
        """Make a slot of the order the most recently used."""
        older, newer, end = slot.older, slot.newer, self._end
        if newer is not end:
            older.newer = newer  # type: ignore[union-attr]  # a slot in the order has neighbours
            newer.older = older  # type: ignore[union-attr]
            newest = end.older
            newest.newer = slot  # type: ignore[union-attr]
            slot.older = newest
            slot.newer = end
            end.older = slot

    @staticmethod
    def remove(slot: Slot) -> None:
        """Take a slot out of the order, if it is in one."""
        older, newer = slot.older, slot.newer
        if older is not None and newer is not None:
            older.newer = newer
            newer.older = older
            slot.older = slot.newer = None

    def oldest(self) -> Slot:
        """Return the least recently used slot of an order that is not empty."""
        slot = self._end.newer
        assert slot is not None
        return slot
