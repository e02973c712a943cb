"""The shelf: one file of a store, as the thread sees it that has opened it. Every instant is an argument."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, NamedTuple

from cashews._log import logger
from cashews._typing import ABSENT, Absent
from cashews.backends.disk.files import BINARY, RAW, TEXT, File, FileSettings, Identity, Stored, is_readable
from cashews.backends.disk.orphans import Orphans
from cashews.backends.disk.waiting import BusyError as BusyError
from cashews.backends.disk.waiting import patiently
from cashews.exceptions import CacheError, WrongTypeError

FIND: Final = "SELECT rowid, expire_time, mode, filename, value, size FROM Cache WHERE key = ? AND raw = 1"
INSERT: Final = (
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, size, mode, filename, value)"
    " VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE: Final = (
    "UPDATE Cache SET store_time = ?, expire_time = ?, access_time = ?, access_count = 0, tag = NULL, size = ?,"
    " mode = ?, filename = ?, value = ? WHERE rowid = ?"
)
FIND_KEPT: Final = "SELECT rowid, kind, deadline, content FROM cashews_kept WHERE key = ?"
KEEP: Final = (
    "INSERT INTO cashews_kept (key, kind, deadline, content) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET deadline = excluded.deadline, content = excluded.content"
)
EXPIRED: Final = (
    "SELECT rowid, filename FROM Cache WHERE expire_time IS NOT NULL AND expire_time <= ? ORDER BY expire_time LIMIT ?"
)
SWEPT: Final = 1.0
"""Every how many seconds at most we look for structures and locks that have expired."""
SWEEPS: Final = (
    "DELETE FROM cashews_kept WHERE rowid IN (SELECT rowid FROM cashews_kept WHERE deadline <= ? LIMIT ?)",
    "DELETE FROM cashews_locks WHERE key IN (SELECT key FROM cashews_locks WHERE deadline <= ? LIMIT ?)",
)
AT_A_TIME: Final = 500
"""How many rows one statement removes; older versions of SQLite take 999 values."""
MOST_SWEPT: Final = 1_000
"""How many structures or locks one batch removes at most; the next goes on."""
MOST_CULLED: Final = 5_000
"""How many values one batch culls at most, however many it has stored: others wait for it."""


class Row(NamedTuple):
    """A value, as it stands in the table of diskcache."""

    rowid: int
    deadline: float | None
    mode: int
    filename: str | None
    value: Stored | None
    size: int
    """How many bytes its file has."""


class Kept(NamedTuple):
    """Something that is changed in place, as it stands in our table."""

    rowid: int
    kind: str
    deadline: float | None
    content: bytes | int | None


class GoneError(Exception):
    """The file of a value was removed after its row had been read: another has replaced it."""


class Shelf:
    """Rows of values and of structures in one file, and the transaction they are read and changed in."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._connection: sqlite3.Connection | None = None
        self._settings: FileSettings
        self._opened: Identity | None = None
        """Which file we are connected to."""
        self.connects = 0
        """How often we have connected."""
        self._orphans: Orphans
        self._doomed: list[str] = []
        """The files to remove once the transaction is committed."""
        self._fresh: list[str] = []
        """The files to remove if it is not."""
        self._sweep_at = -math.inf
        self.hurried = False
        """Whether nobody is waited for any more."""
        self.lenient = True
        """Whether a value whose file has gone is absent; else it is worth looking again."""
        self.stored = 0
        """How many values this transaction has stored."""
        self.expired = self.evicted = 0
        """How many values this transaction has culled, and why."""

    # --- transactions

    def open(self) -> None:
        """Connect, unless we are: anew if our file was deleted or replaced, but not within a transaction.

        :raises sqlite3.Error: if the file cannot be opened
        :raises OSError: likewise
        """
        if self._connection is not None:
            if self.file.identity() == self._opened or self._connection.in_transaction:
                return
            self.close()
            self.file.touched.clear()
        self._connection, self._settings, self._opened = self.file.connect(self)
        self.connects += 1
        self._orphans = Orphans(self.file.directory)
        self.sql = self._connection.execute

    @property
    def settings(self) -> FileSettings:
        """The settings of the open file."""
        return self._settings

    def look(self) -> None:
        """Begin to read: everything comes from one instant.

        :raises BusyError: if we had to wait for others for longer than our patience
        """
        self.open()
        self.sql("BEGIN")
        if not self._settings.reads_beside_writes:
            self._patiently("SELECT * FROM Settings LIMIT 1").fetchall()

    def begin(self) -> None:
        """Begin to write, after other processes.

        :raises BusyError: if that would take longer than our patience
        """
        self.open()
        self.stored = self.expired = self.evicted = 0
        self._patiently("BEGIN IMMEDIATE")
        self._note_touches()

    def _patiently(self, statement: str) -> sqlite3.Cursor:
        """Carry out a statement for which other processes may have to be waited for."""
        return patiently(partial(self.sql, statement), self.file.patience, self)

    def _note_touches(self) -> None:
        """Tell the eviction policy which values were read since."""
        touched = self.file.touched
        if touched and self._settings.touch is not None and self._connection is not None:
            rows = [touched.popleft() for _ in range(len(touched))]
            statement = f"UPDATE Cache SET {self._settings.touch.format(now='?')} WHERE rowid = ?"  # noqa: S608  diskcache's
            one = self._settings.touch.count("{now}")
            self._connection.executemany(statement, [(*(row[1:] * one), row[0]) for row in rows])

    def commit(self) -> None:
        """Have everything stay that was done since the beginning, and remove the files of what has gone.

        :raises BusyError: if we had to wait for others for longer than our patience
        """
        self._patiently("COMMIT")
        doomed, self._doomed, self._fresh = self._doomed, [], []
        self._clear_away(doomed)
        if self.expired or self.evicted:
            self.file.count_culled(self.expired, self.evicted)

    def roll_back(self) -> None:
        """Have nothing stay, as far as SQLite has not seen to that itself."""
        fresh, self._doomed, self._fresh = self._fresh, [], []
        if self._connection is not None and self._connection.in_transaction:
            self.sql("ROLLBACK")
        self._clear_away(fresh)

    def _clear_away(self, names: list[str]) -> None:
        """Remove files of values; one that stays takes room, and is no error of whoever has written."""
        try:
            self.file.remove(names)
        except (OSError, ValueError) as error:
            logger.warning("disk: the file of a value cannot be removed: %s", error)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Take back what is done in the block if it fails; the rest of the transaction stays."""
        doomed, fresh = len(self._doomed), len(self._fresh)
        self.sql("SAVEPOINT cashews_commit")
        try:
            yield
        except CacheError:
            self.sql("ROLLBACK TO cashews_commit")
            self.sql("RELEASE cashews_commit")
            del self._doomed[doomed:]
            self._doomed += self._fresh[fresh:]
            del self._fresh[fresh:]
            raise
        self.sql("RELEASE cashews_commit")

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- values

    def any_row(self, key: str) -> Row | None:
        """Find the row of a key, expired or unreadable as it may be."""
        found = self.sql(FIND, (key,)).fetchone()
        return None if found is None else Row(*found)

    def row(self, key: str, now: float) -> Row | None:
        """Find the row of a live value."""
        found = self.sql(FIND, (key,)).fetchone()
        if found is None or (found[1] is not None and found[1] <= now) or not is_readable(found[2], found[3]):
            return None
        return Row(*found)

    def value(self, row: Row) -> Stored | Absent:
        """Return the value of a row.

        :raises GoneError: if its file has gone, in whole or in part, and it is worth looking again
        """
        if row.filename is None:
            return ABSENT if row.value is None else row.value
        with suppress(FileNotFoundError, UnicodeDecodeError):
            content = self.file.read(row.filename)
            if len(content) == row.size:
                return content.decode() if row.mode == TEXT else content
        if self.lenient:
            return ABSENT
        raise GoneError

    def put(self, key: str, value: Stored, deadline: float | None, now: float) -> None:
        """Have a key hold a value without tags, whatever it held."""
        self.sql("DELETE FROM cashews_kept WHERE key = ?", (key,))
        self.sql("DELETE FROM cashews_tags WHERE key = ?", (key,))
        row = self.any_row(key)
        size, mode, filename, content = 0, RAW, None, value
        if isinstance(value, (bytes, str)) and len(value) >= self._settings.min_file_size:
            size, mode, filename = self._put_in_file(value)
            content = None  # type: ignore[assignment]  # it is in the file
        if row is None:
            self.sql(INSERT, (key, now, deadline, now, size, mode, filename, content))
        else:
            self._doom(row.filename)
            self.sql(UPDATE, (now, deadline, now, size, mode, filename, content, row.rowid))
        self.stored += 1

    def _put_in_file(self, value: bytes | str) -> tuple[int, int, str]:
        """Write a value to a file of its own; returns its size, its mode and its name."""
        content, mode = (value.encode(), TEXT) if isinstance(value, str) else (value, BINARY)
        name = self.file.new_name()
        self._fresh.append(name)  # before: a part of it may have been written when that fails
        self.file.write(name, content)
        return len(content), mode, name

    def tag(self, key: str, tags: Iterable[str]) -> None:
        """Have a value that carries no tags carry these."""
        for place, tag in enumerate(tags):
            self.sql("INSERT OR IGNORE INTO cashews_tags (tag, key, place) VALUES (?, ?, ?)", (tag, key, place))

    def tags(self, key: str) -> tuple[str, ...]:
        """Return the tags of a value."""
        found = self.sql("SELECT tag FROM cashews_tags WHERE key = ? ORDER BY place", (key,))
        return tuple([tag for (tag,) in found])

    def change(self, row: Row, value: Stored) -> None:
        """Have a row hold another small value, under the same deadline."""
        self.sql("UPDATE Cache SET value = ? WHERE rowid = ?", (value, row.rowid))

    def drop(self, row: Row) -> None:
        """Remove a value."""
        self.sql("DELETE FROM Cache WHERE rowid = ?", (row.rowid,))
        self._doom(row.filename)

    def _doom(self, filename: str | None) -> None:
        if filename is not None:
            self._doomed.append(filename)

    # --- structures

    def kept(self, key: str, now: float) -> Kept | None:
        """Find the live structure of a key."""
        found = self.sql(FIND_KEPT, (key,)).fetchone()
        if found is None or (found[2] is not None and found[2] <= now):
            return None
        return Kept(*found)

    def of_kind(self, key: str, kind: str, now: float) -> Kept | None:
        """Find the live structure of a key.

        :raises WrongTypeError: if the key holds something else
        """
        kept = self.kept(key, now)
        if kept is None:
            row = self.row(key, now)
            if row is not None:
                raise WrongTypeError(key, type(row.value).__name__, kind)
        elif kept.kind != kind:
            raise WrongTypeError(key, kept.kind, kind)
        return kept

    def keep(self, key: str, kind: str, content: bytes | int | None, deadline: float | None) -> None:
        """Have a key hold a structure; one of another kind must have been looked for."""
        self.sql(KEEP, (key, kind, deadline, content))

    def renew(self, key: str, kind: str, content: bytes | int | None, deadline: float | None) -> None:
        """Have a key hold a new structure; an old one that has expired leaves nothing behind."""
        self.sql("DELETE FROM cashews_kept WHERE key = ?", (key,))
        self.keep(key, kind, content, deadline)

    def drop_kept(self, kept: Kept) -> None:
        """Remove a structure."""
        self.sql("DELETE FROM cashews_kept WHERE rowid = ?", (kept.rowid,))

    # --- either

    def find(self, key: str, now: float) -> Row | Kept | None:
        """Find what a key holds."""
        return self.row(key, now) or self.kept(key, now)

    def remove(self, found: Row | Kept) -> None:
        """Remove what a key held."""
        if isinstance(found, Row):
            self.drop(found)
        else:
            self.drop_kept(found)

    def set_deadline(self, found: Row | Kept, deadline: float | None) -> None:
        """Have what a key holds expire at another instant."""
        if isinstance(found, Row):
            self.sql("UPDATE Cache SET expire_time = ? WHERE rowid = ?", (deadline, found.rowid))
        else:
            self.sql("UPDATE cashews_kept SET deadline = ? WHERE rowid = ?", (deadline, found.rowid))

    # --- marks

    def mark(self, name: str) -> int:
        """Return a number that the file remembers, 0 if it does not yet."""
        found = self.sql("SELECT value FROM cashews_marks WHERE name = ?", (name,)).fetchone()
        return 0 if found is None else int(found[0])

    def set_mark(self, name: str, value: int) -> None:
        """Have the file remember a number."""
        self.sql("INSERT OR REPLACE INTO cashews_marks (name, value) VALUES (?, ?)", (name, value))

    # --- culling

    def cull(self, now: float) -> None:
        """Remove what has expired, and values beyond the size limit: a few for each that was stored."""
        if now >= self._sweep_at or now < self._sweep_at - SWEPT:
            self._sweep(now)
        limit = min(self.stored * self._settings.cull_limit, MOST_CULLED)
        if not limit:
            return
        expired = self.sql(EXPIRED, (now, limit)).fetchall()
        self.drop_all("Cache", expired)
        self.expired = len(expired)
        self._evict(limit - len(expired))

    def _sweep(self, now: float) -> None:
        swept = [self.sql(sweep, (now, MOST_SWEPT)).rowcount for sweep in SWEEPS]
        self._sweep_at = now if MOST_SWEPT in swept else now + SWEPT
        self._doomed += self._orphans.look(self.sql, now)  # once nothing can be taken back

    def _evict(self, limit: int) -> None:
        """Remove values one by one, so that none has to go for whom there is room."""
        worst = self._settings.worst
        while limit > 0 and worst is not None and self.volume() >= self._settings.size_limit:
            evicted = self.sql(worst.format(fields="rowid, filename", now=0), (1,)).fetchall()
            if not evicted:
                return
            self.drop_all("Cache", evicted)
            self.evicted += 1
            limit -= 1

    def drop_all(self, table: str, rows: list[tuple[int, str | None]]) -> None:
        """Remove rows of a table, given as their number and their file.

        Many go with one statement, which leaves the interpreter to the event loop for as long as it takes.
        """
        for first in range(0, len(rows), AT_A_TIME):
            some = rows[first : first + AT_A_TIME]
            places = ",".join("?" * len(some))
            self.sql(f"DELETE FROM {table} WHERE rowid IN ({places})", [rowid for rowid, _ in some])  # noqa: S608  a table of ours
        self._doomed += [filename for _, filename in rows if filename is not None]

    def volume(self) -> int:
        """Return how many bytes the file takes, and the files of its large values."""
        pages: int = self.sql("PRAGMA page_count").fetchone()[0] - self.sql("PRAGMA freelist_count").fetchone()[0]
        size: int = self.sql("SELECT value FROM Settings WHERE key = 'size'").fetchone()[0]
        return pages * self._settings.page_size + size
