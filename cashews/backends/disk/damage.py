"""Damage: how a file shows that it is no database of ours any more, and the names under which such files are kept."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

SIGNS: Final = ("malformed", "not a database", "unsupported file format", "no such column", "has no column")
"""Parts of SQLite's messages about a damaged file, or one with tables of another shape. Errors before Python 3.11 have
no code, and our statements never vary, so a missing column is the file's fault."""
COMPANIONS: Final = ("", "-wal", "-shm", "-journal")
"""The endings of the files that make up a database. SQLite ignores those that are left beside a new, empty file."""
MOST_KEPT: Final = 5
"""The most damaged files that are kept; a further one takes the place of the last of them."""


def is_damage(error: object) -> bool:
    """Say whether an error means that the content of a file is damaged.

    `UnicodeDecodeError` is one: only messages of SQLite are decoded strictly, and they quote the schema in the file.
    """
    if isinstance(error, UnicodeDecodeError):
        return True
    return isinstance(error, sqlite3.DatabaseError) and any(sign in str(error) for sign in SIGNS)


def set_aside(path: str) -> str:
    """Rename a database with its companions; returns the new path.

    :raises OSError: if it cannot be renamed
    """
    aside = _free_name(path)
    os.replace(path, aside)  # noqa: PTH105  paths are text here
    for ending in COMPANIONS[1:]:
        with suppress(OSError):
            os.replace(path + ending, aside + ending)  # noqa: PTH105  likewise
    return aside


def _free_name(path: str) -> str:
    names = [f"{path}.damaged{number}" for number in range(1, MOST_KEPT + 1)]
    return next((name for name in names if not Path(name).exists()), names[-1])
