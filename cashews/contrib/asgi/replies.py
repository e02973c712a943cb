"""Answers from the store: whole, as 304, as a range, and without a body (RFC 9110, 9.3.2, 14.2 and 15.4.5)."""

from __future__ import annotations

from typing import Final

from cashews._dataclass import dataclass
from cashews.contrib.asgi._types import Send
from cashews.contrib.http.conditions import ByteRange, Unsatisfiable, not_modified, pairs_of_304, part_of
from cashews.contrib.http.fields import Fields, Pairs
from cashews.contrib.http.record import StoredResponse
from cashews.contrib.http.status import CacheStatus

_LENGTHS: Final = frozenset({"content-length", "content-range"})
_GATEWAY_TIMEOUT: Final = 504


@dataclass(frozen=True, slots=True)
class StatusSigner:
    """The way in which a cache tells of itself: its name, and whether at all, with keys and details or without."""

    name: str = "cashews"
    shown: bool = True
    full: bool = False

    def pairs(self, status: CacheStatus, key: str) -> Pairs:
        """Return the field for one response."""
        if not self.shown:
            return ()
        status.key = key if self.full else None
        return ((b"cache-status", status.member(self.name)),)


async def send_stored(
    send: Send, stored: StoredResponse, request: Fields, now: float, added: Pairs, *, head: bool, chunk: int
) -> None:
    """Answer a request with a stored response, as the request wants it."""
    pairs = (*stored.pairs, (b"age", b"%d" % stored.age(now)), *added)
    status, body = stored.status, stored.body
    if "if-none-match" in request or "if-modified-since" in request or "range" in request:
        fields = stored.fields()
        part = None if head else part_of(request, status, fields, len(body), now)
        if not_modified(request, status, fields, now):
            status, pairs, body = 304, (*pairs_of_304(stored.pairs), *pairs[-1 - len(added) :]), b""
        elif part is not None:
            status, pairs, body = _partial(part, pairs, body)
    await send_whole(send, status, pairs, b"" if head else body, chunk)


def _partial(part: ByteRange, pairs: Pairs, body: bytes) -> tuple[int, Pairs, bytes]:
    unsatisfiable = isinstance(part, Unsatisfiable)
    rest = b"" if unsatisfiable else body[part.first : part.last + 1]
    lengths = ((b"content-range", part.content_range(len(body))), (b"content-length", b"%d" % len(rest)))
    return 416 if unsatisfiable else 206, (*Fields(pairs).without(_LENGTHS), *lengths), rest


async def send_whole(send: Send, status: int, pairs: Pairs, body: bytes, chunk: int) -> None:
    """Send a response in pieces of a bounded size. Each client gets a list of fields of its own."""
    await send({"type": "http.response.start", "status": status, "headers": list(pairs)})
    for place in range(0, len(body) - chunk, chunk):
        await send({"type": "http.response.body", "body": body[place : place + chunk], "more_body": True})
    rest = body if len(body) <= chunk else body[(len(body) - 1) // chunk * chunk :]
    await send({"type": "http.response.body", "body": rest, "more_body": False})


async def send_unavailable(send: Send, added: Pairs) -> None:
    """Answer a request for something that has to be stored and is not (RFC 9111, 5.2.1.7)."""
    await send_whole(send, _GATEWAY_TIMEOUT, ((b"content-length", b"0"), *added), b"", 1)
