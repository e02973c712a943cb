"""The turns of many keys on one shelf: several given keys, patterns, the whole file.

A turn over a pattern examines a bounded number of rows, in the order of the keys, and replies a cursor for the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, TypeAlias

from cashews import messages as m
from cashews._dataclass import dataclass, replace
from cashews._typing import ABSENT
from cashews.backends.disk.escaping import escape, unescape
from cashews.backends.disk.files import encoded, is_live, is_readable, is_sound
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.values import delete, get, store
from cashews.commands import Command, Effect
from cashews.keys.pattern import matcher, pieces_of
from cashews.messages import Matching, Page, WholeStore

PAGE: Final = 1_000
"""The most keys that one turn examines."""
TABLES: Final = ("Cache", "cashews_kept")
ROWS: Final = (
    "SELECT key, rowid, expire_time, mode, filename, size FROM Cache WHERE ",
    "SELECT key, rowid, deadline, 1, NULL, 0 FROM cashews_kept WHERE ",
)
FROM, AFTER = ("key >= +CAST(? AS TEXT)", "key > +CAST(? AS TEXT)")
"""The beginnings of a page, given as bytes: a key may be no UTF-8. Without the plus SQLite would not use its index."""
LIMITED: Final = " ORDER BY key LIMIT ?"
FOREIGN: Final = "(raw = 0 OR typeof(key) <> 'text' OR mode = 4)"
"""The condition for rows that count as absent. SQLite uses their index only for the same words as in the schema."""
LIVE_FOREIGN: Final = f"SELECT COUNT(*) FROM Cache WHERE {FOREIGN} AND (expire_time IS NULL OR expire_time > ?)"  # noqa: S608  ours
SOME_FOREIGN: Final = f"SELECT rowid, filename FROM Cache WHERE {FOREIGN} LIMIT ?"  # noqa: S608  likewise
EXPIRED: Final = "SELECT COUNT(*) FROM Cache WHERE expire_time <= ?"
STRUCTURES: Final = "SELECT COUNT(*) FROM cashews_kept"
EXPIRED_STRUCTURES: Final = "SELECT COUNT(*) FROM cashews_kept WHERE deadline <= ?"


@dataclass(frozen=True, slots=True)
class FileCursor:
    """The position of a scan: a file, one of its tables, and the last key that was examined."""

    shard: int = 0
    table: int = 0
    after: str | None = None
    newest: int | None = None
    """The last row of the table when the scan reached it; later rows are skipped, so every scan ends."""


@dataclass(slots=True)
class DeletePage(Matching["FileCursor | None"]):
    """Remove the matching keys among the next ones; replies the cursor to go on from, `None` at the end of the file."""

    cursor: FileCursor
    command: ClassVar[Command] = Command.DELETE_MATCH
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> FileCursor | None:
        return None


@dataclass(slots=True)
class DeleteForeign(WholeStore[bool]):
    """Remove some of the rows of a file that count as absent; replies whether there may be more of them."""

    cursor: FileCursor
    command: ClassVar[Command] = Command.CLEAR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


Found: TypeAlias = "tuple[str, int, str | None, bool]"
"""A matching key, the number of its row, the name of its file, and whether its value is live and can be read.

It is a plain tuple, because the garbage collector does not track tuples of such objects. A thousand tracked objects per
page would make it traverse all objects of the process again and again, while the event loop waits.
"""

Row: TypeAlias = "tuple[object, int, float | None, int, str | None, int]"
"""The key of a row, its number, its deadline, and the mode, the file and the file's size of its value."""

# --- several given keys


def get_many(shelf: Shelf, message: m.GetMany, now: float) -> tuple[object, ...]:
    return tuple([get(shelf, m.Get(key), now) for key in message.keys])


def set_many(shelf: Shelf, message: m.SetMany, now: float) -> None:
    for key, value in message.pairs.items():
        store(shelf, key, value, message.expire, now)


def delete_many(shelf: Shelf, message: m.DeleteMany, now: float) -> None:
    for key in message.keys:
        delete(shelf, m.Delete(key), now)


# --- patterns


