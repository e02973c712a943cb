"""Batches that change nothing: what a batch reads is from one instant, of all files that it is about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cashews import messages as m
from cashews.backends.disk import keys, locks, structures, tags, transactions, values
from cashews.backends.disk.files import File
from cashews.backends.disk.lane import Part, fail
from cashews.backends.disk.ledger import APPLIED
from cashews.backends.disk.serving import Server, ShelfTurn, leave, take
from cashews.backends.disk.shelf import GoneError, Shelf
from cashews.messages import Message

READS: Final[Mapping[type[Message[Any]], ShelfTurn]] = {
    m.Get: values.get,
    m.Recall: values.get,
    m.GetRaw: values.get,
    m.GetMany: values.get_many,
    m.RecallMany: values.get_many,
    m.GetMatch: keys.get_match,
    m.Scan: keys.scan,
    m.Exists: values.exists,
    m.GetKeyTags: tags.get_key_tags,
    m.MarkLoad: tags.mark_load,
    m.GetExpire: values.get_expire,
    m.GetSize: values.get_size,
    m.GetBits: structures.get_bits,
    m.LockTimeLeft: locks.lock_time_left,
    m.Peek: transactions.peek,
    m.GetKeysCount: keys.count,
}
"""The turns that change nothing: a reading lane serves them beside one that writes."""
LOOKS: Final = 3
"""How often we look for a value whose file has gone, the last time with a lock: what has gone then is absent."""
GLANCES: Final = 3
"""How often we try to read several files at one instant before we take their locks for it."""


class Reader(Server):
    """Serves what changes nothing; a batch comes from one instant of each file."""

    def __init__(self, files: Sequence[File]) -> None:
        super().__init__(files)
        self._closely = False
        """Whether we lock what we read: what has gone by then is absent."""

    def serve(self, letters: Sequence[Part]) -> None:
        """Give each letter its outcome; one that has missed a file is looked at again, all its parts at one instant."""
        for look in range(1, LOOKS + 1):
            self._closely = look == LOOKS
            super().serve(letters)
            letters = [letter for letter in letters if isinstance(letter.outcome, GoneError)]
            if not letters:
                return

    def _serve_each(self, shares: Mapping[int, Sequence[Part]]) -> None:
        try:
            seen = self._see(shares)
        except Exception as error:  # noqa: BLE001  what cannot begin fails for all
            self._leave(error)
            for parts in shares.values():
                fail(parts, error)
            return
        for shard, parts in shares.items():
            shelf = self._shelves[shard]
            shelf.lenient = self._closely
            for part in parts:
                self._read(shelf, part)
        self._end(seen)

    def _read(self, shelf: Shelf, part: Part) -> None:
        try:
            take(READS, shelf, part)
        except Exception as error:  # noqa: BLE001  who fails, fails alone
            fail([part], error)

    def _end(self, seen: Sequence[Shelf]) -> None:
        try:
            for shelf in seen:
                shelf.commit()
        except sqlite3.Error as error:
            self._leave(error)

    def _see(self, shards: Iterable[int]) -> Sequence[Shelf]:
        """Begin to read files, all as they were at one instant: between two commits over several of them."""
        numbers = sorted({0, *shards})
        seen = [self._shelves[number] for number in numbers]
        for _ in range(0 if self._closely else GLANCES):
            if self._glance(numbers):
                return seen
            for shelf in seen:
                shelf.commit()
        self._begin_all(numbers)  # nobody can change anything now, nor replace a value that has a file of its own
        return seen

    def _glance(self, shards: Sequence[int]) -> bool:
        """Begin to read without a lock; says whether no commit over several files came in between."""
        first = self._shelves[0]
        first.look()  # it is seen first
        if len(shards) == 1:
            return True
        last, whole = self._ledger.last(), True
        for number in shards[1:]:
            shelf = self._shelves[number]
            shelf.look()
            whole = whole and shelf.mark(APPLIED) <= last and not self._ledger.behind(number, shelf)
        return whole

    def _leave(self, error: Exception) -> None:
        for shelf in self._shelves:
            leave(shelf, error)
