"""The options of ``disk://``, and where its files are."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, cast

from cashews.exceptions import WrongOptionError

OURS: Final = frozenset({"directory", "timeout", "shards", "size_limit", "suppress"})
"""The options that are no settings of a file of diskcache."""
LEAST: Final = {"shards": 0, "size_limit": 1, "cull_limit": 0, "disk_min_file_size": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOptions:
    """Where values are kept on disk, how many, and what happens when that fails.

    `directory`: where the files are, by default one of the user's own, see `own_directory()`. `timeout`: how many
    seconds a batch waits for another process that writes. `shards`: over how many files keys are spread, 0 for a single
    one; by default as many as there are in the directory. `suppress`: answer neutrally when the disk fails, instead of
    raising.

    The others are the settings of diskcache, which keeps them in the files: what is not given stays what it is there.
    `size_limit`: how many bytes the files may take until values are evicted by `eviction_policy`; `cull_limit`: how
    many leave at most for each that is stored, 0 for none. `disk_min_file_size`: from how many bytes on a value has a
    file of its own. `sqlite_max_page_count`: how many pages a file may have; writing fails then.
    `statistics`, `tag_index` and `disk_pickle_protocol` are kept for diskcache and have no effect here.
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
            self.place  # noqa: B018  whether it can be told
        except (RuntimeError, OSError) as error:
            raise WrongOptionError("directory", self.directory, f"a path that can be made out ({error})") from None
        if self.timeout < 0:
            raise WrongOptionError("timeout", self.timeout, "seconds from 0")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise WrongOptionError(name, value, f"an integer from {least}")

    @property
    def settings(self) -> Mapping[str, object]:
        """The settings of diskcache that are given."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in OURS}
        return {
            name: int(value) if isinstance(value, bool) else value for name, value in given.items() if value is not None
        }

    @property
    def place(self) -> str:
        """The directory, in full: another working directory later is no matter."""
        directory = own_directory() if self.directory is None else Path(os.fspath(self.directory)).expanduser()
        return os.fspath(Path(os.path.expandvars(directory)).absolute())


def own_directory() -> Path:
    """Return the directory of this user that caches of this package are in, unless another is given.

    It is ``cashews`` in ``%LOCALAPPDATA%``, ``~/Library/Caches`` or, elsewhere, ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cashews"
