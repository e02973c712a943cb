"""Stored responses as values: bytes of a form of their own, one for each URL or for each of its variants.

Bytes are kept as they are by every store, whatever its codec and with or without a secret; a form that is cut off or
damaged is recognised and counts as absent.
"""

from __future__ import annotations

import enum
from struct import Struct
from struct import error as struct_error
from typing import Any, Final
from zlib import crc32

from cashews._dataclass import dataclass, replace
from cashews.contrib.http.fields import Fields, Pairs

_RESPONSE: Final = b"\0hr1"
_VARIANTS: Final = b"\0hv1"
_HEAD: Final = Struct(">4sIHBddddIIQ")
"""The form, the checksum, status, flags, the four times, the sizes of fields, of tags, and of the body."""
_CHECKED: Final = 8
"""Where the checked bytes begin: after the form and the checksum."""
_VARIANTS_HEAD: Final = Struct(">4sI")
_LINE: Final = b"\n"
"""Stands between names, values and tags: a field that has one in it is not kept."""


class Reuse(enum.IntFlag):
    """Limits of a stored response's reuse, besides its lifetime."""

    FREELY = 0
    VALIDATED = 1
    """Never without asking the application (RFC 9111, 5.2.2.4)."""
    NEVER_STALE = 2
    """Not when it is stale (RFC 9111, 4.2.4)."""
    PURGED = 4
    """Purged softly: stale from now on, and served once more while a new one is loaded."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response to GET as it is stored.

    `born` is the wall time at which its age was 0. `lifetime` is how many seconds from then it is fresh, `while_stale`
    and `on_error` for how many more it may be served while a new one is loaded, and where that fails.
    """

    status: int
    pairs: Pairs
    body: bytes
    born: float
    lifetime: float
    while_stale: float = 0.0
    on_error: float = 0.0
    reuse: Reuse = Reuse.FREELY
    tags: tuple[str, ...] = ()

    def age(self, now: float) -> float:
        """Return its age (RFC 9111, 4.2.3)."""
        return max(0.0, now - self.born)

    def left(self, now: float) -> float:
        """Return for how many seconds it is fresh from an age on that is counted in whole seconds, as the field is."""
        return self.lifetime - int(self.age(now))

    def softened(self) -> StoredResponse:
        """Return it as one that was purged softly."""
        return replace(self, reuse=self.reuse | Reuse.PURGED)

    def with_body(self, body: bytes) -> StoredResponse:
        """Return it with a body."""
        return replace(self, body=body)

    def fields(self) -> Fields:
        """Return its fields, to look up."""
        return Fields(self.pairs)

    def pack(self) -> bytes:
        """Return its bytes."""
        lines = _LINE.join([part for pair in self.pairs for part in pair])
        tags = _LINE.join([tag.encode("utf-8", "surrogatepass") for tag in self.tags])
        times = (self.born, self.lifetime, self.while_stale, self.on_error)
        sizes = (len(lines), len(tags), len(self.body))
        head = _HEAD.pack(_RESPONSE, 0, self.status, int(self.reuse), *times, *sizes)
        checksum = crc32(tags, crc32(lines, crc32(head[_CHECKED:])))
        return b"".join((_RESPONSE, checksum.to_bytes(4, "big"), head[_CHECKED:], lines, tags, self.body))


@dataclass(frozen=True, slots=True)
class Variants:
    """The stored value of a URL whose responses vary: the names of the selecting fields, in order.

    The responses are stored under the `generation`; without this value none of them is found any more.
    """

    names: tuple[str, ...]
    generation: str

    def pack(self) -> bytes:
        """Return its bytes."""
        lines = "\n".join((self.generation, *self.names)).encode("utf-8", "surrogatepass")
        return _VARIANTS_HEAD.pack(_VARIANTS, crc32(lines)) + lines


def unpack(stored: object) -> StoredResponse | Variants | None:
    """Return the value of stored bytes; `None` if they are damaged, or something else."""
    if not isinstance(stored, bytes):
        return None
    try:
        if stored.startswith(_RESPONSE):
            return _response(stored)
        if stored.startswith(_VARIANTS):
            return _variants(stored)
    except (struct_error, IndexError, ValueError):  # cut off, or damaged in a way that the checksum misses
        return None
    return None


def _response(stored: bytes) -> StoredResponse | None:
    head: tuple[Any, ...] = _HEAD.unpack_from(stored)
    checksum, status, reuse, born, lifetime, while_stale, on_error, size, tags_size, body_size = head[1:]
    tags_at = _HEAD.size + size
    body_at = tags_at + tags_size
    if len(stored) != body_at + body_size or crc32(stored[_CHECKED:body_at]) != checksum:
        return None
    parts = stored[_HEAD.size : tags_at].split(_LINE) if size else []
    pairs = tuple(zip(parts[::2], parts[1::2], strict=True))
    tags: tuple[str, ...] = ()
    if tags_size:
        tags = tuple(stored[tags_at:body_at].decode("utf-8", "surrogatepass").split("\n"))
    return StoredResponse(
        status, pairs, stored[body_at:], born, lifetime, while_stale, on_error, reuse=_REUSES[int(reuse)], tags=tags
    )


_REUSES: Final[tuple[Reuse, ...]] = tuple([Reuse(flags) for flags in range(8)])
"""Every combination of flags; the enum would work it out anew at each call."""


def _variants(stored: bytes) -> Variants | None:
    _, checksum = _VARIANTS_HEAD.unpack_from(stored)
    lines = stored[_VARIANTS_HEAD.size :]
    if crc32(lines) != checksum:
        return None
    generation, *names = lines.decode("utf-8", "surrogatepass").split("\n")
    return Variants(tuple(names), generation)
