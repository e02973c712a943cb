"""The slots of a cluster: the slot of each key, and a short name for each slot."""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache
from itertools import count, product
from string import ascii_lowercase, digits
from typing import Final

from cashews.backends.redis.wire import encoded

SLOTS: Final = 16_384
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
