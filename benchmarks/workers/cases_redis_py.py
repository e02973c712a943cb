"""Cases of redis-py's own client, with hiredis, on asyncio only: bytes in and out, nothing is decoded."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any

import redis_cases
from cases import TTL, Loop
from redis.asyncio import Redis


class Library(redis_cases.Library):
    package = "redis"
    prefix = "redis"

    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop, url)
        self._client = Redis.from_url(url)

    def stored(self, value: object) -> bytes:
        return pickle.dumps(value)

    def get(self, key: str) -> Awaitable[object]:
        return self._client.get(key)

    def set(self, key: str, value: Any) -> Awaitable[object]:
        return self._client.set(key, value, ex=TTL)

    def running(self) -> AbstractAsyncContextManager[object]:
        return self._client
