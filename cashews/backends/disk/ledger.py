"""The ledger: how a transaction over several files is applied to all of them or to none, whenever the process ends.

A commit over several files holds the write locks of all of them. Its writes to the others stand in the ledger of the
first file, and are committed there together with its own: that is the instant at which it has happened. Then the others
are committed, each with the number of the entry as its mark. Who finds an entry for a file whose mark is lower, and has
the lock of that file, knows that the process has ended in between: he carries out what the ledger says, before anything
else. None of us can have changed that file meanwhile, so the outcome is the same. What diskcache or cashews 7 have made
of a key may not fit: such a line is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from cashews import messages as m
from cashews._log import logger
from cashews.backends.disk.locks import give_back
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.tags import delete_tags
from cashews.backends.disk.transactions import WRITES
from cashews.exceptions import CacheError

LAST: Final = "ledger"
"""The mark of the first file: the number of its last entry."""
APPLIED: Final = "applied"
"""The mark of each other file: the number of the last entry that was carried out."""
ENTER: Final = (
    "INSERT INTO cashews_ledger (number, shard, place, at, kind, key, value, expire) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
OPEN: Final = "SELECT MAX(number) FROM cashews_ledger WHERE shard = ?"
READ: Final = (
    "SELECT number, at, kind, key, value, expire FROM cashews_ledger WHERE shard = ? AND number > ?"
    " ORDER BY number, place"
)
FORGET: Final = "DELETE FROM cashews_ledger WHERE shard = ? AND number <= ?"

Line = tuple[str, str, object, "float | None"]
"""One write: its kind, its key, its value, its time to live."""


def lines_of(commit: m.Commit) -> Iterable[Line]:
    """Return what a commit does, in the form of the ledger."""
    if commit.tags:
        yield "untag", "", json.dumps(commit.tags), None
    for write in commit.writes:
        yield _line(write)
        if isinstance(write, m.SetTagged) and (write.expire is None or write.expire > 0):
            yield "tag", write.key, json.dumps(write.tags), None
    for key, token in commit.locks:
        yield "unlock", key, token, None


def _line(write: m.Write) -> Line:
    if isinstance(write, (m.Set, m.SetRaw)):
        return "set", write.key, write.value, write.expire
    if isinstance(write, m.Incr):
        return "incr", write.key, write.value, write.expire
    if isinstance(write, m.Expire):
        return "expire", write.key, None, write.timeout
    if isinstance(write, m.Delete):
        return "delete", write.key, None, None
    kind = "add" if isinstance(write, m.SetAdd) else "remove"
    return kind, write.key, json.dumps(write.values), write.expire if isinstance(write, m.SetAdd) else None


def _write(kind: str, key: str, value: object, expire: float | None) -> m.Write:
    if kind == "set":
        return m.SetRaw(key, value, expire)
    if kind == "incr":
        assert isinstance(value, int)
        return m.Incr(key, value, expire)
    if kind == "expire":
        return m.Expire(key, expire)
    if kind == "delete":
        return m.Delete(key)
    members = tuple(json.loads(str(value)))
    return m.SetAdd(key, members, expire) if kind == "add" else m.SetRemove(key, members)


def _carry_out(shelf: Shelf, line: Line, at: float) -> None:
    kind, key, value, expire = line
    if kind == "unlock":
        give_back(shelf, key, str(value), at)
    elif kind == "untag":
        delete_tags(shelf, tuple(json.loads(str(value))))
    elif kind == "tag":
        shelf.tag(key, json.loads(str(value)))
    else:
        write = _write(kind, key, value, expire)
        WRITES[write.__class__](shelf, write, at)


class Ledger:
    """The ledger in the first file of a store, for the thread whose shelf that file is on."""

    def __init__(self, first: Shelf) -> None:
        self._first = first
        self._carried_out: dict[int, int] = {}
        """What can be crossed out: file -> number of the entry that it has been committed with."""
        self._connects = 0
        """The connection to the first file for which this holds: the next one may be to a file that counts anew."""

    def enter(self, parts: Iterable[tuple[int, m.Commit]], now: float) -> int:
        """Write down what a commit does to other files; returns the number of the entry."""
        number = self.last() + 1
        self._first.set_mark(LAST, number)
        for shard, commit in parts:
            for place, line in enumerate(lines_of(commit)):
                self._first.sql(ENTER, (number, shard, place, now, *line))
        return number

    def last(self) -> int:
        """Return the number of the last entry."""
        return self._first.mark(LAST)

    def count_on(self, applied: int) -> None:
        """Have the next entry come after one that a file knows of: the first file may be younger than that one."""
        if applied > self.last():
            self._first.set_mark(LAST, applied)

    def behind(self, shard: int, shelf: Shelf) -> bool:
        """Say whether an entry has not been carried out on a file, as far as its transaction can see."""
        (newest,) = self._first.sql(OPEN, (shard,)).fetchone()
        return newest is not None and newest > shelf.mark(APPLIED)

    def catch_up(self, shard: int, shelf: Shelf) -> None:
        """Carry out what has not been, in a transaction that writes to this file."""
        newest = shelf.mark(APPLIED)
        for number, at, kind, key, value, expire in self._first.sql(READ, (shard, newest)).fetchall():
            newest = number
            try:
                _carry_out(shelf, (kind, key, value, expire), at)
            except CacheError as error:
                logger.warning("disk: a commit over several files was interrupted, and is not complete: %s", error)
        shelf.set_mark(APPLIED, newest)

    def note_applied(self, shard: int, number: int) -> None:
        """Take note that a file has been committed with an entry."""
        if self._connects != self._first.connects:
            self._connects = self._first.connects
            self._carried_out.clear()
        self._carried_out[shard] = number

    def cross_out(self) -> None:
        """Remove what has been carried out, in a transaction that writes to the first file."""
        if self._connects == self._first.connects:
            for entry in self._carried_out.items():
                self._first.sql(FORGET, entry)

    def note_crossed_out(self) -> None:
        """Take note that this transaction has been committed."""
        self._carried_out.clear()
