"""The options of ``disk://``, and the directory of its files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, cast

from cashews._dataclass import dataclass, fields
from cashews.exceptions import WrongOptionError

OURS: Final = frozenset({"directory", "timeout", "shards", "size_limit", "suppress"})
"""The options of this package; all others are settings of diskcache, stored in the file."""
MINIMA: Final = {"shards": 0, "size_limit": 1, "cull_limit": 0, "disk_min_file_size": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOptions:
    """The options of a store on disk: its directory, its limits, and its behaviour when the disk fails.

    * `directory`: the directory of the files; by default one in the user's own cache folder, see `own_directory()`.
    * `timeout`: the seconds that a batch waits for another process that writes.
    * `shards`: the number of files that keys are spread over, 0 for a single file; by default the number found in the
      directory.
    * `suppress`: answer neutrally when the disk fails, instead of raising.

    The other options are settings of diskcache, which stores them in each file; an option that is not given keeps the
    value that it has there.

    * `size_limit`: the bytes that all files together may take before values are evicted.
    * `eviction_policy`: the order in which values are evicted.
    * `cull_limit`: the most values that are removed for each value that is stored; 0 removes none.
    * `disk_min_file_size`: the size in bytes from which a value gets a file of its own.
    * `sqlite_...`: pragmas of SQLite. At `sqlite_max_page_count` pages a file is full, and writing fails.
    * `statistics`, `tag_index` and `disk_pickle_protocol` are stored for diskcache and have no effect here.
    """

    directory: str | os.PathLike[str] | None = None
    timeout: float = 5.0
    shards: int | None = None
    suppress: bool = True
    size_limit: int = 2**30
    eviction_policy: Literal["least-recently-stored", "least-recently-used", "least-frequently-used", "none"] | None = (
        None
    )
    cull_limit: int | None = None
    statistics: bool | None = None
    tag_index: bool | None = None
    disk_min_file_size: int | None = None
    disk_pickle_protocol: int | None = None
    sqlite_auto_vacuum: int | None = None
    sqlite_cache_size: int | None = None
    sqlite_journal_mode: Literal["wal", "delete", "truncate", "persist"] | None = None
    sqlite_mmap_size: int | None = None
    sqlite_synchronous: int | None = None
    sqlite_max_page_count: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.directory), (str, os.PathLike, type(None))):
            raise WrongOptionError("directory", self.directory, "a path")
        try:
            self.path  # noqa: B018  fails for a home directory that nobody knows
        except (RuntimeError, OSError) as error:
            raise WrongOptionError("directory", self.directory, f"a path that can be made out ({error})") from None
        if self.timeout < 0:
            raise WrongOptionError("timeout", self.timeout, "seconds from 0")
        for name, least in MINIMA.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise WrongOptionError(name, value, f"an integer from {least}")

    @property
    def settings(self) -> Mapping[str, object]:
        """The settings of diskcache that were given, in the types that its table holds."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in OURS}
        return {
            name: int(value) if isinstance(value, bool) else value for name, value in given.items() if value is not None
        }

    @property
    def path(self) -> str:
        """The absolute path of the directory, so that a later change of the working directory has no effect."""
        directory = own_directory() if self.directory is None else Path(os.fspath(self.directory)).expanduser()
        return os.fspath(Path(os.path.expandvars(directory)).absolute())


def own_directory() -> Path:
    """Return the default directory of caches on disk, which is in the user's own cache folder.

    It is ``cashews`` in ``%LOCALAPPDATA%``, ``~/Library/Caches`` or, elsewhere, ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cashews"
