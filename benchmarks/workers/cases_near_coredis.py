"""Cases of the client-side cache of coredis: bytes in and out, nothing is decoded."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any

import coredis
import near_cases
from cases import TTL, Loop
from coredis.patterns.cache import LRUCache


class Library(near_cases.Reads):
    package = "coredis"
    prefix = "coredis"

    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop, url)
        self._client = coredis.Redis.from_url(url, cache=LRUCache())

    def stored(self, value: object) -> bytes:
        return pickle.dumps(value)

    def get(self, key: str) -> Awaitable[object]:
        return self._client.get(key)

    def set(self, key: str, value: Any) -> Awaitable[object]:
        return self._client.set(key, value, ex=TTL)

    def running(self) -> AbstractAsyncContextManager[object]:
        return self._client
