"""ETags for responses that come from cached functions, and 304 for clients that have them (RFC 9110, 8.8.3 and 13)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

from cashews import cache as default_cache
from cashews._arguments import integer, text
from cashews.api.cache import Cache
from cashews.api.face import engine_of
from cashews.contrib.asgi._types import App, Message, Receive, Scope, Send
from cashews.contrib.asgi.detecting import detecting
from cashews.contrib.asgi.replies import send_whole
from cashews.contrib.http.conditions import not_modified, pairs_of_304
from cashews.contrib.http.fields import Fields, Pair
from cashews.contrib.http.policy import is_events
from cashews.engine.context import Detector

_READ: Final = frozenset({"GET", "HEAD"})
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since"})


class CacheEtagMiddleware:
    """Adds an ETag to responses that cached functions had a part in, and answers 304 to a client that has the response.

    The ETag is a digest of the bytes that are sent, so add this middleware after one that compresses. The application
    runs for every request: a value that was invalidated never answers 304. An ETag of the application's own stands.

    :param cache_instance: the cache whose part counts; the default one if `None`
    :param prefix: accepted for programs for cashews 7; nothing is stored
    :param weak: make weak ETags
    :param max_body: the most bytes of a body that is held back for its digest; a longer one passes without ETag
    :param only_cached: leave responses alone that no cached function had a part in
    """

    def __init__(
        self,
        app: App,
        cache_instance: Cache | None = None,
        *,
        prefix: str = "fastapi:",
        weak: bool = False,
        max_body: int = 2**20,
        only_cached: bool = True,
    ) -> None:
        text("prefix", prefix)
        self.app = app
        self.cache = default_cache if cache_instance is None else cache_instance
        self.engine = engine_of(self.cache)
        self.clock = self.engine.clock
        self.weak = weak
        self.max_body = integer("max_body", max_body, 0)
        self.only_cached = only_cached

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _READ:
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        asks_nothing = _CONDITIONS.isdisjoint([name for name, _ in headers])
        request = None if asks_nothing else Fields(headers)
        with detecting(self.engine, scope) as detector:
            await self.app(scope, receive, Tagging(self, request, send, detector))


class Tagging:
    """An ASGI `send` that holds a response back until it has its ETag."""

    __slots__ = ("_body", "_detector", "_held", "_options", "_request", "_send", "_silent", "_size")

    def __init__(self, options: CacheEtagMiddleware, request: Fields | None, send: Send, detector: Detector) -> None:
        self._options = options
        self._request = request
        """The request, if it has conditions."""
        self._send = send
        self._detector = detector
        self._held: Message | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._silent = False
        """Whether the client has its 304, and nothing more."""

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if self._silent:
            return
        if kind == "http.response.start" and message["status"] == _OK:
            values = {name.lower(): value for name, value in message.get("headers", ())}
            if b"etag" in values:
                await self._answer(message, message["headers"], None)
            elif self._passes(values):
                await self._send(message)
            else:
                self._held = message
        elif kind == "http.response.body" and self._held is not None:
            await self._collect(self._held, message)
        else:
            await self._let_go()
            await self._send(message)

    def _passes(self, values: Mapping[bytes, bytes]) -> bool:
        """Say whether a response with some fields passes without an ETag."""
        if is_events(values.get(b"content-type", b"")):
            return True
        return self._options.only_cached and not (self._detector.has_answers() or self._detector.has_stored())

    async def _collect(self, held: Message, message: Message) -> None:
        body = message.get("body", b"")
        self._body.append(body)
        self._size += len(body)
        if self._size > self._options.max_body:
            await self._let_go(more=bool(message.get("more_body")))
        elif not message.get("more_body"):
            self._held, whole, pairs = None, b"".join(self._body), held.get("headers", ())
            if whole:  # an answer to HEAD may have none; that of GET has another tag then
                tag = f'"{blake2b(whole, digest_size=16).hexdigest()}"'
                pairs = [*pairs, (b"etag", (f"W/{tag}" if self._options.weak else tag).encode())]
            await self._answer(held, pairs, whole)

    async def _answer(self, start: Message, pairs: Iterable[Pair], body: bytes | None) -> None:
        """Send the response, or a 304; the body follows if it is not here."""
        if self._request is not None:
            response = Fields(pairs)
            if not_modified(self._request, _OK, response, self._options.clock.wall()):
                self._silent = True
                await send_whole(self._send, _NOT_MODIFIED, pairs_of_304(response.pairs), b"", 1)
                return
        await self._send({**start, "headers": list(pairs)})
        if body is not None:
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _let_go(self, *, more: bool = True) -> None:
        """Send everything that is held."""
        held, self._held = self._held, None
        if held is not None:
            await self._send(held)
            if self._body or not more:
                await self._send({"type": "http.response.body", "body": b"".join(self._body), "more_body": more})
            self._body.clear()
