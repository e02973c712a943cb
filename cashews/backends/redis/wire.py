"""The wire's form of commands and replies, by hiredis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast

import hiredis

Word: TypeAlias = str | bytes | int | float

CHUNK: Final = 65_536
"""The most bytes that are read at once."""


class Parser(Protocol):
    """What takes bytes in and gives replies out, `NOTHING` while none is complete."""

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        ...

    def gets(self) -> Any:
        """Return the next reply."""
        ...


class NothingType:
    """The type of `NOTHING`."""


NOTHING: Final = NothingType()

pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]
"""Return a command as bytes."""


def parser() -> Parser:
    """Return a parser for one stream."""
    return cast("Parser", hiredis.Reader(notEnoughData=NOTHING))
