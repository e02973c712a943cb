"""The files of diskcache: its database, its settings, its files for large values. Nothing is pickled or unpickled.

diskcache creates the database (see `schema`) and chooses the names of large values' files; rows are read and written by
SQL statements of this package. A value that diskcache itself has pickled (mode `PICKLED`) counts as absent: to unpickle
it would let anybody with write access to the directory run code (CVE-2025-69872).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final, TypeAlias, cast
from zlib import adler32

from diskcache import core  # pyright: ignore[reportMissingTypeStubs]  it has no types

from cashews._dataclass import dataclass
from cashews._log import logger
from cashews.backends.disk.busy import SLICE, Patience
from cashews.backends.disk.damage import is_damage, set_aside
from cashews.backends.disk.schema import LASTING, complete, complete_settings, pragma, sound_settings

Stored: TypeAlias = bytes | str | int | float
"""The types that diskcache stores without pickling them."""
Sql: TypeAlias = Callable[..., sqlite3.Cursor]
Identity: TypeAlias = tuple[int, int]
"""Device and inode: they tell a file from its predecessors and successors at the same path."""

RAW, BINARY, TEXT, PICKLED = 1, 2, 3, 4
"""The modes of a value: in its row; in a file of its own, as bytes or as text; pickled by diskcache."""
TOUCHES: Final = 10_000
"""The most reads that are remembered until the next batch of writes records them for the eviction policy."""

NAME: Final = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
"""The names that diskcache gives to the files of values. A row with any other name is ignored: it may lead anywhere."""
LONE: Final = re.compile("[\ud800-\udfff]")
BACKSLASH: Final = "\\"
TRIES: Final = 10
"""The attempts to create a file. Another process may remove its directory just before, because it is empty."""

PRIVATE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
"""The flag without which Windows changes the ends of lines."""
DECODE: Final = partial(str, encoding="utf-8", errors="surrogateescape")
"""The decoder of text in a file. Bytes that are not UTF-8 become lone surrogates, which our own text never has."""

_POLICIES = cast("Mapping[str, Mapping[str, str | None]]", core.EVICTION_POLICY)


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The settings of one file of diskcache."""

    size_limit: int
    cull_limit: int
    eviction_policy: str
    min_file_size: int
    page_size: int
    reads_beside_writes: bool
    """True if readers and writers never wait for each other, as with a write-ahead log."""
    pragmas: Mapping[str, object]

    @property
    def touch_sql(self) -> str | None:
        """The assignment that records a read for the eviction policy; `None` if the policy ignores reads."""
        return _POLICIES[self.eviction_policy]["get"]

    @property
    def eviction_sql(self) -> str | None:
        """The statement that selects the values to evict first; `None` if nothing is evicted."""
        return _POLICIES[self.eviction_policy]["cull"]


