"""Memory while a response passes: it does not grow with the response (guarantee 33)."""

import tracemalloc

import pytest
from anyio.lowlevel import checkpoint
from starlette.responses import StreamingResponse

from cashews.contrib.asgi import HTTPCache
from cashews.contrib.fastapi import CacheEtagMiddleware, CacheRequestControlMiddleware

pytestmark = pytest.mark.integration
CHUNK = 16 * 2**10
CHUNKS = 4_000
FLAT = 2 * 2**20
"""The bytes by which memory may grow while 64 MiB pass: less than two of the longest bodies that are stored here."""
MOST = 2**19
"""The longest body that is stored here."""
HEAD = {"cache-control": "max-age=60"}
EVENTS = {**HEAD, "content-type": "text/event-stream"}
SAID = {**HEAD, "content-length": str(CHUNK * CHUNKS)}


def streamed(headers):
    """Return an application whose response has chunks of 16 KiB, each of them new."""

    async def app(scope, receive, send):
        async def chunks():
            for number in range(CHUNKS):
                yield b"%016d" % number * (CHUNK // 16)

        await StreamingResponse(chunks(), headers=headers)(scope, receive, send)

    return app


async def growth_of(app):
    """Return the most bytes by which memory grows while a client reads a response and forgets it."""
    seen = 0

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        nonlocal seen
        seen += len(message.get("body", b""))
        await checkpoint()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"example.org")]}
    scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}
    tracemalloc.start()
    try:
        await app(scope, receive, send)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == CHUNK * CHUNKS
    return most


@pytest.mark.parametrize("headers", [HEAD, EVENTS, SAID], ids=["stream", "events", "length"])
async def test_a_long_response_takes_no_more_memory_than_a_short_one(cache, headers):
    assert await growth_of(HTTPCache(streamed(headers), cache, max_body=MOST)) < FLAT
    assert await cache.get_keys_count() == 0


@pytest.mark.parametrize("only_cached", [True, False])
async def test_it_takes_none_in_the_middlewares_of_cached_functions(cache, only_cached):
    tagging = CacheEtagMiddleware(streamed(HEAD), cache, max_body=MOST, only_cached=only_cached)
    assert await growth_of(CacheRequestControlMiddleware(tagging, cache)) < FLAT


async def test_a_stream_that_is_too_long_for_a_cached_function_is_let_go_of(cache, monkeypatch):
    monkeypatch.setattr("cashews.contrib._starlette.MOST_BYTES", MOST)

    @cache(ttl="1m", key="stream")
    async def load():
        async def chunks():
            for number in range(CHUNKS):
                yield b"%016d" % number * (CHUNK // 16)

        return StreamingResponse(chunks())

    async def app(scope, receive, send):
        await (await load())(scope, receive, send)

    assert await growth_of(app) < FLAT
    assert await cache.get_keys_count() == 0
