"""The slots of a cluster: the slot of each key, a short name for each slot, and the tables that nodes have of them."""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache
from itertools import count, product
from string import ascii_lowercase, digits
from typing import Final, NamedTuple

from redis.exceptions import ConnectionError  # noqa: A004  it is that one

from cashews.backends.redis.failures import wrong_reply
from cashews.backends.redis.wire import array, blob, encoded, integer, pack

SLOTS: Final = 16_384
SLOTS_OF: Final = pack(("CLUSTER", "SLOTS"))
PORTS: Final = range(1, 65_536)
_LETTERS: Final = (digits + ascii_lowercase).encode()


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key: of the text in its first braces, if there is some, else of the whole key."""
    name = key if isinstance(key, bytes) else encoded(key)
    begin = name.find(b"{")
    if begin >= 0:
        end = name.find(b"}", begin + 1)
        if end > begin + 1:
            name = name[begin + 1 : end]
    return crc_hqx(name, 0) % SLOTS


@cache
def anchors() -> tuple[bytes, ...]:
    """Return a beginning for each slot: a key that begins with it lies in that slot, whatever braces follow."""
    found: dict[int, bytes] = {}
    for size in count(1):
        for letters in product(_LETTERS, repeat=size):
            name = bytes(letters)
            found.setdefault(crc_hqx(name, 0) % SLOTS, b"{%b}" % name)
        if len(found) == SLOTS:
            break
    return tuple([found[slot] for slot in range(SLOTS)])


class Range(NamedTuple):
    """Slots that follow each other, and the place of their master."""

    slots: range
    host: str
    """Empty for the host of the node that was asked."""
    port: int


def ranges_in(reply: object) -> list[Range]:
    """Return the ranges in a reply to `CLUSTER SLOTS`.

    :raises ConnectionError: if no slot has a master: the node is alone, as after a reset
    :raises WrongReplyError: if the reply is no table of slots
    """
    try:
        ranges = [
            Range(range(integer(first), integer(last) + 1), "" if host is None else _name(host), integer(port))
            for first, last, (host, port, *_), *_ in array(reply)
        ]
    except (TypeError, ValueError):  # other numbers of parts
        raise wrong_reply(reply, "a table of slots") from None
    if not ranges:
        message = "it knows of no slots"
        raise ConnectionError(message)
    if not all(0 <= slots.start < slots.stop <= SLOTS and port in PORTS for slots, _, port in ranges):
        raise wrong_reply(reply, "a table of slots and ports that there are")
    return ranges


def _name(host: object) -> str:
    return blob(host).decode("utf-8", "replace")
