"""The shelf: one open file of a store and the transaction on it, used by a single thread. Instants are arguments.

A *value* is a row of diskcache's own table. A *structure* (bit field, window, tally, circuit, set) is a row of
`cashews_kept`, which diskcache leaves alone.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from cashews._log import logger
from cashews._typing import ABSENT, Absent
from cashews.backends.disk.busy import Patience
from cashews.backends.disk.damage import is_damage
from cashews.backends.disk.files import (
    BINARY,
    RAW,
    TEXT,
    File,
    FileSettings,
    Identity,
    Sql,
    Stored,
    is_live,
    is_readable,
    is_sound,
)
from cashews.backends.disk.orphans import Orphans
from cashews.backends.disk.rows import StructureRow, ValueRow
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
FIND_STRUCTURE: Final = "SELECT rowid, kind, deadline, content FROM cashews_kept WHERE key = ?"
PUT_STRUCTURE: Final = (
    "INSERT INTO cashews_kept (key, kind, deadline, content) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET deadline = excluded.deadline, content = excluded.content"
)
SPARE_PAGES: Final = 4
"""The pages of a file beyond one for each table and index: SQLite's own, and those that a value fills in part."""
AT_A_TIME: Final = 500
"""The most rows that one statement removes; older versions of SQLite take 999 parameters."""


def room_for_one(settings: FileSettings, sql: Sql) -> float:
    """Return the bytes that a single value can have without being evicted itself."""
    if settings.eviction_sql is None or not settings.cull_limit:
        return math.inf
    tables: int = sql("SELECT COUNT(*) FROM sqlite_master WHERE rootpage > 0").fetchone()[0]
    return settings.size_limit - (tables + SPARE_PAGES) * settings.page_size


class GoneError(Exception):
    """The file of a value was removed after its row had been read, because another process replaced the value."""


