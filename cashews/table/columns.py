"""The columns of the memory store: the keys, and what belongs to each.

One object for each key would make a full garbage collection walk over a million of them. A column is one object, and
the columns of numbers are not walked over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from cashews.table.wheel import ENDLESS, NEVER, Wheel

NO_LIMIT: Final = 2**62
LEAST_BLOCK: Final = 4
FIRST_BLOCK: Final = [3, 2, 1, 0]
MOST_BLOCK: Final = 10_000
"""The bounds of the number of rows that are made at once: an eighth of those there are."""
ROW_BYTES: Final = 105
"""About how many bytes a row takes: the columns', a place in a bucket, the row's number, and its place by key."""


class Columns:
    """Contents by key. Each key has a row, which is its place in every column; there are at most `limit` rows.

    The row of a removed key is free for another one. A key whose deadline has passed stays until it is removed. `tick`
    and `on_earlier` are the wheel's.
    """

    __slots__ = ("_free", "_limit", "contents", "deadlines", "keys", "rows", "used", "wheel")

    def __init__(self, limit: int, tick: float, on_earlier: Callable[[], None]) -> None:
        self._limit = limit
        count = min(limit, LEAST_BLOCK)
        self._free = FIRST_BLOCK[-count:]
        self.rows: dict[str, int] = {}
        """The row of each key."""
        self.keys: list[str | None] = [None] * count
        """The key of each row, `None` for a free one."""
        self.contents: list[object] = [None] * count
        self.deadlines = ENDLESS * count
        """The deadline of each row, `inf` for one that never expires or is free."""
        self.used = bytearray(count)
        """1 for each row that was used lately, as an eviction wants to know."""
        self.wheel = Wheel(tick, on_earlier, count)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def key_of(self, row: int) -> str:
        """Return the key of a row that is not free."""
        key = self.keys[row]
        assert key is not None
        return key

    def add(self, key: str, content: object) -> int:
        """Give an absent key a row, without a deadline, and return it. Some row has to be free."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.rows[key] = row
        self.keys[row] = key
        self.contents[row] = content
        return row

    def _grow(self) -> None:
        present = len(self.keys)
        count = min(self._limit - present, max(LEAST_BLOCK, min(MOST_BLOCK, present // 8)))
        self.keys.extend([None] * count)
        self.contents.extend([None] * count)
        self.deadlines.extend(ENDLESS * count)
        self.used.extend(bytes(count))
        self.wheel.grow(count)
        self._free.extend(range(present + count - 1, present - 1, -1))

    def replace(self, row: int, key: str, content: object) -> None:
        """Give the row of a key to an absent one, without a deadline."""
        del self.rows[self.key_of(row)]
        self.rows[key] = row
        self.keys[row] = key
        self.contents[row] = content
        self.deadlines[row] = NEVER

    def remove(self, row: int) -> None:
        """Remove a key and let go of its content."""
        del self.rows[self.key_of(row)]
        self.keys[row] = self.contents[row] = None
        self.deadlines[row] = NEVER
        self.used[row] = 1  # for the next key: an eviction may be about to look at this row
        self._free.append(row)

    def set_deadline(self, row: int, deadline: float, now: float) -> None:
        """Give a key another deadline. Its row stays in its bucket of the wheel unless it is now due earlier."""
        self.deadlines[row] = deadline
        wheel = self.wheel
        if wheel.filed[row] > deadline + wheel.tick:
            wheel.file(row, deadline, now)

    def bury(self) -> tuple[str, object]:
        """Let go of any key, and return it with its content. Nothing is added afterwards."""
        key, row = self.rows.popitem()
        content = self.contents[row]
        self.keys[row] = self.contents[row] = None
        return key, content
