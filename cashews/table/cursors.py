"""The positions of long commands in what they go through, page by page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from cashews.table.columns import Columns


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
