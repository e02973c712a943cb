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
MALFORMED: Final = (TypeError, IndexError)
"""What becomes of replies that fit the protocol and make no sense: a list as the key of a map, an empty push."""

_pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


def pack(words: tuple[Word, ...]) -> bytes:
    """Return a command as bytes."""
    try:
        return _pack(words)
    except UnicodeEncodeError:
        return _pack(tuple([encoded(word) if isinstance(word, str) else word for word in words]))


def encoded(text: str) -> bytes:
    """Return text as the server keeps it; bytes that `decoded` has escaped become what they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a character
        return text.encode("utf-8", "surrogatepass")


def decoded(kept: bytes) -> str:
    """Return as text what the server keeps; bytes that are no UTF-8, which others may have written, are escaped."""
    return kept.decode("utf-8", "surrogateescape")


def parser() -> Parser:
    """Return a parser for one stream."""
    return cast("Parser", hiredis.Reader(notEnoughData=NOTHING))
