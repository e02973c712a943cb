"""Requests that have cached values removed: Clear-Site-Data."""

from __future__ import annotations

from typing import Final

from cashews.api.cache import Cache
from cashews.contrib.asgi._types import App, Receive, Scope, Send
from cashews.contrib.http.fields import Fields, unquoted
from cashews.engine.context import invalidate_further

_CLEARING: Final = frozenset({"cache", "*"})


class CacheDeleteMiddleware:
    """Removes the cached values that a request with ``Clear-Site-Data: "cache"`` comes upon, and has them loaded anew.

    Counters, locks and rate limits are left alone.

    :param cache_instance: accepted for programs for cashews 7; the values of every cache are concerned
    """

    def __init__(self, app: App, cache_instance: Cache | None = None) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"clear-site-data" in [name for name, _ in scope["headers"]]:
            request = Fields(scope["headers"])
            if not _CLEARING.isdisjoint(unquoted(each).lower() for each in request.members("clear-site-data")):
                with invalidate_further():
                    await self.app(scope, receive, send)
                return
        await self.app(scope, receive, send)
