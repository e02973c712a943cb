"""Batches that only read: a batch sees all files that it concerns as they were at one instant."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cashews import messages as m
from cashews.backends.disk import keys, locks, structures, tags, transactions, values
from cashews.backends.disk.batches import ShelfServer, ShelfTurn, roll_back, serve_turn
from cashews.backends.disk.damage import is_damage
from cashews.backends.disk.files import File
from cashews.backends.disk.lane import Part, fail
from cashews.backends.disk.ledger import APPLIED
from cashews.backends.disk.shelf import GoneError, Shelf
from cashews.messages import Message

READS: Final[Mapping[type[Message[Any]], ShelfTurn]] = {
    m.Get: values.get,
    m.Recall: values.get,
    m.GetRaw: values.get,
    m.GetMany: keys.get_many,
    m.RecallMany: keys.get_many,
    m.GetMatch: keys.get_match,
    m.Scan: keys.scan,
    m.Exists: values.exists,
    m.GetKeyTags: tags.get_key_tags,
    m.MarkLoad: tags.mark_load,
    m.GetExpire: values.get_expire,
    m.GetSize: values.get_size,
    m.GetBits: structures.get_bits,
    m.LockTimeLeft: locks.lock_time_left,
    m.ListLocks: locks.list_locks,
    m.Peek: transactions.peek,
    m.GetKeysCount: keys.get_keys_count,
}
"""The turns that only read. Their lane has a thread of its own, so they do not wait for writes."""
ATTEMPTS: Final = 3
"""The attempts to read a value if its file is missing. The last one locks the database; then the value is absent."""
SNAPSHOT_ATTEMPTS: Final = 3
"""The attempts to see several files at one instant without locks; after them the files are locked."""


class Reader(ShelfServer):
    """The server of the reading lane."""

    def __init__(self, files: Sequence[File]) -> None:
        super().__init__(files)
        self._locking = False
        """Set while an attempt locks the files that it reads. A value is absent if its file is missing even then."""
        self._replaceable = 0
        """The times that a damaged file may yet be set aside for this batch."""
        self._has_replaced = False
        """Set by an attempt that has set a damaged file aside."""

    def serve(self, letters: Sequence[Part]) -> None:
        """Give each letter its outcome; after a missing file it is served again as a whole, at another instant."""
        attempts, self._replaceable = ATTEMPTS, len(self._shelves)
        while letters:
            attempts -= 1
            self._locking = attempts == 0
            self._has_replaced = False
            super().serve(letters)
            letters = [letter for letter in letters if isinstance(letter.outcome, GoneError)]
            if self._has_replaced:  # on a new file they have all their attempts again
                attempts, self._replaceable = ATTEMPTS, self._replaceable - 1

    def _serve_shards(self, by_shard: Mapping[int, Sequence[Part]]) -> None:
        try:
            opened = self._begin_snapshot(by_shard)
        except Exception as error:  # noqa: BLE001  if no transaction can begin, every part fails
            self._roll_back_all(error)
            again = self._set_damaged_aside(sorted({0, *by_shard}), error)
            for parts in by_shard.values():
                self._fail(parts, error, again=again)
            return
        for shard, parts in by_shard.items():
            self._shelves[shard].missing_is_absent = self._locking
            for part in parts:
                self._read(self._shelves[shard], part)
        self._end_snapshot(opened)
        for shard, parts in by_shard.items():
            self._replace_if_damaged(shard, [part for part in parts if is_damage(part.outcome)])

    def _replace_if_damaged(self, shard: int, parts: Sequence[Part]) -> None:
        """Set a file aside if parts have failed because of its damage."""
        if parts:
            again = self._set_damaged_aside([shard], parts[0].outcome)
            self._fail(parts, parts[0].outcome, again=again)

    def _read(self, shelf: Shelf, part: Part) -> None:
        """Give a part its outcome; an error that shows damage is the outcome for the moment."""
        try:
            serve_turn(READS, shelf, part)
        except Exception as error:  # noqa: BLE001  a part that fails leaves the others of the batch alone
            if is_damage(error):
                part.outcome = error
            else:
                fail([part], error)

    def _fail(self, parts: Sequence[Part], error: Exception, *, again: bool) -> None:
        """Have parts fail, or have them served again in the next attempt if there is one."""
        if again and self._replaceable:
            self._has_replaced = True
            for part in parts:
                part.outcome = GoneError()
        else:
            fail(parts, error)

    def _begin_snapshot(self, shards: Iterable[int]) -> Sequence[Shelf]:
        """Begin to read files, all as they were at one instant: no commit over several files came in between."""
        numbers = sorted({0, *shards})
        opened = [self._shelves[number] for number in numbers]
        for _ in range(0 if self._locking else SNAPSHOT_ATTEMPTS):
            if self._try_snapshot(numbers):
                return opened
            for shelf in opened:
                shelf.commit()
        self._begin_writing_all(numbers)  # a write lock: nothing changes now, and no value's file is replaced
        return opened

    def _try_snapshot(self, shards: Sequence[int]) -> bool:
        """Begin to read without locks; returns whether the files show one instant.

        The first file is read first. Its ledger and the marks of the others tell whether a commit over several files
        is visible in some of them only.
        """
        self._shelves[0].begin_reading()
        if len(shards) == 1:
            return True
        last, is_whole = self._ledger.last(), True
        for number in shards[1:]:
            shelf = self._shelves[number]
            shelf.begin_reading()
            is_whole = is_whole and shelf.mark(APPLIED) <= last and not self._ledger.is_behind(number, shelf)
        return is_whole

    def _end_snapshot(self, opened: Sequence[Shelf]) -> None:
        try:
            for shelf in opened:
                shelf.commit()
        except sqlite3.Error as error:
            self._roll_back_all(error)

    def _roll_back_all(self, error: Exception) -> None:
        for shelf in self._shelves:
            roll_back(shelf, error)
