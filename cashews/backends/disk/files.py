"""The files of diskcache: its schema, its settings, its files for large values. Nothing is pickled or unpickled.

diskcache makes and upgrades a file; what stands in its table is then read and written by statements of our own. What it
has pickled itself (a value of mode `PICKLED`) is absent here: whoever can write to the directory could have it run code
(CVE-2025-69872).
"""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias, cast
from zlib import adler32

import diskcache  # pyright: ignore[reportMissingTypeStubs]
from diskcache import core  # pyright: ignore[reportMissingTypeStubs]

Stored: TypeAlias = bytes | str | int | float
"""What diskcache keeps as it is."""
Sql: TypeAlias = Callable[..., sqlite3.Cursor]

RAW, BINARY, TEXT, PICKLED = 1, 2, 3, 4
"""The modes of a value: in its row, in a file of its own as bytes or as text, pickled by diskcache."""
SLICE: Final = 0.1
"""How many seconds SQLite waits at once for another process; in between we look whether we still want to wait."""

TOUCHES: Final = 10_000
"""How many readings are remembered at most until the next batch of writes takes note of them."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cashews_kept (key TEXT PRIMARY KEY, kind TEXT NOT NULL, deadline REAL, content);
CREATE INDEX IF NOT EXISTS cashews_kept_deadline ON cashews_kept (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE IF NOT EXISTS cashews_parts (key TEXT, part, content BLOB, PRIMARY KEY (key, part)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS cashews_kept_delete AFTER DELETE ON cashews_kept FOR EACH ROW BEGIN
  DELETE FROM cashews_parts WHERE key = OLD.key;
END;
CREATE TABLE IF NOT EXISTS cashews_locks (key TEXT PRIMARY KEY, token TEXT NOT NULL, deadline REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_locks_deadline ON cashews_locks (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE IF NOT EXISTS cashews_marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cashews_tags (tag, key, place INTEGER, PRIMARY KEY (tag, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_tags_key ON cashews_tags (key);
CREATE TRIGGER IF NOT EXISTS cashews_tags_delete AFTER DELETE ON Cache FOR EACH ROW BEGIN
  DELETE FROM cashews_tags WHERE key = OLD.key;
END;
CREATE TABLE IF NOT EXISTS cashews_deleted (tag TEXT PRIMARY KEY, mark INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_deleted_mark ON cashews_deleted (mark);
CREATE TABLE IF NOT EXISTS cashews_ledger (
  number INTEGER, shard INTEGER, place INTEGER, at REAL, kind TEXT, key TEXT, value, expire REAL,
  PRIMARY KEY (shard, number, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_pickled ON Cache (mode) WHERE mode = 4;
"""
"""What we add to a file: tables that diskcache neither culls nor clears.

`kept`: bit fields, windows, tallies, circuits and sets, which are never evicted; `parts`: the members of sets and the
pages of bit fields; `locks`: who holds what; `tags`, `deleted`: who carries which tag, and when tags were deleted;
`ledger`: see the module of that name; `marks`: numbers to remember.
"""


OURS: Final = frozenset(re.findall(r"IF NOT EXISTS (\w+)", SCHEMA))
"""What a file has that we have added to."""
LASTING: Final = frozenset({"sqlite_journal_mode", "sqlite_auto_vacuum"})
"""The settings of SQLite that stay in the file; each connection sets the others."""

_Cache = cast("Any", diskcache.Cache)
_POLICIES = cast("Mapping[str, Mapping[str, str | None]]", core.EVICTION_POLICY)


class BytesOnly(core.Disk):  # type: ignore[misc]  # diskcache has no types
    """The part of diskcache that turns keys and values into columns, without pickles."""

    def put(self, key: object) -> Any:
        return _plain(key), True

    def get(self, key: object, raw: object) -> Stored:
        return _plain(key)

    def fetch(self, mode: int, filename: str | None, value: object, read: object) -> Any:
        return _plain(None) if mode == PICKLED else cast("Any", super()).fetch(mode, filename, value, read)

    def store(self, value: object, read: object, key: object = None) -> Any:
        return cast("Any", super()).store(_plain(value), False, core.UNKNOWN)


