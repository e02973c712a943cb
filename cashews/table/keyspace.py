"""The table: the memory store's state. Pure: every instant is an argument, and nothing is awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from cashews.keys.pattern import matcher, pieces_of
from cashews.messages import DeleteMatch
from cashews.messages.values import Cause
from cashews.table.columns import NO_LIMIT, Columns
from cashews.table.cursors import KeyCursor, RowCursor, SoonCursor, TableCursor
from cashews.table.eviction import Eviction, EvictionName, eviction_over
from cashews.table.holders import LockHolders
from cashews.table.tag_index import Carriers, TagIndex
from cashews.table.wheel import NEVER

PAGE: Final = 2_000
"""How many keys one turn handles at most: about a millisecond."""
MOST_REMOVED: Final = PAGE // 2
"""How many keys one turn removes at most, where the keys come from an index."""

Removal: TypeAlias = tuple[str, object, Cause]
"""A key, the value that left it, and the cause."""


Place: TypeAlias = tuple[Columns, int]
"""The place of a key: the columns that have it, and its row there."""


class Table:
    """Values and structures in columns, with an eviction, an index of tags and the holders of locks.

    There are at most `size` values; `eviction` says which one leaves for a new one. Structures (sets, windows, bit
    fields, tallies, circuits) are never evicted. Locks have a name space of their own.

    `tick` is the wheels', in seconds; `on_earlier` is called when the next sweep may be due earlier than before.
    """

    def __init__(
        self,
        size: int,
        tick: float,
        on_earlier: Callable[[], None],
        first_fence: int = 1,
        *,
        eviction: EvictionName = "clock",
    ) -> None:
        self._size = size
        self._tick = tick
        self._on_earlier = on_earlier
        self._eviction_name: EvictionName = eviction
        self._begin()
        self.tag_index = TagIndex()
        self._tagged = self.tag_index.by_key
        """Tested before each change: while it is empty, `tag_index` need not be told."""
        self.locks = LockHolders(first_fence)
        self._cleared: list[Columns] = []
        self._cleared_tags: list[TagIndex] = []
        self.removed: Callable[[Removal], None] | None = None
        """The listener for removals, called in the turn that removes; `None` while nobody listens."""
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self.expired = 0

    def _begin(self) -> None:
        self.values = Columns(self._size, self._tick, self._on_earlier)
        self.structures = Columns(NO_LIMIT, self._tick, self._on_earlier)
        self._eviction: Eviction | None = None
        """Made when the first value has to leave."""

    # --- keys

    def find(self, key: str, now: float) -> Place | None:
        """Return the place of a live key; one that has expired is removed."""
        columns = self.values
        row = columns.rows.get(key)
        if row is None:
            columns = self.structures
            row = columns.rows.get(key)
        if row is None:
            return None
        if columns.deadlines[row] <= now:
            self.drop(columns, row, Cause.EXPIRED)
            return None
        return columns, row

    def store(self, row: int | None, key: str, value: object, expire: float | None, now: float) -> bool:
        """Store a value in the row that its key has in `values`, alive, or in a new one; says whether it was stored.

        With an `expire` of 0 or less the key is removed instead.
        """
        if expire is not None and expire <= 0:
            if (place := self.find(key, now)) is not None:
                self.drop(*place, Cause.DELETED)
            return False
        values = self.values
        if row is None:
            if key in self.structures.rows:
                self._drop_structure(key, now)
            row = values.add(key, value) if len(values.rows) < self._size else self._replace_victim(key, value)
        else:
            if self.removed is not None:
                self.removed((key, values.contents[row], Cause.REPLACED))
            if self._tagged:
                self.tag_index.forget(key)
            values.contents[row] = value
            values.used[row] = 1
        if expire is None:
            values.deadlines[row] = NEVER
            return True
        values.deadlines[row] = deadline = now + expire
        wheel = values.wheel
        if wheel.filed[row] > deadline + wheel.tick:  # as `Columns.set_deadline`, and a call less
            wheel.file(row, deadline, now)
        return True

    def _drop_structure(self, key: str, now: float) -> None:
        structures = self.structures
        row = structures.rows[key]
        self.drop(structures, row, Cause.EXPIRED if structures.deadlines[row] <= now else Cause.REPLACED)

    def _replace_victim(self, key: str, value: object) -> int:
        """Give the row of the value that has to leave to an absent key, and return it."""
        values = self.values
        if self._eviction is None:
            self._eviction = eviction_over(values, self._eviction_name)
        row = self._eviction.victim(key)
        self._note_removal(values, row, Cause.EVICTED)
        values.replace(row, key, value)
        return row

    def set_deadline(self, columns: Columns, row: int, expire: float | None, now: float) -> None:
        """Give a key another time to live; with an `expire` of 0 or less it is removed instead."""
        if expire is None:
            columns.deadlines[row] = NEVER
        elif expire <= 0:
            self.drop(columns, row, Cause.DELETED)
        else:
            columns.set_deadline(row, now + expire, now)

    def drop(self, columns: Columns, row: int, cause: Cause) -> None:
        """Remove a key, with its tags."""
        self._note_removal(columns, row, cause)
        columns.remove(row)

    def _note_removal(self, columns: Columns, row: int, cause: Cause) -> None:
        """Count and tell a removal, and forget the tags of the key."""
        if self._tagged:
            self.tag_index.forget(columns.key_of(row))
        if cause is Cause.EXPIRED:
            self.expired += 1
        elif cause is Cause.EVICTED:
            self.evicted += 1
        if self.removed is not None:
            self.removed((columns.key_of(row), columns.contents[row], cause))

    # --- parts of long commands, one turn each

    def cursor(self, pattern: str) -> TableCursor:
        """Return the beginning of a way past all keys that match a pattern, and others; past one key without a star."""
        head, *rest = pieces_of(pattern)
        return RowCursor((self.structures, self.values)) if rest else KeyCursor([head])

    def delete_page(self, message: DeleteMatch, cursor: TableCursor, now: float) -> None:
        """Remove the matching ones among the next keys of a cursor."""
        for key in filter(matcher(message.pattern), cursor.take(PAGE)):
            if (place := self.find(key, now)) is not None:
                self.drop(*place, Cause.DELETED)

    def doom(self, tags: tuple[str, ...]) -> list[Carriers]:
        """Start a deletion of tags: returns the sets of keys to remove, for `delete_doomed`."""
        return self.tag_index.doom(tags)

    def delete_doomed(self, among: list[Carriers] | None, now: float) -> bool:
        """Remove some of the doomed keys, or of those of one deletion; says whether there were any."""
        keys = self.tag_index.take_doomed(MOST_REMOVED, among)
        values = self.values
        for key in keys:
            row = values.rows[key]
            self.drop(values, row, Cause.EXPIRED if values.deadlines[row] <= now else Cause.DELETED)
        return bool(keys)

    def clear(self) -> None:
        """Remove all values and structures in one turn; `bury` lets go of them. Locks stay with their holders."""
        self._cleared += [self.values, self.structures]
        self._cleared_tags.append(self.tag_index)
        self.tag_index = self.tag_index.cleared()
        self._tagged = self.tag_index.by_key
        self._begin()

    def bury(self, limit: int = PAGE) -> bool:
        """Let go of some contents that a `clear` has left; says whether there are more."""
        while self._cleared and limit > 0:
            if not self._cleared[-1].rows:
                self._cleared.pop()
                continue
            key, content = self._cleared[-1].bury()
            if self.removed is not None:
                self.removed((key, content, Cause.DELETED))
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
        return min(self.values.wheel.due, self.structures.wheel.due)

    def sweep(self, now: float, limit: int = PAGE // 2) -> float:
        """Remove the expired ones of up to `limit` due keys, and leftovers of cancelled commands.

        Returns the next sweep's instant.
        """
        self.delete_doomed(None, now)
        self.bury(limit)
        for columns in (self.values, self.structures):
            due = columns.wheel.take_due(now, limit)
            limit -= len(due)
            for row in due:
                deadline = columns.deadlines[row]
                if deadline <= now:
                    self.drop(columns, row, Cause.EXPIRED)
                elif deadline < NEVER:
                    columns.wheel.file(row, deadline, now)
        return self.due

    def soon(self, now: float) -> SoonCursor:
        """Return the beginning of a way past all rows that may have expired though no sweep is due, and others."""
        return SoonCursor((self.values, self.structures), now)

    def drop_expired(self, cursor: SoonCursor, now: float, limit: int = PAGE // 2) -> None:
        """Remove the expired ones among the next rows of a cursor, up to `limit`."""
        present = self.values, self.structures  # no others, after a `clear`
        for columns, row in cursor.take(limit):
            if columns.deadlines[row] <= now and columns in present:
                self.drop(columns, row, Cause.EXPIRED)

    # --- figures

    def count(self) -> int:
        """Return the number of keys, those that have expired and are still there among them."""
        return len(self.values) + len(self.structures)

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
