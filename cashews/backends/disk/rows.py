"""The rows of a file that turns read: a value of diskcache's table, a structure of ours."""

from __future__ import annotations

from typing import NamedTuple

from cashews.backends.disk.files import Stored


class ValueRow(NamedTuple):
    """A value as a row of diskcache's table."""

    rowid: int
    deadline: float | None
    mode: int
    filename: str | None
    value: Stored | None
    size: int
    """The bytes of its file."""


class StructureRow(NamedTuple):
    """A structure as a row of our table."""

    rowid: int
    kind: str
    deadline: float | None
    content: bytes | int | None
