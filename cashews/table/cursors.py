"""The positions of long commands in what they go through, page by page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable

from cashews.table.columns import NO_LIMIT, Columns


class TableCursor(ABC):
    """The position of a command among keys."""

    __slots__ = ()

    @abstractmethod
    def take(self, count: int) -> list[str]:
        """Return the keys of the next page, which is at most so long."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """True once there is no other page."""


class KeyCursor(TableCursor):
    """The position among given keys, which are forgotten page by page: many strings are never freed in one turn."""

    __slots__ = ("_keys",)

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def take(self, count: int) -> list[str]:
        taken = self._keys[-count:]
        del self._keys[-count:]
        return taken

    @property
    def is_over(self) -> bool:
        return not self._keys


class RowCursor(TableCursor):
    """The position among the rows that there are at the beginning.

    A key that stays is found once, and one that comes meanwhile may be found.
    """

    __slots__ = ("_left", "_row")

    def __init__(self, columns: Iterable[Columns]) -> None:
        self._left = [(each.keys, len(each.keys)) for each in columns if each.rows]
        self._row = 0

    def take(self, count: int) -> list[str]:
        found: list[str] = []
        while self._left and count > 0:
            keys, end = self._left[-1]
            first, self._row = self._row, min(self._row + count, end)
            found += [key for key in keys[first : self._row] if key is not None]
            count -= self._row - first
            if self._row == end:
                self._left.pop()
                self._row = 0
        return found

    @property
    def is_over(self) -> bool:
        return not self._left


class SoonCursor:
    """The position among the rows whose deadline may have passed though no sweep is due for them.

    Rows that are filed meanwhile may be passed over, and none is left out that was filed before and stays: a bucket is
    gone through from its end, and fills its gaps from there.
    """

    __slots__ = ("_left", "_place")

    def __init__(self, columns: Iterable[Columns], now: float) -> None:
        self._left: list[tuple[Columns, array[int]]] = [
            (each, bucket) for each in columns for bucket in each.wheel.soon(now)
        ]
        self._place = NO_LIMIT
        """The rows of the last bucket from here on have been taken."""

    def take(self, count: int) -> list[tuple[Columns, int]]:
        """Return the rows of the next page, which is at most so long."""
        found: list[tuple[Columns, int]] = []
        while self._left and count > 0:
            columns, bucket = self._left[-1]
            end = min(self._place, len(bucket))
            self._place = max(0, end - count)
            found += [(columns, row) for row in bucket[self._place : end]]
            count -= end - self._place
            if not self._place:
                self._left.pop()
                self._place = NO_LIMIT
        return found

    @property
    def is_over(self) -> bool:
        """True once there is no other page."""
        return not self._left
