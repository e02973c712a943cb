"""Orphans: files of large values that no row names. A process that is killed between file and row leaves one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from cashews.backends.disk.files import NAME, Sql

AGE: Final = 3_600.0
"""The age in seconds from which a file counts as an orphan: diskcache writes a file before the row that names it."""
MOST_FILES: Final = 100
"""The most files and directories that one call of `find()` examines."""
HEX: Final = re.compile("[0-9a-f]{2}")
NAMED: Final = "SELECT 1 FROM Cache WHERE filename IN (?, ?)"


class Orphans:
    """One walk through the files of large values, a few files at each call."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._paths = _walk(directory)

    def find(self, sql: Sql, now: float) -> list[str]:
        """Return the orphans among the next files. The caller holds the write lock, so no row appears meanwhile."""
        names = islice(self._paths, MOST_FILES)
        return [name for name in names if self._is_old(name, now) and not _is_named(name, sql)]

    def _is_old(self, name: str, now: float) -> bool:
        if NAME.fullmatch(name) is None:
            return False
        try:
            return (self._directory / name).stat().st_mtime <= now - AGE
        except OSError:
            return False


def _is_named(name: str, sql: Sql) -> bool:
    """Say whether a row names a file, with the path separator of either operating system."""
    return sql(NAMED, (name, name.replace("/", "\\"))).fetchone() is not None


def _walk(directory: str) -> Iterator[str]:
    """Yield every path that may be the file of a large value, and the directories above it."""
    for first in filter(HEX.fullmatch, _listed(directory)):
        yield first
        for second in _listed(directory, first):
            yield f"{first}/{second}"
            for name in _listed(directory, first, second):
                yield f"{first}/{second}/{name}"


def _listed(*parts: str) -> list[str]:
    try:
        return [path.name for path in Path(*parts).iterdir()]
    except OSError:
        return []
