"""The layout of a database: which keys are ours, and how a value says which tags it carries.

::

    a user's key               a value, behind a head if it carries tags; or a structure
    cashews/lock/ + name       the token of the lock's holder
    cashews/fence              the last fencing number
    cashews/tag/keys/ + tag    the index of a tag, a sorted set: members are keys, scores are deadlines in milliseconds
    cashews/tag/deleted/ + tag the record of a tag's deletion: its instant in microseconds of the server

A head is NUL "G", the size of the head (4 bytes), and each tag with its size before it (4 bytes). So a value and its
tags are written, overwritten, expired, evicted and deleted as one. An index says only where to look. It may have stale
members, and nothing is deleted that does not carry the tag; no live value is missing from the indexes of its tags. An
index lives a second longer than its last member, a record for an hour (`lua/shared/tags.lua`).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from cashews.backends.redis.wire import encoded

LOCKS: Final = "cashews/lock/"
FENCE: Final = "cashews/fence"
"""The key of the last fencing number. No lock has this key, not even the one with the empty name."""
TAGS: Final = "cashews/tag/"
INDEX: Final = TAGS + "keys/"
INTERNAL: Final = (LOCKS, FENCE, TAGS)
"""Prefixes of the keys that users do not see."""
HEAD: Final = b"\0G"
"""The first bytes of a head; none of the serializer's forms begins with them."""

_SIZE: Final = Struct(">I")
_START: Final = len(HEAD) + _SIZE.size


def headed(value: bytes, tags: tuple[str, ...]) -> bytes:
    """Return the bytes of a value behind a head that names its tags."""
    names = [encoded(tag) for tag in tags]
    body = b"".join([_SIZE.pack(len(name)) + name for name in names])
    return b"".join((HEAD, _SIZE.pack(_START + len(body)), body, value))


def bare(stored: bytes) -> bytes:
    """Return the bytes of a value without its head, the same object if it has none."""
    if not stored.startswith(HEAD) or len(stored) < _START:
        return stored
    (size,) = _SIZE.unpack_from(stored, len(HEAD))
    return stored[size:] if _START <= size <= len(stored) else stored
