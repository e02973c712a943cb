"""The layout of a database: the names of keys, ours among them, and the form in which a value carries its tags.

::

    a user's key          a value, behind a head if it carries tags; or a structure
    lock, FF "lock"       the token of the lock's holder
    lock, FF "fence"      the last fencing number of the lock
    tag, FF "tag"         the index of a tag, a sorted set: members are keys, scores are deadlines in milliseconds
    tag, FF "deleted"     the record of a tag's deletion: its instant in microseconds of the server
    tag, FF "roster"      on a cluster the roster of a tag: the slots that may have values with the tag
    tag, FF "raised"      on a cluster the instant of the last deletion, for slots that are not in the roster
    FF "clock"            on a cluster the clock of all deletions

FF is the byte 255, which no text has in its encoded form: so no key of a user's is one of ours, whatever its text. And
a name of ours begins with the name that a middleware has made of a lock or tag: under a prefix, all keys have it.

On a cluster a key of ours begins with an anchor as well: the short name of a slot in braces (`slots`), so that it lies
in the slot of its user's key. An index and a record lie beside the values, one of each in every slot that has values
of the tag; a roster lies beside its tag. There a record also has the number and the end of the slot's membership in
the roster (`lua/shared/memberships.lua`).

A head is NUL "G", the size of the head (4 bytes), and each tag with its size before it (4 bytes). So a value and its
tags are written, overwritten, expired, evicted and deleted as one. An index says only where to look. It may have stale
members, and nothing is deleted that does not carry the tag; no live value is missing from the indexes of its tags. An
index lives a second longer than its last member, a record for an hour (`lua/shared/tags.lua`). The last fencing number
of a lock lives an hour longer than the lock, for the case that the clock of the server is set back meanwhile.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from cashews.backends.redis.wire import Word, encoded
from cashews.exceptions import WrongArgumentError

LOCK: Final = b"\xfflock"
FENCE: Final = b"\xfffence"
INDEX: Final = b"\xfftag"
DELETED: Final = b"\xffdeleted"
ROSTER: Final = b"\xffroster"
RAISED: Final = b"\xffraised"
CLOCK: Final = b"\xffclock"
OURS: Final = (LOCK, FENCE, INDEX, DELETED, ROSTER, RAISED, CLOCK)
"""The ends of the names that no user's key has."""
HEAD: Final = b"\0G"
"""The first bytes of a head; none of the serializer's forms begins with them."""

_SIZE: Final = Struct(">I")
_START: Final = len(HEAD) + _SIZE.size


def lock_key(name: str, anchor: bytes = b"") -> bytes:
    """Return the key of a lock, which is also the channel of its releases."""
    return anchor + encoded(name) + LOCK


def fence_key(name: str, anchor: bytes = b"") -> bytes:
    """Return the key of the last fencing number of a lock."""
    return anchor + encoded(name) + FENCE


def index_key(tag: bytes, anchor: bytes = b"") -> bytes:
    """Return the key of the index of a tag."""
    return anchor + tag + INDEX


def record_key(tag: bytes, anchor: bytes) -> bytes:
    """Return the key of the record of a tag's deletion."""
    return anchor + tag + DELETED


def roster_keys(tag: bytes, anchor: bytes) -> tuple[bytes, bytes]:
    """Return the keys of the roster of a tag, and of the instant of its last deletion."""
    return anchor + tag + ROSTER, anchor + tag + RAISED


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


def raw(value: object) -> Word:
    """Return the stored form of a raw value. One that looks like a head gets an empty head, which reading takes off.

    :raises WrongArgumentError: if the value is neither bytes, nor text, nor a number
    """
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, (bytes, str)):
        raise WrongArgumentError("value", type(value), "bytes, text or a number")
    stored = encoded(value) if isinstance(value, str) else value
    return headed(stored, ()) if stored.startswith(HEAD) else stored
