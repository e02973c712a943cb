"""The slots of the memory store: by key, in the order of use, and by when they expire."""

from __future__ import annotations

import math
from collections.abc import Callable

from cashews.messages.values import Cause
from cashews.table.locks import Locks
from cashews.table.recency import Recency
from cashews.table.tagged import Tagged
from cashews.table.wheel import Slot, Wheel

NEVER = math.inf
BURST = 0.001
"""Deadlines less than these seconds apart that are given in a row share the first one's object: 32 bytes a key."""
PAGE = 2_000
"""How many keys one turn handles at most: about a millisecond."""

Removed = Callable[["tuple[str, object, Cause]"], None]


def seconds_left(deadline: float, now: float) -> int:
    """Return the whole seconds until a deadline, rounded up but for what addition of floats has added."""
    return max(1, math.ceil(deadline - now - 1e-6))


class Keyspace:
    """Values with deadlines, at most `size` of them (the least recently used leaves first).

    Sets, windows, bit fields and the like are kept apart: they are never evicted. Locks have a name space of their own.
    """

    def __init__(self, size: int, tick: float, on_earlier: Callable[[], None], first_fence: int = 1) -> None:
        self._size = size
        self._tick = tick
        self._on_earlier = on_earlier
        self._live: dict[str, Slot] = {}
        self._structures: dict[str, Slot] = {}
        self._locks = Locks(first_fence)
        self._tagged = Tagged()
        self._tags = self._tagged.by_key
        """The tags of each key that carries any."""
        self._order = Recency()
        self._wheel = Wheel(tick, on_earlier)
        self._recent = 0.0
        self._graves: list[dict[str, Slot]] = []
        self._tagged_graves: list[Tagged] = []
        self.removed: Removed | None = None
        """Told of every value that leaves, if anybody listens."""
        self.hits: int = 0
        self.misses: int = 0
        self.evicted: int = 0
        self.expired: int = 0

    def _find(self, key: str, now: float) -> Slot | None:
        slot = self._live.get(key) or self._structures.get(key)
        if slot is not None and slot.deadline <= now:
            self._drop(slot, Cause.EXPIRED)
            return None
        return slot

    def _store(self, slot: Slot | None, key: str, value: object, expire: float | None, now: float) -> bool:
        if expire is not None and expire <= 0:
            if (present := self._find(key, now)) is not None:
                self._drop(present, Cause.DELETED)
            return False
        if slot is None:
            slot = self._insert(key, value, now)
        else:
            if self.removed is not None:
                self.removed((key, slot.value, Cause.REPLACED))
            if self._tags:
                self._tagged.forget(key)
            slot.value = value
            self._order.touch(slot)
        self._set_deadline(slot, expire, now)
        return True

    def _insert(self, key: str, value: object, now: float) -> Slot:
        if key in self._structures:
            kept = self._structures[key]
            self._drop(kept, Cause.EXPIRED if kept.deadline <= now else Cause.REPLACED)
        if len(self._live) < self._size:
            slot = Slot(key, value, NEVER)
        else:  # taken over from the oldest: nothing is allocated, so the garbage collector has nothing to walk for
            slot = self._order.oldest()
            self._drop(slot, Cause.EVICTED)
            slot.key, slot.value, slot.deadline = key, value, NEVER
        self._live[key] = slot
        self._order.append(slot)
        return slot

    def _set_deadline(self, slot: Slot, expire: float | None, now: float) -> None:
        """Set when a slot expires. It stays where it is filed unless it has to be looked at earlier."""
        if expire is None:
            slot.deadline = NEVER
            return
        if expire <= 0:
            self._drop(slot, Cause.DELETED)
            return
        deadline = now + expire
        if now < self._recent <= deadline < self._recent + BURST:
            deadline = self._recent
        else:
            self._recent = deadline
        earlier = deadline < slot.deadline
        slot.deadline = deadline
        if slot.before is None or earlier:
            Wheel.take_out(slot)
            if deadline < NEVER:
                self._wheel.file(slot, now)

    def _drop(self, slot: Slot, cause: Cause) -> None:
        place = self._live if self._live.get(slot.key) is slot else self._structures
        del place[slot.key]
        if self._tags:
            self._tagged.forget(slot.key)
        Recency.remove(slot)
        Wheel.take_out(slot)
        if cause is Cause.EXPIRED:
            self.expired += 1
        elif cause is Cause.EVICTED:
            self.evicted += 1
        if self.removed is not None:
            self.removed((slot.key, slot.value, cause))

    # --- the whole store

    def clear(self) -> None:
        """Remove every value at once; what they were made of is let go by `bury`. Locks stay with their holders."""
        self._graves += [self._live, self._structures]
        self._tagged_graves.append(self._tagged)
        self._tagged = self._tagged.cleared()
        self._tags = self._tagged.by_key
        self._live, self._structures, self._order = {}, {}, Recency()
        self._wheel = Wheel(self._tick, self._on_earlier)

    def bury(self, limit: int = PAGE) -> bool:
        """Let go of some slots of cleared tables; says whether there are more.

        Slots are linked in circles: taken apart here in small turns, they never wait for one long garbage collection.
        """
        while self._graves and limit > 0:
            if not self._graves[-1]:
                self._graves.pop()
                continue
            _, slot = self._graves[-1].popitem()
            slot.older = slot.newer = slot.before = slot.after = None
            if self.removed is not None:
                self.removed((slot.key, slot.value, Cause.DELETED))
            limit -= 1
        if self._tagged_graves and limit > 0 and not self._tagged_graves[-1].bury(limit):
            self._tagged_graves.pop()
        return bool(self._graves or self._tagged_graves)

    @property
    def due(self) -> float:
        """The instant of the next sweep, `inf` while nothing can expire."""
        return 0.0 if self._graves or self._tagged_graves else self._wheel.due

    def sweep(self, now: float, limit: int = PAGE // 2) -> float:
        """Remove up to `limit` expired slots and return when to sweep again."""
        self.bury(limit)
        for slot in self._wheel.take_due(now, limit):
            if slot.deadline <= now:
                self._drop(slot, Cause.EXPIRED)
            elif slot.deadline < NEVER:
                self._wheel.file(slot, now)
        return self.due
