"""The table: the memory store's state. Pure: every instant is an argument, and nothing is awaited."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from cashews.keys.pattern import matcher
from cashews.messages import DeleteMatch
from cashews.messages.values import Cause
from cashews.table.holders import LockHolders
from cashews.table.recency import Recency
from cashews.table.tag_index import Carriers, TagIndex
from cashews.table.wheel import Slot, Wheel

NEVER = math.inf
BURST = 0.001
"""Deadlines less than these seconds apart that are given in a row share the first one's object: 32 bytes a key."""
PAGE = 2_000
"""How many keys one turn handles at most: about a millisecond."""
MOST_REMOVED = PAGE // 2
"""How many keys one turn removes at most, where the keys come from an index."""

Removal: TypeAlias = tuple[str, object, Cause]
"""A key, the value that left it, and the cause."""


class TableCursor:
    """The position of a scan: the keys of its first turn that have not been examined yet."""

    __slots__ = ("keys",)

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys

    def take(self, count: int) -> list[str]:
        """Return the next keys and forget them: a million strings are never freed in one turn."""
        taken = self.keys[-count:]
        del self.keys[-count:]
        return taken


class Table:
    """Slots by key, with a wheel of deadlines, an order of use, an index of tags and the holders of locks.

    There are at most `size` values: the least recently used is evicted first. Structures (sets, windows, bit fields,
    tallies, circuits) are never evicted. Locks have a name space of their own.

    `tick` is the wheel's, in seconds; `on_earlier` is called when the next sweep is due earlier than before.
    """

    def __init__(self, size: int, tick: float, on_earlier: Callable[[], None], first_fence: int = 1) -> None:
        self._size = size
        self._tick = tick
        self._on_earlier = on_earlier
        self.values: dict[str, Slot] = {}
        self.structures: dict[str, Slot] = {}
        self.order = Recency()
        """The order of use of `values`."""
        self.wheel = Wheel(tick, on_earlier)
        self.tag_index = TagIndex()
        self._tagged = self.tag_index.by_key
        """Tested before each change: while it is empty, `tag_index` need not be told."""
        self.locks = LockHolders(first_fence)
        self._latest = 0.0
        """The deadline that was given last."""
        self._cleared: list[dict[str, Slot]] = []
        self._cleared_tags: list[TagIndex] = []
        self.removed: Callable[[Removal], None] | None = None
        """The listener for removals, called in the turn that removes; `None` while nobody listens."""
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self.expired = 0

    # --- slots

    def find(self, key: str, now: float) -> Slot | None:
        """Return the slot of a live key; one that has expired is removed."""
        slot = self.values.get(key) or self.structures.get(key)
        if slot is not None and slot.deadline <= now:
            self.drop(slot, Cause.EXPIRED)
            return None
        return slot

    def store(self, slot: Slot | None, key: str, value: object, expire: float | None, now: float) -> bool:
        """Store a value in the live slot of its key in `values`, or in a new one; says whether it was stored.

        With an `expire` of 0 or less the key is removed instead.
        """
        if expire is not None and expire <= 0:
            if (present := self.find(key, now)) is not None:
                self.drop(present, Cause.DELETED)
            return False
        if slot is None:
            slot = self._insert(key, value, now)
        else:
            if self.removed is not None:
                self.removed((key, slot.value, Cause.REPLACED))
            if self._tagged:
                self.tag_index.forget(key)
            slot.value = value
            self.order.touch(slot)
        if expire is None:
            slot.deadline = NEVER
        else:
            self.set_deadline(slot, expire, now)
        return True

    def _insert(self, key: str, value: object, now: float) -> Slot:
        if key in self.structures:
            structure = self.structures[key]
            self.drop(structure, Cause.EXPIRED if structure.deadline <= now else Cause.REPLACED)
        if len(self.values) < self._size:
            slot = Slot(key, value, NEVER)
        else:  # taken over from the oldest: nothing is allocated, so the garbage collector has nothing to walk for
            slot = self.order.oldest()
            self.drop(slot, Cause.EVICTED)
            slot.key, slot.value, slot.deadline = key, value, NEVER
        self.values[key] = slot
        self.order.append(slot)
        return slot

    def set_deadline(self, slot: Slot, expire: float | None, now: float) -> None:
        """Give a slot another time to live. Its bucket of the wheel stays unless it is now due earlier."""
        if expire is None:
            slot.deadline = NEVER
            return
        if expire <= 0:
            self.drop(slot, Cause.DELETED)
            return
        deadline = now + expire
        if now < self._latest <= deadline < self._latest + BURST:
            deadline = self._latest
        else:
            self._latest = deadline
        earlier = deadline < slot.deadline
        slot.deadline = deadline
        if slot.before is None or earlier:
            Wheel.take_out(slot)
            if deadline < NEVER:
                self.wheel.file(slot, now)

    def drop(self, slot: Slot, cause: Cause) -> None:
        """Remove a slot, with the tags of its key."""
        slots = self.values if self.values.get(slot.key) is slot else self.structures
        del slots[slot.key]
        if self._tagged:
            self.tag_index.forget(slot.key)
        Recency.remove(slot)
        Wheel.take_out(slot)
        if cause is Cause.EXPIRED:
            self.expired += 1
        elif cause is Cause.EVICTED:
            self.evicted += 1
        if self.removed is not None:
            self.removed((slot.key, slot.value, cause))

    # --- parts of long commands, one turn each

    def cursor(self) -> TableCursor:
        """Return the beginning of a scan over the present keys."""
        return TableCursor([*self.values, *self.structures])

    def delete_page(self, message: DeleteMatch, cursor: TableCursor, now: float) -> None:
        """Remove the matching ones among the next keys of a cursor."""
        for key in filter(matcher(message.pattern), cursor.take(PAGE)):
            if (slot := self.find(key, now)) is not None:
                self.drop(slot, Cause.DELETED)

    def doom(self, tags: tuple[str, ...]) -> list[Carriers]:
        """Start a deletion of tags: returns the sets of keys to remove, for `delete_doomed`."""
        return self.tag_index.doom(tags)

    def delete_doomed(self, among: list[Carriers] | None, now: float) -> bool:
        """Remove some of the doomed keys, or of those of one deletion; says whether there were any."""
        keys = self.tag_index.take_doomed(MOST_REMOVED, among)
        for key in keys:
            slot = self.values[key]
            self.drop(slot, Cause.EXPIRED if slot.deadline <= now else Cause.DELETED)
        return bool(keys)

    def clear(self) -> None:
        """Remove all values and structures in one turn; `bury` frees their slots. Locks stay with their holders."""
        self._cleared += [self.values, self.structures]
        self._cleared_tags.append(self.tag_index)
        self.tag_index = self.tag_index.cleared()
        self._tagged = self.tag_index.by_key
        self.values, self.structures, self.order = {}, {}, Recency()
        self.wheel = Wheel(self._tick, self._on_earlier)

    def bury(self, limit: int = PAGE) -> bool:
        """Free some slots that a `clear` has left; says whether there are more.

        Slots are linked in circles: taken apart here in small turns, they never wait for one long garbage collection.
        """
        while self._cleared and limit > 0:
            if not self._cleared[-1]:
                self._cleared.pop()
                continue
            _, slot = self._cleared[-1].popitem()
            slot.older = slot.newer = slot.before = slot.after = None
            if self.removed is not None:
                self.removed((slot.key, slot.value, Cause.DELETED))
            limit -= 1
        if self._cleared_tags and limit > 0 and not self._cleared_tags[-1].bury(limit):
            self._cleared_tags.pop()
        return bool(self._cleared or self._cleared_tags)

    # --- sweeping

    @property
    def due(self) -> float:
        """The instant of the next sweep, `inf` while nothing can expire."""
        if self.tag_index.has_doomed or self._cleared or self._cleared_tags:
            return 0.0
        return self.wheel.due

    def sweep(self, now: float, limit: int = PAGE // 2) -> float:
        """Remove up to `limit` expired slots, and leftovers of cancelled commands; returns the next sweep's instant."""
        self.delete_doomed(None, now)
        self.bury(limit)
        for slot in self.wheel.take_due(now, limit):
            if slot.deadline <= now:
                self.drop(slot, Cause.EXPIRED)
            elif slot.deadline < NEVER:
                self.wheel.file(slot, now)
        return self.due

    # --- figures

    def count(self, now: float) -> int:
        """Return the number of live keys, once everything due has been swept."""
        return len(self.values) + len(self.structures) - self.wheel.overdue(now)

    def statistics(self) -> dict[str, int]:
        """Return counters and sizes by name."""
        return {
            "keys": len(self.values),
            "kept": len(self.structures),
            "locks": len(self.locks),
            "hits": self.hits,
            "misses": self.misses,
            "evicted": self.evicted,
            "expired": self.expired,
            **self.tag_index.statistics(),
        }
