"""The files of diskcache: its schema, its settings, its files for large values. Nothing is pickled or unpickled.

diskcache makes a file (see `making`) and names those of large values; what stands in its table is read and written by
statements of our own. What it has pickled itself (a value of mode `PICKLED`) is absent here: whoever can write to the
directory could have it run code (CVE-2025-69872).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final, TypeAlias, cast
from zlib import adler32

from diskcache import core  # pyright: ignore[reportMissingTypeStubs]

from cashews.backends.disk.schema import LASTING, make, pragma, settings_of
from cashews.backends.disk.waiting import SLICE, Waiting, patiently

Stored: TypeAlias = bytes | str | int | float
"""What diskcache keeps as it is."""
Sql: TypeAlias = Callable[..., sqlite3.Cursor]
Identity: TypeAlias = tuple[int, int]
"""What tells one file from another that has had, or will have, the same path."""

RAW, BINARY, TEXT, PICKLED = 1, 2, 3, 4
"""The modes of a value: in its row, in a file of its own as bytes or as text, pickled by diskcache."""
TOUCHES: Final = 10_000
"""How many readings are remembered at most until the next batch of writes takes note of them."""

NAME: Final = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
"""How diskcache names the file of a value. What a row names otherwise is none of ours, whoever has written that."""
BACKSLASH: Final = "\\"
TRIES: Final = 10
"""How often we try to create a file whose directory somebody else removes, since it is empty."""

_POLICIES = cast("Mapping[str, Mapping[str, str | None]]", core.EVICTION_POLICY)


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

    def __init__(
        self, directory: str, given: Mapping[str, object], patience: float, directories: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self._path = os.fspath(Path(directory, core.DBNAME))
        self._given = given
        self.patience = patience
        """How many seconds we wait for another process that writes."""
        self._directories = directories or (directory,)
        """Which directories there have to be before the file, in the order in which we make them."""
        self._lock = Lock()
        """Held while a connection is made: some settings can be changed only by whoever is alone."""
        self._disk: Any = core.Disk(directory)
        self.touched: deque[tuple[int, float]] = deque(maxlen=TOUCHES)
        """Which rows were read, and when: for an eviction policy that wants to know."""
        self.expired = self.evicted = 0
        """How many values have been culled from here, and why."""

    def identity(self) -> Identity | None:
        """Return which file it is that has our path now."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  asked for each batch
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def connect(self, waiting: Waiting) -> tuple[sqlite3.Connection, FileSettings, Identity | None]:
        """Open a connection, after having made the file if that is needed; returns also to which file.

        :raises BusyError: if another process is in the way for longer than our patience
        :raises sqlite3.Error: if it cannot be opened
        :raises OSError: likewise
        """
        return patiently(self._connect, self.patience, waiting)

    def _connect(self) -> tuple[sqlite3.Connection, FileSettings, Identity | None]:
        with self._lock:
            if self.identity() is None:
                self._create()
            identity = self.identity()  # before: whoever opens another one then will notice
            connection, settings = self._open()
        return connection, settings, identity

    def _create(self) -> None:
        """Make the file. A directory that we make is nobody else's: who can write to it can have code run."""
        first, *others = self._directories
        Path(first).mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in others:
            Path(directory).mkdir(mode=0o700, exist_ok=True)
        self._open()[0].close()

    def _open(self) -> tuple[sqlite3.Connection, FileSettings]:
        connection = sqlite3.connect(self._path, timeout=SLICE, isolation_level=None, cached_statements=256)
        try:
            settings = self._settings(connection)
            for name, value in settings.pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection, settings

    def _settings(self, connection: sqlite3.Connection) -> FileSettings:
        """Return the settings that hold for us: those of the file, and before them those that were given."""
        settings = settings_of(connection)
        if settings is None or not self._given.items() <= settings.items():
            try:
                settings = make(connection, self._given)
            except sqlite3.OperationalError as error:
                if settings is None or "readonly" not in str(error):
                    raise
        return _in_force(connection, {**settings, **self._given})

    def count_culled(self, expired: int, evicted: int) -> None:
        """Count values that have left; asked by the one thread that writes."""
        self.expired += expired
        self.evicted += evicted

    # --- large values

    def new_name(self) -> str:
        """Return the name of a file that is not there yet."""
        name, _ = self._disk.filename()
        return cast("str", name)

    def write(self, name: str, content: bytes) -> None:
        """Write the file of a new name."""
        with self._created(self._place_of(name)) as file:
            file.write(content)

    def _created(self, path: Path) -> BinaryIO:
        for _ in range(TRIES):
            with suppress(FileNotFoundError):
                return path.open("xb")
            for directory in (path.parent.parent, path.parent):
                with suppress(FileExistsError, FileNotFoundError):
                    directory.mkdir()
        return path.open("xb")

    def read(self, name: str) -> bytes:
        """Read a file.

        :raises FileNotFoundError: if it is there no more
        """
        with self._place_of(name).open("rb", buffering=0) as file:
            return file.read()

    def overwrite(self, name: str, at: int, content: bytes) -> None:
        """Change some bytes of a file in place, if it is still there."""
        with suppress(OSError), self._place_of(name).open("r+b") as file:
            file.seek(at)
            file.write(content)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there, and the directories that are empty then."""
        for path in [self._place_of(name) for name in names if is_name(name)]:
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()
                path.parent.parent.rmdir()

    def _place_of(self, name: str) -> Path:
        return Path(f"{self.directory}/{name.replace(BACKSLASH, '/')}")


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
    """Say whether a file of a value can have this name."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def is_readable(mode: int, name: object) -> bool:
    """Say whether a value is kept in a way that we read: in its row, or in a file that diskcache can have named."""
    return mode == RAW if name is None else mode in (BINARY, TEXT) and is_name(name)


def found_shards(directory: str) -> int:
    """Return over how many files keys are spread in a directory, 0 if it has none or a single one.

    Directories are counted, since files are made when they are needed. Whoever sees the first directory sees them all.
    """
    number = 0
    while Path(directory, f"{number:03}").is_dir():
        number += 1
    return number


def shard_of(key: str, shards: int) -> int:
    """Return in which of several files a key is: the same as to diskcache."""
    return adler32(key.encode()) % shards
