"""A store for Litestar over a cache: ``stores={"responses": CashewsStore(cache)}``."""

from __future__ import annotations

from datetime import timedelta

from cashews import cache as default_cache
from cashews._arguments import text
from cashews.api.cache import Cache
from cashews.exceptions import MissingExtraError
from cashews.keys.pattern import Pattern

try:
    from litestar.stores.base import Store
except ImportError as error:
    raise MissingExtraError("litestar", "litestar") from error


class CashewsStore(Store):
    """Keeps the values of Litestar's sessions, rate limits and response cache in a cache.

    :param cache: the cache; the default one if `None`
    :param prefix: the beginning of all its keys; `delete_all` removes the keys that begin so, and no others
    """

    __slots__ = ("_cache", "_prefix")

    def __init__(self, cache: Cache | None = None, *, prefix: str = "litestar:") -> None:
        self._cache = default_cache if cache is None else cache
        self._prefix = text("prefix", prefix)

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Store a value; text is stored in UTF-8."""
        await self._cache.set(self._prefix + key, value.encode() if isinstance(value, str) else value, expires_in)

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return a value, `None` if there is none; a value that expires lives for `renew_for` from now on."""
        name = self._prefix + key
        value: bytes | None = await self._cache.get(name)
        if value is not None and renew_for is not None and await self._cache.get_expire(name) >= 0:
            await self._cache.expire(name, renew_for)
        return value

    async def delete(self, key: str) -> None:
        """Remove a value."""
        await self._cache.delete(self._prefix + key)

    async def delete_all(self) -> None:
        """Remove all values under the prefix."""
        await self._cache.delete_match(Pattern.of((self._prefix, "")))

    async def exists(self, key: str) -> bool:
        """Say whether there is a value."""
        return await self._cache.exists(self._prefix + key)

    async def expires_in(self, key: str) -> int | None:
        """Return the seconds that a value has left, `None` if there is none, or if it does not expire."""
        left = await self._cache.get_expire(self._prefix + key)
        return left if left >= 0 else None
