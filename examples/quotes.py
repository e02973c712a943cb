"""A class that caches quotes of stocks; test_quotes.py beside it shows how to test such code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cashews import Cache


class Quotes:
    """Quotes of stocks, at most a minute old, or an hour if the exchange does not answer."""

    def __init__(self, cache: Cache, fetch: Callable[[str], Awaitable[float]]) -> None:
        self.of = cache.soft(ttl="1h", soft_ttl="1m", exceptions=OSError, key="quote:{symbol}")(fetch)

    async def forget(self, symbol: str) -> None:
        """Have the next call ask the exchange."""
        await self.of.invalidate(symbol)