class File:
    """One file of a store. A connection to it belongs to the thread that has opened it."""

    def __init__(
        self, directory: str, given: Mapping[str, object], timeout: float, directories: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self._path = os.fspath(Path(directory, core.DBNAME))
        self._given = given
        self.timeout = timeout
        """The seconds to wait for another process that writes."""
        self._directories = directories or (directory,)
        """The directories to create before the file, in this order."""
        self._lock = Lock()
        """Held while a connection is opened: SQLite changes some settings only if there is no other connection."""
        self._disk: Any = core.Disk(directory)
        self.touched: deque[tuple[int, float]] = deque(maxlen=TOUCHES)
        """Rows that were read, each with the instant, for an eviction policy that records reads."""
        self.expired = self.evicted = 0
        """The numbers of values that were removed because they had expired, and to make room."""
        self.refused = 0
        """The number of values that were refused because they alone would have filled the file."""
        self.unreadable = 0
        """The number of keys that scans have met and that are not UTF-8."""
        self.damaged = 0
        """The number of damaged files that were set aside."""

    def identity(self) -> Identity | None:
        """Return the identity of the file that has our path now, `None` if there is none."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  asked for each batch
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def connect(self, patience: Patience) -> tuple[sqlite3.Connection, FileSettings, Identity | None]:
        """Open a connection, creating the file if there is none; returns the file's settings and identity, too.

        :raises BusyError: if another process keeps the file locked for longer than the patience lasts
        :raises sqlite3.Error: if the file cannot be opened
        :raises OSError: if its directory cannot be created
        """
        return patience.retry(self._connect)

    def _connect(self) -> tuple[sqlite3.Connection, FileSettings, Identity | None]:
        with self._lock:
            if self.identity() is None:
                self._create()
            identity = self.identity()  # before opening: if the file is replaced in between, the next look notices
            try:
                connection, settings = self._open()
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not (is_damage(error) and self._set_aside(identity, error)):
                    raise
                self._create()  # damage in the new file is raised: the disk is at fault
                identity = self.identity()
                connection, settings = self._open()
        return connection, settings, identity

    def set_aside(self, identity: Identity | None, error: Exception) -> bool:
        """Rename a damaged file, so that the next connection creates another; its content stays for whoever wants it.

        :param identity: the file that is damaged: another at our path, which somebody has created meanwhile, stays
        :returns: whether our path is free for a new file, or has one
        """
        with self._lock:
            return self._set_aside(identity, error)

    def _set_aside(self, identity: Identity | None, error: Exception) -> bool:
        if identity is None or self.identity() != identity:
            return True
        try:
            aside = set_aside(self._path)
        except OSError as refusal:
            logger.error("disk: a damaged file (%s) cannot be set aside: %s", error, refusal)
            return False
        self.damaged += 1
        logger.error("disk: a damaged file (%s) was set aside as %s", error, aside)
        return True

    def _create(self) -> None:
        """Create the file, readable and writable by the user only, as are new directories.

        diskcache would unpickle values of others. SQLite gives its own further files the permissions of this one.
        """
        first, *others = self._directories
        Path(first).mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        for directory in others:
            Path(directory).mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, PRIVATE))
        self._open()[0].close()

    def _open(self) -> tuple[sqlite3.Connection, FileSettings]:
        connection = sqlite3.connect(self._path, timeout=SLICE, isolation_level=None, cached_statements=256)
        connection.text_factory = DECODE
        try:
            settings = self._settings(connection)
            for name, value in settings.pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection, settings

    def _settings(self, connection: sqlite3.Connection) -> FileSettings:
        """Return the settings in force: those that were given, and those of the file for all others."""
        settings = complete_settings(connection)
        if settings is None or not self._given.items() <= settings.items():
            try:
                settings = complete(connection, self._given)
            except sqlite3.OperationalError as error:
                if settings is None or "readonly" not in str(error):
                    raise
        return _in_force(connection, sound_settings({**settings, **self._given}))

    def count_culled(self, expired: int, evicted: int) -> None:
        """Add to the numbers of removed values; only the writing thread calls this."""
        self.expired += expired
        self.evicted += evicted

    def count_refused(self) -> None:
        """Count a value that can never fit, and log the first."""
        self.refused += 1
        if self.refused == 1:
            logger.warning("disk: a value is not stored, because it alone would take all of `size_limit`")

    # --- large values

    def new_name(self) -> str:
        """Return a name that no file has yet."""
        name, _ = self._disk.filename()
        return cast("str", name)

    def write(self, name: str, content: bytes) -> None:
        """Create the file of a new name with its content."""
        with self._created(self._path_of(name)) as file:
            file.write(content)

    def _created(self, path: Path) -> BinaryIO:
        for _ in range(TRIES):
            with suppress(FileNotFoundError):
                return _open_new(path)
            for directory in (path.parent.parent, path.parent):
                with suppress(FileExistsError, FileNotFoundError):
                    directory.mkdir(mode=PRIVATE_DIRECTORY)
        return _open_new(path)

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        :raises FileNotFoundError: if it has been removed
        """
        with self._path_of(name).open("rb", buffering=0) as file:
            return file.read()

    def has(self, name: str, size: int) -> bool:
        """Say whether a file exists in its full size."""
        try:
            return self._path_of(name).stat().st_size == size
        except OSError:
            return False

    def overwrite(self, name: str, at: int, content: bytes) -> None:
        """Replace some bytes of a file in place, if the file still exists."""
        with suppress(OSError), self._path_of(name).open("r+b") as file:
            file.seek(at)
            file.write(content)

    def remove(self, names: Iterable[str]) -> None:
        """Remove those of the files that exist, and the directories that are empty afterwards."""
        for path in [self._path_of(name) for name in names if is_name(name)]:
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()
                path.parent.parent.rmdir()

    def _path_of(self, name: str) -> Path:
        return Path(f"{self.directory}/{name.replace(BACKSLASH, '/')}")


def _open_new(path: Path) -> BinaryIO:
    """Create a file that only the user can read and write."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, PRIVATE), "wb")


def _in_force(connection: sqlite3.Connection, settings: Mapping[str, Any]) -> FileSettings:
    return FileSettings(
        size_limit=settings["size_limit"],
        cull_limit=settings["cull_limit"],
        eviction_policy=settings["eviction_policy"],
        min_file_size=settings["disk_min_file_size"],
        page_size=pragma(connection, "page_size"),
        reads_beside_writes=pragma(connection, "journal_mode") == "wal",
        pragmas={
            name[len("sqlite_") :]: value
            for name, value in settings.items()
            if name.startswith("sqlite_") and name not in LASTING
        },
    )


def is_name(name: object) -> bool:
    """Say whether diskcache could have given this name to the file of a value."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def is_sound(found: object) -> bool:
    """Say whether something from a file is text, and UTF-8 there."""
    return isinstance(found, str) and (found.isascii() or LONE.search(found) is None)


def encoded(text: str) -> bytes:
    """Return the bytes that text has in a file, also those that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def is_live(deadline: object, now: float) -> bool:
    """Say whether a deadline is yet to come. One that is no number has passed."""
    return deadline is None or (isinstance(deadline, (float, int)) and deadline > now)


def is_readable(mode: int, name: object) -> bool:
    """Say whether a value can be read: it is in its row, or in a file that diskcache could have named."""
    return mode == RAW if name is None else mode in (BINARY, TEXT) and is_name(name)


def count_shards(directory: str) -> int:
    """Return the number of files that the keys in a directory are spread over, 0 for none or an unsharded one.

    Directories are counted, because files are created only when they are needed. The first directory is created last,
    so a process that finds it finds all of them.
    """
    number = 0
    while Path(directory, f"{number:03}").is_dir():
        number += 1
    return number


def shard_of(key: str, shards: int) -> int:
    """Return the number of the file that a key belongs to, as diskcache computes it."""
    return adler32(key.encode()) % shards
