"""The turns about many keys of one shelf, each of a bounded number of rows; keys come in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeAlias

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.disk.escaping import escaped, unescaped
from cashews.backends.disk.files import is_readable
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.values import get
from cashews.commands import Command, Effect
from cashews.keys.pattern import matcher, pieces_of
from cashews.messages import Matching, Page, WholeStore

PAGE: Final = 1_000
"""How many keys one turn looks at, at most."""
TABLES: Final = ("Cache", "cashews_kept")
ROWS: Final = (
    "SELECT key, rowid, expire_time, mode, filename FROM Cache WHERE ",
    "SELECT key, rowid, deadline, 1, NULL FROM cashews_kept WHERE ",
)
FROM, BEHIND = ("key >= ?", "key > ?")
LIMITED: Final = " ORDER BY key LIMIT ?"
FOREIGN: Final = "(raw = 0 OR typeof(key) <> 'text' OR mode = 4)"
"""What an index of its own knows: it has to be asked for in the very same words."""
LIVE_FOREIGN: Final = f"SELECT COUNT(*) FROM Cache WHERE {FOREIGN} AND (expire_time IS NULL OR expire_time > ?)"  # noqa: S608  ours
SOME_FOREIGN: Final = f"SELECT rowid, filename FROM Cache WHERE {FOREIGN} LIMIT ?"  # noqa: S608  likewise
EXPIRED: Final = "SELECT COUNT(*) FROM Cache WHERE expire_time <= ?"
KEPT: Final = "SELECT COUNT(*) FROM cashews_kept"
EXPIRED_KEPT: Final = "SELECT COUNT(*) FROM cashews_kept WHERE deadline <= ?"


@dataclass(frozen=True, slots=True)
class FileCursor:
    """Where a scan stands: in which file, in which of its tables, behind which key."""

    shard: int = 0
    table: int = 0
    after: str | None = None
    newest: int | None = None
    """The last row that was there when the scan came to this table: a scan ends, whatever is stored meanwhile."""


@dataclass(slots=True)
class DeletePage(Matching["FileCursor | None"]):
    """Remove what matches among the next keys; answers where to go on."""

    cursor: FileCursor
    command: ClassVar[Command] = Command.DELETE_MATCH
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> FileCursor | None:
        return None


@dataclass(slots=True)
class DeleteForeign(WholeStore[bool]):
    """Remove some of the rows of one file that no key leads to, wherever they are; says whether there may be more."""

    cursor: FileCursor
    command: ClassVar[Command] = Command.CLEAR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


Found: TypeAlias = "tuple[str, int, str | None, bool]"
"""A key that matches, its row, the file of its value, and whether it holds something that can be read.

A plain tuple, in which the garbage collector takes no interest: a thousand other objects for each page have it go
through everything that the process has, again and again, while the event loop waits.
"""


def _step(
    shelf: Shelf, pattern: str, cursor: FileCursor, now: float, wanted: int
) -> tuple[list[Found], FileCursor | None]:
    """Look at the next keys until so many of them match; return these, and where to go on in this file."""
    head, matches = escaped(pieces_of(pattern)[0]), matcher(pattern)
    newest = _newest(shelf, cursor) if cursor.newest is None else cursor.newest
    found: list[Found] = []
    for looked, (key, rowid, deadline, mode, filename) in enumerate(_rows(shelf, head, cursor), start=1):
        if not (isinstance(key, str) and key.startswith(head)):
            break
        if rowid <= newest and matches(unescaped(key)):
            live = is_readable(mode, filename) and (deadline is None or deadline > now)
            found.append((key, rowid, filename, live))
        if looked == PAGE or len(found) == wanted:
            return found, replace(cursor, after=key, newest=newest)
    more = cursor.table + 1 < len(TABLES)
    return found, FileCursor(cursor.shard, cursor.table + 1) if more else None


def _rows(shelf: Shelf, head: str, cursor: FileCursor) -> Iterable[tuple[object, int, float | None, int, str | None]]:
    """Return the next rows, those that are too new for the scan among them: else nobody knew how many it looks at."""
    begins = cursor.after is None
    statement = ROWS[cursor.table] + (FROM if begins else BEHIND) + LIMITED
    return shelf.sql(statement, (head if begins else cursor.after, PAGE))


def _newest(shelf: Shelf, cursor: FileCursor) -> int:
    return shelf.sql(f"SELECT MAX(rowid) FROM {TABLES[cursor.table]}").fetchone()[0] or 0  # noqa: S608  a table of ours


def _beginning(cursor: object) -> FileCursor:
    return cursor if isinstance(cursor, FileCursor) else FileCursor()


def scan(shelf: Shelf, message: m.Scan, now: float) -> Page[str]:
    found, cursor = _step(shelf, message.pattern, _beginning(message.cursor), now, PAGE)
    return Page([key for key, _, _, live in found if live], cursor)


def get_match(shelf: Shelf, message: m.GetMatch, now: float) -> Page[tuple[str, object]]:
    cursor: FileCursor | None = _beginning(message.cursor)
    assert cursor is not None
    if cursor.table:  # structures are no values
        return Page([])
    found, cursor = _step(shelf, message.pattern, cursor, now, message.batch_size)
    pairs = [(key, get(shelf, m.Get(key), now)) for key, _, _, live in found if live]
    return Page([pair for pair in pairs if pair[1] is not ABSENT], cursor)


def delete_page(shelf: Shelf, message: DeletePage, now: float) -> FileCursor | None:
    """Remove what matches, dead or unreadable as it may be: whoever can read it does not find it any more, either."""
    cursor = message.cursor
    found, after = _step(shelf, message.pattern, cursor, now, PAGE)
    shelf.drop_all(TABLES[cursor.table], [(rowid, filename) for _, rowid, filename, _ in found])
    return after


def delete_foreign(shelf: Shelf, _: DeleteForeign, now: float) -> bool:  # noqa: ARG001  like every turn
    rows = shelf.sql(SOME_FOREIGN, (PAGE,)).fetchall()
    shelf.drop_all("Cache", rows)
    return len(rows) == PAGE


def count(shelf: Shelf, _: m.GetKeysCount, now: float) -> int:
    """Count without looking at each value: the table of diskcache counts its rows, and few are dead or foreign."""
    values = _one(shelf, "SELECT value FROM Settings WHERE key = 'count'") - _one(shelf, EXPIRED, now)
    structures = _one(shelf, KEPT) - _one(shelf, EXPIRED_KEPT, now)
    return values - _one(shelf, LIVE_FOREIGN, now) + structures


def _one(shelf: Shelf, question: str, *given: float) -> int:
    return int(shelf.sql(question, given).fetchone()[0])