class Shelf:
    """The values, structures and marks in one file, and the transaction in which they are read and changed."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._connection: sqlite3.Connection | None = None
        self._settings: FileSettings
        self._opened: Identity | None = None
        """The file that we are connected to."""
        self.connects = 0
        """The number of connections so far: another number means another connection, perhaps to another file."""
        self._patience = Patience(file.timeout)
        self.orphans: Orphans
        self.room: float
        """The bytes that a single value may have."""
        self._obsolete: list[str] = []
        """The files of values to remove after a commit."""
        self._created: list[str] = []
        """The files of values to remove after a rollback."""
        self.sweep_at = -math.inf
        """The instant from which on expired structures and locks are swept again."""
        self.missing_is_absent = True
        """If set, a value is absent when its file is missing; otherwise it raises `GoneError`, to be read again."""
        self.stored = 0
        """The number of values that this transaction has stored."""
        self.expired = self.evicted = 0
        """The numbers of values that this transaction has culled: expired ones, and others to make room."""

    # --- transactions

    def open(self) -> None:
        """Connect, unless we are connected to the current file. Within a transaction the connection stays.

        :raises sqlite3.Error: if the file cannot be opened
        :raises OSError: if its directory cannot be created
        """
        if self._connection is not None:
            if self.file.identity() == self._opened or self._connection.in_transaction:
                return
            self.close()
            self.file.touched.clear()
        self._connection, self._settings, self._opened = self.file.connect(self._patience)
        self.connects += 1
        self.orphans = Orphans(self.file.directory)
        self.sql = self._connection.execute
        self.room = room_for_one(self._settings, self.sql)

    @property
    def settings(self) -> FileSettings:
        """The settings of the open file."""
        return self._settings

    def begin_reading(self) -> None:
        """Begin a transaction that reads; all its reads see the file as it was at one instant.

        :raises BusyError: if another process keeps the file locked for too long
        """
        self.open()
        self.sql("BEGIN")
        if not self._settings.reads_beside_writes:
            self._sql_unlocked("SELECT * FROM Settings LIMIT 1").fetchall()

    def begin_writing(self) -> None:
        """Begin a transaction that writes, as soon as no other process writes.

        :raises BusyError: if another process keeps the file locked for too long
        """
        self.open()
        self.stored = self.expired = self.evicted = 0
        self._sql_unlocked("BEGIN IMMEDIATE")
        self._record_reads()

    def _sql_unlocked(self, statement: str) -> sqlite3.Cursor:
        """Execute a statement as soon as no other process has the file locked."""
        return self._patience.retry(partial(self.sql, statement))

    def hurry(self) -> None:
        """Wait for other processes no more; called from the event loop."""
        self._patience.end()

    def _record_reads(self) -> None:
        """Record the reads since the last batch of writes, if the eviction policy depends on them."""
        touched, touch = self.file.touched, self._settings.touch_sql
        if touched and touch is not None and self._connection is not None:
            rows = [touched.popleft() for _ in range(len(touched))]
            statement = f"UPDATE Cache SET {touch.format(now='?')} WHERE rowid = ?"  # noqa: S608  diskcache's
            instants = touch.count("{now}")
            self._connection.executemany(statement, [((instant,) * instants + (rowid,)) for rowid, instant in rows])

    def commit(self) -> None:
        """Commit the transaction, then remove the files of values that it has removed or replaced.

        :raises BusyError: if another process keeps the file locked for too long
        """
        self._sql_unlocked("COMMIT")
        obsolete, self._obsolete, self._created = self._obsolete, [], []
        self._remove_files(obsolete)
        if self.expired or self.evicted:
            self.file.count_culled(self.expired, self.evicted)

    def roll_back(self) -> None:
        """Roll the transaction back, unless SQLite has done so itself, and remove the files that it has created."""
        created, self._obsolete, self._created = self._created, [], []
        if self._connection is not None and self._connection.in_transaction:
            self.sql("ROLLBACK")
        self._remove_files(created)

    def _remove_files(self, names: list[str]) -> None:
        """Remove files of values. A file that cannot be removed takes up space, but is no error of the asker."""
        try:
            self.file.remove(names)
        except (OSError, ValueError) as error:
            logger.warning("disk: the file of a value cannot be removed: %s", error)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Roll back to the beginning of the block if it raises a `CacheError`; the transaction itself goes on."""
        obsolete, created = len(self._obsolete), len(self._created)
        self.sql("SAVEPOINT cashews_commit")
        try:
            yield
        except CacheError:
            self.sql("ROLLBACK TO cashews_commit")
            self.sql("RELEASE cashews_commit")
            del self._obsolete[obsolete:]
            self._obsolete += self._created[created:]
            del self._created[created:]
            raise
        self.sql("RELEASE cashews_commit")

    def set_aside_if_damaged(self, error: Exception) -> bool:
        """Have SQLite examine the whole file, and set it aside if it is damaged; returns whether it was."""
        before = self.file.damaged
        self.close()
        try:
            self.open()  # which sets aside a file that cannot even be opened
            (verdict,) = self.sql("PRAGMA quick_check(1)").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as found:
            return is_damage(found) and self.set_aside(found)
        if verdict != "ok":
            return self.set_aside(error)
        return self.file.damaged > before

    def set_aside(self, error: Exception) -> bool:
        """Set the damaged file aside; returns whether the next use finds or creates another one."""
        self.close()
        return self.file.set_aside(self._opened, error)

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- values

    def any_row(self, key: str) -> ValueRow | None:
        """Find the row of a key, even if its value has expired or cannot be read."""
        found = self.sql(FIND, (key,)).fetchone()
        return None if found is None else ValueRow(*found)

    def row(self, key: str, now: float) -> ValueRow | None:
        """Find the row of a value that is live and can be read."""
        found = self.sql(FIND, (key,)).fetchone()
        if found is None or not is_live(found[1], now) or not is_readable(found[2], found[3]):
            return None
        if found[4].__class__ is str and not is_sound(found[4]):
            return None
        return ValueRow(*found)

    def has_value(self, filename: str | None, size: int) -> bool:
        """Say whether a value is there: in its row, or in a whole file of its own.

        :raises GoneError: if its file is missing or incomplete, and `missing_is_absent` is not set
        """
        if filename is None or self.file.has(filename, size):
            return True
        if self.missing_is_absent:
            return False
        raise GoneError

    def value(self, row: ValueRow) -> Stored | Absent:
        """Return the value of a row.

        :raises GoneError: if its file is missing or incomplete, and `missing_is_absent` is not set
        """
        if row.filename is None:
            return ABSENT if row.value is None else row.value
        with suppress(FileNotFoundError, UnicodeDecodeError):
            content = self.file.read(row.filename)
            if len(content) == row.size:
                return content.decode() if row.mode == TEXT else content
        if self.missing_is_absent:
            return ABSENT
        raise GoneError

    def put(self, key: str, value: Stored, deadline: float | None, now: float) -> None:
        """Store a value without tags under a key, in place of any value or structure."""
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
            self._remove_after_commit(row.filename)
            self.sql(UPDATE, (now, deadline, now, size, mode, filename, content, row.rowid))
        self.stored += 1

    def _put_in_file(self, value: bytes | str) -> tuple[int, int, str]:
        """Write a value to a file of its own and return the file's size, mode and name."""
        content, mode = (value.encode(), TEXT) if isinstance(value, str) else (value, BINARY)
        name = self.file.new_name()
        self._created.append(name)  # before writing: a write that fails may leave a part of the file
        self.file.write(name, content)
        return len(content), mode, name

    def tag(self, key: str, tags: Iterable[str]) -> None:
        """Attach tags to a value that has none."""
        for place, tag in enumerate(tags):
            self.sql("INSERT OR IGNORE INTO cashews_tags (tag, key, place) VALUES (?, ?, ?)", (tag, key, place))

    def tags(self, key: str) -> tuple[str, ...]:
        """Return the tags of a value, in the order in which they were given."""
        found = self.sql("SELECT tag FROM cashews_tags WHERE key = ? ORDER BY place", (key,))
        return tuple([tag for (tag,) in found if is_sound(tag)])

    def change(self, row: ValueRow, value: Stored) -> None:
        """Replace the value of a row by a small one, which is in the row; the deadline stays."""
        columns = (value, RAW, row.rowid)
        self.sql("UPDATE Cache SET value = ?, mode = ?, filename = NULL, size = 0 WHERE rowid = ?", columns)
        self._remove_after_commit(row.filename)

    def drop(self, row: ValueRow) -> None:
        """Remove a value."""
        self.sql("DELETE FROM Cache WHERE rowid = ?", (row.rowid,))
        self._remove_after_commit(row.filename)

    def remove_after_commit(self, filenames: Iterable[str]) -> None:
        """Remove files of values once the transaction is committed: a rollback may restore their rows."""
        self._obsolete += filenames

    def _remove_after_commit(self, filename: str | None) -> None:
        if filename is not None:
            self._obsolete.append(filename)

    # --- structures

    def structure(self, key: str, now: float) -> StructureRow | None:
        """Find the live structure of a key."""
        found = self.sql(FIND_STRUCTURE, (key,)).fetchone()
        if found is None or not is_live(found[2], now):
            return None
        return StructureRow(*found)

    def structure_of_kind(self, key: str, kind: str, now: float) -> StructureRow | None:
        """Find the live structure of a key.

        :raises WrongTypeError: if the key holds a value, or a structure of another kind
        """
        found = self.structure(key, now)
        if found is None:
            row = self.row(key, now)
            if row is not None and self.has_value(row.filename, row.size):
                raise WrongTypeError(key, type(row.value).__name__, kind)
        elif found.kind != kind:
            raise WrongTypeError(key, found.kind, kind)
        return found

    def put_structure(self, key: str, kind: str, content: bytes | int | None, deadline: float | None) -> None:
        """Store a structure, over the live one of the same kind if there is one; its parts stay."""
        self.sql(PUT_STRUCTURE, (key, kind, deadline, content))

    def replace_structure(self, key: str, kind: str, content: bytes | int | None, deadline: float | None) -> None:
        """Store a new structure; an expired one, of whichever kind, goes with its parts."""
        self.sql("DELETE FROM cashews_kept WHERE key = ?", (key,))
        self.put_structure(key, kind, content, deadline)

    def drop_structure(self, row: StructureRow) -> None:
        """Remove a structure and, by a trigger, its parts."""
        self.sql("DELETE FROM cashews_kept WHERE rowid = ?", (row.rowid,))

    # --- values or structures

    def find(self, key: str, now: float) -> ValueRow | StructureRow | None:
        """Find the live value or structure of a key. A value whose file is missing is absent."""
        row = self.row(key, now)
        return row if row is not None and self.has_value(row.filename, row.size) else self.structure(key, now)

    def set_deadline(self, found: ValueRow | StructureRow, deadline: float | None) -> None:
        """Change the deadline of a value or structure."""
        if isinstance(found, ValueRow):
            self.sql("UPDATE Cache SET expire_time = ? WHERE rowid = ?", (deadline, found.rowid))
        else:
            self.sql("UPDATE cashews_kept SET deadline = ? WHERE rowid = ?", (deadline, found.rowid))

    # --- marks

    def mark(self, name: str) -> int:
        """Return the number that the file holds under a name, 0 if there is none."""
        found = self.sql("SELECT value FROM cashews_marks WHERE name = ?", (name,)).fetchone()
        return 0 if found is None else int(found[0])

    def set_mark(self, name: str, value: int) -> None:
        """Store a number under a name."""
        self.sql("INSERT OR REPLACE INTO cashews_marks (name, value) VALUES (?, ?)", (name, value))

    # --- many rows

    def drop_all(self, table: str, rows: list[tuple[int, str | None]]) -> None:
        """Remove rows of a table, each given by its number and the name of its file.

        One statement removes many rows: SQLite releases the interpreter meanwhile, and the event loop goes on.
        """
        for first in range(0, len(rows), AT_A_TIME):
            some = rows[first : first + AT_A_TIME]
            places = ",".join("?" * len(some))
            self.sql(f"DELETE FROM {table} WHERE rowid IN ({places})", [rowid for rowid, _ in some])  # noqa: S608  a table of ours
        self._obsolete += [filename for _, filename in rows if filename is not None]
