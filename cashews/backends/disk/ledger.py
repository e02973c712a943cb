"""The ledger: it makes a commit over several files whole, whenever the process may be killed.

A commit over several files first takes the write locks of all of them. Its writes to the other files are entered in the
ledger of the first file, and are committed there together with the first file's own writes: at that instant the commit
has happened. Then the other files are committed, each with the number of the entry as its mark.

If the process ends in between, a file has a mark lower than an entry for it. The next thread that takes that file's
lock applies the entry before anything else. No thread of this package can have changed the file meanwhile, so the
result is the same as without the interruption. diskcache or cashews 7 may have changed it: an entry's line that no
longer fits is skipped, with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from cashews import messages as m
from cashews._log import logger
from cashews.backends.disk.locks import release
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.tags import delete_tags
from cashews.backends.disk.transactions import WRITES
from cashews.exceptions import CacheError

LAST: Final = "ledger"
"""The name of the first file's mark: the number of the last entry."""
APPLIED: Final = "applied"
"""The name of each other file's mark: the number of the last entry that was applied to the file."""
INSERT_LINE: Final = (
    "INSERT INTO cashews_ledger (number, shard, place, at, kind, key, value, expire) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
NEWEST: Final = "SELECT MAX(number) FROM cashews_ledger WHERE shard = ?"
LINES_AFTER: Final = (
    "SELECT number, at, kind, key, value, expire FROM cashews_ledger WHERE shard = ? AND number > ?"
    " ORDER BY number, place"
)
DELETE_UP_TO: Final = "DELETE FROM cashews_ledger WHERE shard = ? AND number <= ?"

Line = tuple[str, str, object, "float | None"]
"""One write of an entry: its kind, its key, its value, its time to live."""


def lines_of(commit: m.Commit) -> Iterable[Line]:
    """Yield the writes of a commit in the form of the ledger."""
    if commit.tags:
        yield "untag", "", json.dumps(commit.tags), None
    for write in commit.writes:
        yield _line_of(write)
        if isinstance(write, m.SetTagged) and (write.expire is None or write.expire > 0):
            yield "tag", write.key, json.dumps(write.tags), None
    for key, token in commit.locks:
        yield "unlock", key, token, None


def _line_of(write: m.Write) -> Line:
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


def _write_of(kind: str, key: str, value: object, expire: float | None) -> m.Write:
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


def _apply(shelf: Shelf, line: Line, at: float) -> None:
    kind, key, value, expire = line
    if kind == "unlock":
        release(shelf, key, str(value), at)
    elif kind == "untag":
        delete_tags(shelf, tuple(json.loads(str(value))))
    elif kind == "tag":
        shelf.tag(key, json.loads(str(value)))
    else:
        write = _write_of(kind, key, value, expire)
        WRITES[write.__class__](shelf, write, at)


class Ledger:
    """The ledger in the first file of a store, as the thread sees it that has this file open."""

    def __init__(self, first: Shelf) -> None:
        self._first = first
        self._applied: dict[int, int] = {}
        """For each file, the number of the last entry that this thread has committed to it: its lines can go."""
        self._connects = 0
        """The connection for which `_applied` holds: the next one may be to a new first file, with other numbers."""

    def enter(self, parts: Iterable[tuple[int, m.Commit]], now: float) -> int:
        """Enter the parts of a commit that are for other files; returns the number of the entry."""
        number = self.last() + 1
        self._first.set_mark(LAST, number)
        for shard, commit in parts:
            for place, line in enumerate(lines_of(commit)):
                self._first.sql(INSERT_LINE, (number, shard, place, now, *line))
        return number

    def last(self) -> int:
        """Return the number of the last entry."""
        return self._first.mark(LAST)

    def skip_to(self, applied: int) -> None:
        """Number the next entry higher than one that a file has applied: the first file may have been made anew."""
        if applied > self.last():
            self._first.set_mark(LAST, applied)

    def is_behind(self, shard: int, shelf: Shelf) -> bool:
        """Say whether an entry has yet to be applied to a file, as far as the open transactions can see."""
        (newest,) = self._first.sql(NEWEST, (shard,)).fetchone()
        return newest is not None and newest > shelf.mark(APPLIED)

    def catch_up(self, shard: int, shelf: Shelf) -> None:
        """Apply the missing entries to a file, in a transaction that writes to it."""
        newest = shelf.mark(APPLIED)
        for number, at, kind, key, value, expire in self._first.sql(LINES_AFTER, (shard, newest)).fetchall():
            newest = number
            try:
                _apply(shelf, (kind, key, value, expire), at)
            except CacheError as error:
                logger.warning("disk: a commit over several files was interrupted, and is not complete: %s", error)
        shelf.set_mark(APPLIED, newest)

    def note_applied(self, shard: int, number: int) -> None:
        """Note that a file was committed together with an entry."""
        if self._connects != self._first.connects:
            self._connects = self._first.connects
            self._applied.clear()
        self._applied[shard] = number

    def delete_applied(self) -> None:
        """Delete the lines that were applied, in a transaction that writes to the first file."""
        if self._connects == self._first.connects:
            for entry in self._applied.items():
                self._first.sql(DELETE_UP_TO, entry)

    def note_deleted(self) -> None:
        """Note that the transaction of `delete_applied()` was committed."""
        self._applied.clear()
