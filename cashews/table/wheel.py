"""The order of expiry: a timing wheel, which finds the slots that are due without looking at the others.

A slot is filed in one bucket, under a tick at or before its deadline: exactly for the next 64 ticks, in steps of 64,
4096, ... ticks for later deadlines, and filed anew, more finely, when that tick comes. That makes few buckets however
long the times to live; a slot is filed at most once, and taking it out changes its two neighbours alone.
Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

STEP_BITS = 6
ROOM = 1024
"""The number of buckets from which on the empty ones are thrown out."""


class Slot:
    """A key, its value and its deadline, linked into the order of use and into a bucket of the wheel."""

    __slots__ = ("after", "before", "deadline", "key", "newer", "older", "value")

    key: str
    value: object
    deadline: float
    older: Slot | None
    newer: Slot | None
    before: Slot | None
    after: Slot | None

    def __init__(self, key: str, value: object, deadline: float) -> None:
        self.key = key
        self.value = value
        self.deadline = deadline
        self.older = self.newer = self.before = self.after = None


class Wheel:
    """The filed slots, in buckets by the tick at which they have to be examined.

    `tick` is in seconds. `on_earlier` is called when a slot is filed that is due before all others.
    """

    def __init__(self, tick: float, on_earlier: Callable[[], None]) -> None:
        self._tick = tick
        self._on_earlier = on_earlier
        self._buckets: dict[int, Slot] = {}
        self._ticks: list[int] = []
        self._room = ROOM
        self.due = math.inf
        """The instant at which the next bucket has to be examined; `inf` without buckets."""

    def file(self, slot: Slot, now: float) -> None:
        """File a slot that is not filed: `take_due` finds it at its deadline, at the latest one tick later."""
        current = int(now / self._tick)
        if (current + 1) * self._tick <= now:  # rounding: the quotient may be less than the product says
            current += 1
        last = int(slot.deadline / self._tick) + 1
        level = ((last - current).bit_length() - 1) // STEP_BITS * STEP_BITS
        tick = last >> level << level
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._open(tick)
        before = bucket.before
        assert before is not None
        before.after = slot
        slot.before = before
        slot.after = bucket
        bucket.before = slot

    def _open(self, tick: int) -> Slot:
        if len(self._ticks) >= self._room:
            self._throw_out_empty()
        bucket = self._buckets[tick] = Slot("", None, math.inf)
        bucket.before = bucket.after = bucket
        heappush(self._ticks, tick)
        if tick * self._tick < self.due:
            self.due = tick * self._tick
            self._on_earlier()
        return bucket

    def _throw_out_empty(self) -> None:
        """Forget the buckets without slots: without a sweeper their number would grow for ever."""
        filled: dict[int, Slot] = {}
        for tick, bucket in self._buckets.items():
            if bucket.after is bucket:
                bucket.before = bucket.after = None
            else:
                filled[tick] = bucket
        self._buckets = filled
        self._ticks = sorted(filled)
        self._room = max(ROOM, 2 * len(filled))

    @staticmethod
    def take_out(slot: Slot) -> None:
        """Unfile a slot, if it is filed."""
        before, after = slot.before, slot.after
        if before is not None and after is not None:
            before.after = after
            after.before = before
            slot.before = slot.after = None

    def take_due(self, now: float, limit: int) -> Iterator[Slot]:
        """Unfile and yield up to `limit` slots of the buckets that are due."""
        while self._ticks and self._ticks[0] * self._tick <= now:
            bucket = self._buckets[self._ticks[0]]
            while (slot := bucket.after) is not bucket and slot is not None:
                if limit <= 0:
                    return
                limit -= 1
                self.take_out(slot)
                yield slot
            if slot is bucket:  # not thrown out while its last slot was filed anew
                del self._buckets[heappop(self._ticks)]
                bucket.before = bucket.after = None
            self.due = self._ticks[0] * self._tick if self._ticks else math.inf

    def overdue(self, now: float) -> int:
        """Count the filed slots past their deadline, also in buckets that are not due yet."""
        current = int(now / self._tick) + 1
        return sum(
            slot.deadline <= now for tick in self._ticks if tick <= current for slot in _linked(self._buckets[tick])
        )


def _linked(bucket: Slot) -> Iterator[Slot]:
    slot = bucket.after
    while slot is not None and slot is not bucket:
        yield slot
        slot = slot.after