def _examine(
    shelf: Shelf, pattern: str, cursor: FileCursor, now: float, wanted: int
) -> tuple[list[Found], FileCursor | None]:
    """Examine the next keys until `wanted` of them match; returns these, and the cursor to go on from in this file."""
    head, matches = escape(pieces_of(pattern)[0]), matcher(pattern)
    newest = _newest(shelf, cursor) if cursor.newest is None else cursor.newest
    found: list[Found] = []
    for examined, row in enumerate(_rows(shelf, head, cursor), start=1):
        key, rowid, filename = row[0], row[1], row[4]
        if not (isinstance(key, str) and key.startswith(head)):
            break
        if rowid <= newest and matches(unescape(key)):
            found.append((key, rowid, filename, _is_live(shelf, row, now)))
        if examined == PAGE or len(found) == wanted:
            return found, replace(cursor, after=key, newest=newest)
    more = cursor.table + 1 < len(TABLES)
    return found, FileCursor(cursor.shard, cursor.table + 1) if more else None


def _is_live(shelf: Shelf, row: Row, now: float) -> bool:
    """Say whether a row is live and readable. A key that is not UTF-8 is nobody's; it is counted."""
    key, _, deadline, mode, filename, size = row
    if not is_sound(key):
        shelf.file.unreadable += 1
        return False
    return is_live(deadline, now) and is_readable(mode, filename) and shelf.has_value(filename, size)


def _rows(shelf: Shelf, head: str, cursor: FileCursor) -> Iterable[Row]:
    """Return the next rows, including those that the scan skips as too new, since they count towards the bound, too."""
    statement = ROWS[cursor.table] + (FROM if cursor.after is None else AFTER) + LIMITED
    return shelf.sql(statement, (encoded(head if cursor.after is None else cursor.after), PAGE))


def _newest(shelf: Shelf, cursor: FileCursor) -> int:
    return shelf.sql(f"SELECT MAX(rowid) FROM {TABLES[cursor.table]}").fetchone()[0] or 0  # noqa: S608  a table of ours


def _file_cursor(cursor: object) -> FileCursor:
    return cursor if isinstance(cursor, FileCursor) else FileCursor()


def scan(shelf: Shelf, message: m.Scan, now: float) -> Page[str]:
    found, cursor = _examine(shelf, message.pattern, _file_cursor(message.cursor), now, PAGE)
    return Page([key for key, _, _, live in found if live], cursor)


def get_match(shelf: Shelf, message: m.GetMatch, now: float) -> Page[tuple[str, object]]:
    cursor: FileCursor | None = _file_cursor(message.cursor)
    assert cursor is not None
    if cursor.table:  # structures are no values
        return Page([])
    found, cursor = _examine(shelf, message.pattern, cursor, now, message.batch_size)
    pairs = [(key, get(shelf, m.Get(key), now)) for key, _, _, live in found if live]
    return Page([pair for pair in pairs if pair[1] is not ABSENT], cursor)


def delete_page(shelf: Shelf, message: DeletePage, now: float) -> FileCursor | None:
    """Remove the matching keys, including expired and unreadable values: another program may be able to read those."""
    cursor = message.cursor
    found, after = _examine(shelf, message.pattern, cursor, now, PAGE)
    shelf.drop_all(TABLES[cursor.table], [(rowid, filename) for _, rowid, filename, _ in found])
    return after


# --- the whole file


def delete_foreign(shelf: Shelf, _: DeleteForeign, now: float) -> bool:  # noqa: ARG001  like every turn
    rows = shelf.sql(SOME_FOREIGN, (PAGE,)).fetchall()
    shelf.drop_all("Cache", rows)
    return len(rows) == PAGE


def get_keys_count(shelf: Shelf, _: m.GetKeysCount, now: float) -> int:
    """Return the number of live keys without a scan: diskcache counts its rows, and indexes count the exceptions."""
    values = _one(shelf, "SELECT value FROM Settings WHERE key = 'count'") - _one(shelf, EXPIRED, now)
    structures = _one(shelf, STRUCTURES) - _one(shelf, EXPIRED_STRUCTURES, now)
    return values - _one(shelf, LIVE_FOREIGN, now) + structures


def _one(shelf: Shelf, question: str, *given: float) -> int:
    return int(shelf.sql(question, given).fetchone()[0])
