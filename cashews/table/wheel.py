"""The order of expiry: a timing wheel, which finds the rows that are due without looking at the others.

A row is filed in one bucket, under an instant at or before its deadline: exactly for the next 64 ticks, in steps of 64,
4096, ... ticks for later deadlines, and filed anew, more finely, when that instant comes. That makes few buckets
however long the times to live. A row whose deadline moves later, or whose key goes, stays in its bucket until that is
due: so a row is filed at most once, and the key that gets the row next need not be filed at all.
Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

NEVER: Final = math.inf
BEFORE: Final = -math.inf
ENDLESS: Final = array("d", (NEVER,))
FIRST: Final = array("i", (0,))
STEP_BITS: Final = 6
ROOM: Final = 1024
"""The number of buckets from which on the empty ones are thrown out."""


class Wheel:
    """The filed rows, in buckets by the instant at which they have to be examined.

    `tick` is in seconds, `rows` the number of rows at the beginning. `on_earlier` is called when a row is filed that is
    due before all others.
    """

    __slots__ = (
        *("_bucket", "_buckets", "_high", "_instant", "_instants", "_low", "_on_earlier", "_places", "_room"),
        *("due", "filed", "tick"),
    )

    def __init__(self, tick: float, on_earlier: Callable[[], None], rows: int = 0) -> None:
        self.tick = tick
        self._on_earlier = on_earlier
        self.filed = ENDLESS * rows
        """The instant of each row's bucket, `inf` for a row that is not filed."""
        self._places = FIRST * rows
        """The place of each filed row in its bucket."""
        self._buckets: dict[float, array[int]] = {}
        self._instants: list[float] = []
        self._room = ROOM
        self._bucket = FIRST
        """The bucket that was filed into last: it takes the deadlines from `_low` to `_high` until its `_instant`."""
        self._instant = self._low = self._high = BEFORE
        self.due = NEVER
        """The instant at which the next bucket has to be examined; `inf` without buckets."""

    def grow(self, count: int) -> None:
        """Make room for more rows."""
        self.filed.extend(ENDLESS * count)
        self._places.extend(FIRST * count)

    def file(self, row: int, deadline: float, now: float) -> None:
        """File a row under its deadline: `take_due` finds it then, at the latest one tick later."""
        if self.filed[row] < NEVER:
            self._take_out(row)
        if not (now < self._instant and self._low <= deadline < self._high):
            self._choose_bucket(deadline, now)
        bucket = self._bucket
        self.filed[row] = self._instant
        self._places[row] = len(bucket)
        bucket.append(row)

    def _choose_bucket(self, deadline: float, now: float) -> None:
        tick = self.tick
        current = int(now / tick)
        if (current + 1) * tick <= now:  # rounding: the quotient may be less than the product says
            current += 1
        last = max(int(deadline / tick), current) + 1
        level = ((last - current).bit_length() - 1) // STEP_BITS * STEP_BITS
        first = last >> level << level
        self._instant = first * tick
        self._low, self._high = (first - 1) * tick, (first - 1 + (1 << level)) * tick
        bucket = self._buckets.get(self._instant)
        self._bucket = self._open(self._instant) if bucket is None else bucket

    def _open(self, instant: float) -> array[int]:
        if len(self._instants) >= self._room:
            self._throw_out_empty()
        bucket = self._buckets[instant] = array("i")
        heappush(self._instants, instant)
        if instant < self.due:
            self.due = instant
            self._on_earlier()
        return bucket

    def _throw_out_empty(self) -> None:
        """Forget the buckets without rows: without a sweeper their number would grow for ever."""
        self._buckets = {instant: bucket for instant, bucket in self._buckets.items() if bucket}
        self._instants = sorted(self._buckets)
        self._room = max(ROOM, 2 * len(self._buckets))

    def _take_out(self, row: int) -> None:
        """Take a filed row out of its bucket; the bucket's last row gets its place."""
        bucket = self._buckets[self.filed[row]]
        last = bucket.pop()
        if last != row:
            place = self._places[row]
            bucket[place] = last
            self._places[last] = place

    def take_due(self, now: float, limit: int) -> list[int]:
        """Unfile and return up to `limit` rows of the buckets that are due."""
        taken: list[int] = []
        while self._instants and self._instants[0] <= now and len(taken) < limit:
            bucket = self._buckets[self._instants[0]]
            last = slice(len(taken) - limit, None)
            taken += bucket[last]
            del bucket[last]
            if not bucket:
                del self._buckets[heappop(self._instants)]
                self._instant = BEFORE
        for row in taken:
            self.filed[row] = NEVER
        self.due = self._instants[0] if self._instants else NEVER
        return taken

    def soon(self, now: float) -> list[array[int]]:
        """Return the buckets that may have rows past their deadline, those that are not due yet among them."""
        return [bucket for instant, bucket in self._buckets.items() if instant <= now + 2 * self.tick]
