"""Conditional and range requests, answered from a stored response (RFC 9110, 13 and 14; RFC 9111, 4.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cashews._dataclass import dataclass
from cashews.contrib.http.dates import parse_date
from cashews.contrib.http.fields import Fields, Pairs
from cashews.contrib.http.record import StoredResponse

CONDITIONS: Final = frozenset({"if-none-match", "if-modified-since"})
"""The conditions that a cache evaluates itself (RFC 9111, 4.3.2)."""

_ENTITY_TAG: Final = re.compile(r'(W/)?("[!#-~\x80-\xff]*")')
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_OK: Final = 200
_REDIRECTION: Final = 300
_KEPT_IN_304: Final = frozenset({"cache-control", "content-location", "date", "etag", "expires", "vary"})
"""The fields of a 304 (RFC 9110, 15.4.5)."""
_SHARED_ACROSS_ORIGINS: Final = "access-control-"
"""A browser checks the fields of the 304 itself before it lets another origin have the stored response."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range of bytes that a body has, from `first` up to `last`."""

    first: int
    last: int

    def content_range(self, length: int) -> bytes:
        """Return the value of Content-Range (RFC 9110, 14.4)."""
        return b"bytes %d-%d/%d" % (self.first, self.last, length)


class Unsatisfiable(ByteRange):
    """A range that lies behind the end of the body."""

    def content_range(self, length: int) -> bytes:
        return b"bytes */%d" % length


UNSATISFIABLE: Final = Unsatisfiable(0, 0)


def entity_tags(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the entity tags of a list: whether each is weak, and its opaque text (RFC 9110, 8.8.3)."""
    for found in _ENTITY_TAG.finditer(text):
        yield found[1] is not None, found[2]


def entity_tag(text: str | None) -> tuple[bool, str] | None:
    """Return one entity tag; `None` if there is none."""
    found = _ENTITY_TAG.fullmatch(text) if text is not None else None
    return found and (found[1] is not None, found[2])


def not_modified(request: Fields, status: int, response: Fields, now: float) -> bool:
    """Say whether the client has the response: If-None-Match counts before If-Modified-Since (RFC 9110, 13.2.2).

    Entity tags are compared weakly (13.1.2).
    """
    if not _OK <= status < _REDIRECTION:
        return False
    if (wanted := request.get("if-none-match")) is not None:
        if wanted == "*":
            return True
        tag = entity_tag(response.get("etag"))
        return tag is not None and any(opaque == tag[1] for _, opaque in entity_tags(wanted))
    since = parse_date(request.get("if-modified-since") or "", now)
    modified = parse_date(response.get("last-modified") or "", now)
    return since is not None and modified is not None and modified <= since


def part_of(request: Fields, status: int, response: Fields, length: int, now: float) -> ByteRange | None:
    """Return the single range of the body that a request wants; `None` for the whole (RFC 9110, 14.2)."""
    text = request.get("range")
    if text is None or status != _OK or not _unchanged(request.get("if-range"), response, now):
        return None
    found = _RANGE.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        suffix = min(int(found[2]), length)
        return ByteRange(length - suffix, length - 1) if suffix else UNSATISFIABLE
    first = int(found[1])
    last = min(int(found[2]), length - 1) if found[2] else length - 1
    if found[2] and int(found[2]) < first:
        return None
    return ByteRange(first, last) if first < length else UNSATISFIABLE


def _unchanged(wanted: str | None, response: Fields, now: float) -> bool:
    """Say whether If-Range holds, by a strong entity tag or a date that is a strong validator (RFC 9110, 13.1.5)."""
    if wanted is None:
        return True
    tag = entity_tag(wanted)
    if tag is not None:
        return not tag[0] and tag == entity_tag(response.get("etag"))
    modified, date = parse_date(response.get("last-modified") or "", now), parse_date(response.get("date") or "", now)
    exact = modified is not None and modified == parse_date(wanted, now)
    return exact and date is not None and modified is not None and date - modified >= 1


def validators(stored: StoredResponse) -> Pairs:
    """Return the conditions that ask whether a stored response still holds (RFC 9111, 4.3.1)."""
    fields = stored.fields()
    pairs: list[tuple[bytes, bytes]] = []
    for name, condition in (("etag", b"if-none-match"), ("last-modified", b"if-modified-since")):
        if value := fields.get(name):
            pairs.append((condition, value.encode("latin-1")))
    return tuple(pairs)


def is_confirmed(stored: StoredResponse, update: Fields) -> bool:
    """Say whether a 304 is about a stored response, and not about another (RFC 9111, 4.3.4)."""
    fields = stored.fields()
    for name in ("etag", "last-modified"):
        if (new := update.get(name)) is not None:
            if name == "etag" and (tag := entity_tag(new)) is not None:
                own = entity_tag(fields.get(name))
                return own is not None and (own[1] == tag[1] if tag[0] else own == tag)
            return new == fields.get(name)
    return True


def pairs_of_304(pairs: Pairs) -> Pairs:
    """Return the fields of a response that its 304 has, too."""
    named = [(pair, pair[0].decode("latin-1").lower()) for pair in pairs]
    return tuple([pair for pair, name in named if name in _KEPT_IN_304 or name.startswith(_SHARED_ACROSS_ORIGINS)])