def _plain(value: object) -> Stored:
    if isinstance(value, (bytes, str, int, float)):
        return value
    message = "nothing is pickled here"
    raise TypeError(message)


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The settings that one file of diskcache has."""

    size_limit: int
    cull_limit: int
    eviction_policy: str
    min_file_size: int
    page_size: int
    reads_beside_writes: bool
    """Whether who reads and who writes never wait for each other: with a write-ahead log."""
    pragmas: Mapping[str, object]

    @property
    def touch(self) -> str | None:
        """The assignment by which the eviction policy takes note of a reading."""
        return _POLICIES[self.eviction_policy]["get"]

    @property
    def worst(self) -> str | None:
        """The statement that selects what is evicted first."""
        return _POLICIES[self.eviction_policy]["cull"]


class File:
    """One file of a store. Connections to it belong to the threads that open them."""

    def __init__(self, directory: str, given: Mapping[str, object], patience: float) -> None:
        self.directory = directory
        self._path = Path(directory, core.DBNAME)
        self._given = given
        self.patience = patience
        """How many seconds we wait for another process that writes."""
        self._lock = Lock()
        self._made: FileSettings | None = None
        self._disk: Any = None
        self.touched: deque[tuple[int, float]] = deque(maxlen=TOUCHES)
        """Which rows were read, and when: for an eviction policy that wants to know."""

    @property
    def exists(self) -> bool:
        """Whether somebody has made it."""
        return self._path.exists()

    def connect(self) -> tuple[sqlite3.Connection, FileSettings]:
        """Open a connection, after having made the file if that is needed.

        :raises sqlite3.Error: if it cannot be opened
        :raises OSError: likewise
        """
        with self._lock:
            if self._made is None:
                self._made = self._make()
        wait = SLICE if self._made.reads_beside_writes else self.patience
        connection = sqlite3.connect(self._path, timeout=wait, isolation_level=None, cached_statements=256)
        try:
            for name, value in self._made.pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection, self._made

    def _ready(self) -> Mapping[str, Any] | None:
        """Return the settings of a file to which nothing has to be done: no other process is waited for then."""
        if not self.exists:
            return None
        connection = sqlite3.connect(self._path, timeout=SLICE, isolation_level=None)
        try:
            made = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if not made.issuperset(OURS):
                return None
            settings: dict[str, Any] = dict(connection.execute("SELECT key, value FROM Settings").fetchall())
            settings["page_size"] = connection.execute("PRAGMA page_size").fetchone()[0]
        finally:
            connection.close()
        return settings if self._given.items() <= settings.items() else None

    def _make(self) -> FileSettings:
        settings = self._ready()
        if settings is None:
            self._prepare()
            settings = self._ready()
            assert settings is not None
        self._disk = BytesOnly(self.directory, settings["disk_min_file_size"], settings["disk_pickle_protocol"])
        return FileSettings(
            size_limit=settings["size_limit"],
            cull_limit=settings["cull_limit"],
            eviction_policy=settings["eviction_policy"],
            min_file_size=settings["disk_min_file_size"],
            page_size=settings["page_size"],
            reads_beside_writes=settings["sqlite_journal_mode"] == "wal",
            pragmas={
                name[len("sqlite_") :]: value
                for name, value in settings.items()
                if name.startswith("sqlite_") and name not in LASTING
            },
        )

    def _prepare(self) -> None:
        """Have diskcache make the file, or change its settings; add what we need.

        A directory that we make is nobody else's: who can write to it can have pickles loaded that he has written.
        """
        Path(self.directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        cache = _Cache.__new__(_Cache)  # in two steps: one that cannot be made has to be closed
        try:
            cache.__init__(self.directory, timeout=60, disk=BytesOnly, **self._given)
            cache._con.executescript(SCHEMA)  # noqa: SLF001  the only way to its connection
        finally:
            if hasattr(cache, "_local"):
                cache.close()

    # --- large values

    def write(self, value: bytes | str) -> tuple[int, int, str]:
        """Write a value to a file of its own; returns its size, its mode and its name."""
        size, mode, name, _ = self._disk.store(value, False)
        return size, mode, name

    def read(self, mode: int, name: str) -> bytes | str:
        """Read a file.

        :raises FileNotFoundError: if it is there no more
        """
        return cast("bytes | str", self._disk.fetch(mode, name, None, False))

    def overwrite(self, name: str, at: int, content: bytes) -> None:
        """Change some bytes of a file in place, if it is still there."""
        with suppress(OSError), Path(self.directory, name).open("r+b") as file:
            file.seek(at)
            file.write(content)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there."""
        for name in names:
            self._disk.remove(name)


def found_shards(directory: str) -> int:
    """Return how many files a directory has that keys are spread over, 0 if it has none or a single one."""
    number = 0
    while Path(directory, f"{number:03}", core.DBNAME).exists():
        number += 1
    return number


def shard_of(key: str, shards: int) -> int:
    """Return in which of several files a key is: the same as to diskcache."""
    return adler32(key.encode()) % shards
