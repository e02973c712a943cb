"""The wire's form of commands, their arguments and replies, by hiredis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast

import hiredis
from anyio.lowlevel import checkpoint

from cashews._steps import STEP, slices_of
from cashews.backends.redis.failures import wrong_reply
from cashews.ttl import LONGEST

Word: TypeAlias = str | bytes | int | float


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

_pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]  untyped


def pack(words: tuple[Word, ...]) -> bytes:
    """Return a command as bytes."""
    try:
        return _pack(words)
    except UnicodeEncodeError:
        return _pack(tuple([encoded(word) if isinstance(word, str) else word for word in words]))


async def packed(words: tuple[Word, ...]) -> bytes:
    """Return a command as bytes; one of very many words is packed in slices, between which other tasks run."""
    if len(words) <= STEP:
        return pack(words)
    parts = [b"*%d\r\n" % len(words)]
    for part in slices_of(words):
        _, _, body = pack(tuple(part)).partition(b"\r\n")  # without its own number of words
        parts.append(body)
        await checkpoint()
    return b"".join(parts)


def encoded(text: str) -> bytes:
    """Return text as UTF-8, in which a lone surrogate has three bytes of its own: no two texts have the same bytes."""
    return text.encode("utf-8", "surrogatepass")


def text_of(stored: bytes) -> str | None:
    """Return the text that `encoded` has made these bytes of, `None` if they are of another program's making."""
    try:
        return stored.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


PING: Final = pack(("PING",))


def parser() -> Parser:
    """Return a parser for one line."""
    return cast("Parser", hiredis.Reader(notEnoughData=NOTHING))


def milliseconds(seconds: float) -> int:
    """Return a duration in milliseconds: at least one, unless no time is left."""
    return max(1, round(min(seconds, LONGEST) * 1000)) if seconds > 0 else 0


def lifetime(expire: float | None) -> int | str:
    """Return a duration as scripts take it: in milliseconds, an empty text for no expiry."""
    return "" if expire is None else milliseconds(expire)


# --- replies of one type


def integer(reply: object) -> int:
    """Return a reply that is an integer.

    :raises WrongReplyError: if it is anything else
    """
    if type(reply) is int:
        return reply
    raise wrong_reply(reply, "an integer")


def blob(reply: object) -> bytes:
    """Return a reply that is bytes.

    :raises WrongReplyError: if it is anything else
    """
    if type(reply) is bytes:
        return reply
    raise wrong_reply(reply, "bytes")


def blob_or_none(reply: object) -> bytes | None:
    """Return a reply that is bytes, or `None` for an absent value.

    :raises WrongReplyError: if it is anything else
    """
    return None if reply is None else blob(reply)


def number(reply: object) -> float:
    """Return a reply that is a number in decimal text.

    :raises WrongReplyError: if it is anything else
    """
    text = blob(reply)
    try:
        return float(text)
    except ValueError:
        raise wrong_reply(reply, "a number") from None


def array(reply: object, size: int | None = None) -> list[Any]:
    """Return a reply that is a list or a set, of this size if one is given, as a list.

    :raises WrongReplyError: if it is anything else
    """
    if reply.__class__ in {list, set} and (size is None or len(cast("list[Any]", reply)) == size):
        return list(cast("list[Any]", reply))
    raise wrong_reply(reply, "a list" if size is None else f"a list of {size}")


def is_done(reply: object) -> bool:
    """Say whether a reply means that a command was carried out: "OK"; `None` is the reply for the contrary.

    :raises WrongReplyError: if it is anything else
    """
    if reply is None or reply == b"OK":
        return reply is not None
    raise wrong_reply(reply, "OK")
