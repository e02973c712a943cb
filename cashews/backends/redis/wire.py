"""The wire's form of commands, their arguments and replies, by hiredis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast

import hiredis

from cashews.exceptions import WrongArgumentError

Word: TypeAlias = str | bytes | int | float

CHUNK: Final = 65_536
"""The most bytes that one read takes from a stream."""


class Parser(Protocol):
    """An incremental parser: bytes go in, replies come out, and `NOTHING` while no reply is complete."""

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
"""Errors of the parser at replies that fit the protocol and make no sense: a list as a map's key, an empty push."""

_pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


def pack(words: tuple[Word, ...]) -> bytes:
    """Return a command as bytes."""
    try:
        return _pack(words)
    except UnicodeEncodeError:
        return _pack(tuple([encoded(word) if isinstance(word, str) else word for word in words]))


def encoded(text: str) -> bytes:
    """Return text as UTF-8. Bytes that `decoded` has escaped become the same bytes again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a character
        return text.encode("utf-8", "surrogatepass")


def decoded(stored: bytes) -> str:
    """Return stored bytes as text. Bytes that are no UTF-8, which other programs may have written, are escaped."""
    return stored.decode("utf-8", "surrogateescape")


def parser() -> Parser:
    """Return a parser for one stream."""
    return cast("Parser", hiredis.Reader(notEnoughData=NOTHING))


def milliseconds(seconds: float) -> int:
    """Return a duration in milliseconds: at least one, unless no time is left."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def lifetime(expire: float | None) -> int | str:
    """Return a duration as scripts take it: in milliseconds, an empty text for no expiry."""
    return "" if expire is None else milliseconds(expire)


def raw(value: object) -> bytes | str | int | float:
    """Return a value that can be stored without encoding it.

    :raises WrongArgumentError: if it cannot
    """
    if isinstance(value, (bytes, str, int, float)):
        return value
    raise WrongArgumentError("value", value, "bytes, text or a number")
