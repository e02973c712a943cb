"""The turns about many keys of one shelf, each of a bounded number of rows; keys come in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.disk.files import PICKLED
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.text import read, spelled
from cashews.backends.disk.values import get
from cashews.commands import Command, Effect
from cashews.messages import Matching, Page
from cashews.pattern import matcher, pieces_of

PAGE: Final = 1_000
"""How many keys one turn looks at, at most."""
TABLES: Final = ("Cache", "cashews_kept")
ROWS: Final = (
    "SELECT key, rowid, expire_time, mode, filename FROM Cache WHERE raw = 1 AND ",
    "SELECT key, rowid, deadline, 0, NULL FROM cashews_kept WHERE ",
)
FROM, BEHIND = ("key >= ?", "key > ?")
LIMITED: Final = " AND rowid <= ? ORDER BY key LIMIT ?"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a scan stands: in which file, in which of its tables, behind which key."""

    shard: int = 0
    table: int = 0
    after: str | None = None
    newest: int | None = None
    """The last row that was there when the scan came to this table: a scan ends, whatever is stored meanwhile."""


@dataclass(slots=True)
class DeletePage(Matching["Cursor | None"]):
    """Remove what matches among the next keys; answers where to go on."""

    cursor: Cursor
    command: ClassVar[Command] = Command.DELETE_MATCH
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> Cursor | None:
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """A key that matches, and its row."""

    key: str
    rowid: int
    filename: str | None


def _step(shelf: Shelf, pattern: str, cursor: Cursor, now: float, wanted: int) -> tuple[list[Found], Cursor | None]:
    """Look at the next keys until so many of them match; return these, and where to go on in this file."""
    head, matches = spelled(pieces_of(pattern)[0]), matcher(pattern)
    newest = _newest(shelf, cursor) if cursor.newest is None else cursor.newest
    found: list[Found] = []
    rows = _rows(shelf, head, cursor, newest)
    for looked, (key, rowid, deadline, mode, filename) in enumerate(rows, start=1):
        if not (isinstance(key, str) and key.startswith(head)):
            break
        if mode != PICKLED and (deadline is None or deadline > now) and matches(read(key)):
            found.append(Found(key, rowid, filename))
        if looked == PAGE or len(found) == wanted:
            return found, replace(cursor, after=key, newest=newest)
    more = cursor.table + 1 < len(TABLES)
    return found, Cursor(cursor.shard, cursor.table + 1) if more else None


def _rows(
    shelf: Shelf, head: str, cursor: Cursor, newest: int
) -> Iterable[tuple[object, int, float | None, int, str | None]]:
    begins = cursor.after is None
    statement = ROWS[cursor.table] + (FROM if begins else BEHIND) + LIMITED
    return shelf.sql(statement, (head if begins else cursor.after, newest, PAGE))


def _newest(shelf: Shelf, cursor: Cursor) -> int:
    return shelf.sql(f"SELECT MAX(rowid) FROM {TABLES[cursor.table]}").fetchone()[0] or 0  # noqa: S608  a table of ours


def _beginning(cursor: object) -> Cursor:
    return cursor if isinstance(cursor, Cursor) else Cursor()


def scan(shelf: Shelf, message: m.Scan, now: float) -> Page[str]:
    found, cursor = _step(shelf, message.pattern, _beginning(message.cursor), now, PAGE)
    return Page([each.key for each in found], cursor)


def get_match(shelf: Shelf, message: m.GetMatch, now: float) -> Page[tuple[str, object]]:
    cursor: Cursor | None = _beginning(message.cursor)
    assert cursor is not None
    if cursor.table:  # structures are no values
        return Page([])
    found, cursor = _step(shelf, message.pattern, cursor, now, message.batch_size)
    pairs = [(each.key, get(shelf, m.Get(each.key), now)) for each in found]
    return Page([pair for pair in pairs if pair[1] is not ABSENT], cursor)


def delete_page(shelf: Shelf, message: DeletePage, now: float) -> Cursor | None:
    cursor = message.cursor
    found, after = _step(shelf, message.pattern, cursor, now, PAGE)
    shelf.drop_all(TABLES[cursor.table], [(each.rowid, each.filename) for each in found])
    return after


def count(shelf: Shelf, _: m.GetKeysCount, now: float) -> int:
    """Count without looking at each value: the table of diskcache counts its rows, and few are dead."""
    rows = "SELECT value FROM Settings WHERE key = 'count'"
    expired = "SELECT COUNT(*) FROM Cache WHERE expire_time <= ?"
    pickled = "SELECT COUNT(*) FROM Cache WHERE mode = 4 AND (expire_time IS NULL OR expire_time > ?)"
    kept = "SELECT COUNT(*) FROM cashews_kept WHERE deadline IS NULL OR deadline > ?"
    return _one(shelf, rows) - _one(shelf, expired, now) - _one(shelf, pickled, now) + _one(shelf, kept, now)


def _one(shelf: Shelf, question: str, *given: float) -> int:
    return int(shelf.sql(question, given).fetchone()[0])
