"""Requests to a FastAPI application, in process and without a server: `web.py ROUNDS`.

The applications are measured in turn, so that ratios may be taken within each round. Each answers with twenty records
as JSON; all caches have the response, or the value, from the start.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import anysqlite
import loop_asyncio
from fastapi import FastAPI
from fastapi_cache import FastAPICache
from fastapi_cache.backends.inmemory import InMemoryBackend
from fastapi_cache.decorator import cache as fastapi_cache
from hishel import AsyncSqliteStorage
from hishel.asgi import ASGICacheMiddleware
from lines import answer_with

import cashews
from cashews.contrib.asgi import HTTPCache, cache_for
from cashews.contrib.fastapi import CacheDeleteMiddleware, CacheEtagMiddleware, CacheRequestControlMiddleware

SECONDS = 0.05
HEADERS = [(b"host", b"example.org"), (b"accept", b"application/json"), (b"user-agent", b"benchmark")]

App = Callable[..., Awaitable[None]]


def records(shelf: int) -> list[dict[str, object]]:
    """Return what every application answers with."""
    return [{"id": number, "shelf": shelf, "title": f"Title {number}", "price": 9.9} for number in range(20)]


def shop(decorator: Callable[[Any], Any] | None = None) -> FastAPI:
    """Return an application whose endpoint may be decorated."""
    app = FastAPI()

    async def show(shelf: int, page: int = 1) -> list[dict[str, object]]:
        return records(shelf + page)

    app.get("/shelves/{shelf}")(show if decorator is None else decorator(show))
    return app


async def applications() -> dict[str, App]:
    """Return the applications by name."""
    cache = cashews.Cache()
    cache.setup("mem://", size=1_000_000)
    cached = cache(ttl="10m", key="shelf:{shelf}:{page}")
    FastAPICache.init(InMemoryBackend())
    three = shop(cached)
    for middleware in (CacheDeleteMiddleware, CacheEtagMiddleware, CacheRequestControlMiddleware):
        three.add_middleware(middleware, cache_instance=cache)
    declared = cache_for(max_age="10m").around(shop())
    storage = AsyncSqliteStorage(connection=await anysqlite.connect(":memory:"))
    return {
        "FastAPI": shop(),
        "HTTPCache, hit": HTTPCache(declared, cache),
        "hishel, hit": ASGICacheMiddleware(declared, storage),
        "fastapi-cache2, hit": shop(fastapi_cache(expire=600)),
        "cached function": shop(cached),
        "cached function, three middlewares": three,
    }


async def request(app: App) -> None:
    """Send a request, and take its response."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/shelves/1",
        "raw_path": b"/shelves/1",
        "root_path": "",
        "query_string": b"page=2",
        "headers": HEADERS,
        "server": ("example.org", 80),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    await app(scope, receive, send)


async def seconds_of(app: App) -> float:
    """Return the seconds of one request, over so many as fit into the time of a round."""
    count, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < SECONDS:
        for _ in range(10):
            await request(app)
        count += 10
    return passed / count


async def measured(rounds: int) -> dict[str, object]:
    """Measure, and return the median of each application and of its ratio to FastAPI alone."""
    apps = await applications()
    for app in apps.values():
        await request(app)
        await seconds_of(app)
    tries = [{name: await seconds_of(app) for name, app in apps.items()} for _ in range(rounds)]
    seconds = {name: median([each[name] for each in tries]) for name in apps}
    ratios = {name: median([each[name] / each["FastAPI"] for each in tries]) for name in apps}
    plain, three = "cached function", "cached function, three middlewares"
    versions = {name: version(name) for name in ("fastapi", "hishel", "fastapi-cache2")}
    overhead = median([each[three] / each[plain] for each in tries])
    return {"seconds": seconds, "ratios": ratios, "three": overhead, "versions": versions}


def measure(rounds: int) -> dict[str, object]:
    """Measure in an event loop."""
    answers: list[dict[str, object]] = []

    async def main() -> None:
        answers.append(await measured(rounds))

    loop_asyncio.run(main)
    return answers[0]


if __name__ == "__main__":
    answer_with(lambda: measure(int(sys.argv[1])))
