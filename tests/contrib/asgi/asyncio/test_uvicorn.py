"""The middleware behind uvicorn: what goes over the wire."""

import socket
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
import uvicorn

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from tests.contrib.asgi.shops import Calls, on_fastapi, on_litestar, on_quart, on_starlette, visit
from tests.contrib.asgi.world import Origin

pytestmark = pytest.mark.integration


@asynccontextmanager
async def served(app, lifespan="off"):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # clients may come before the application has started
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan=lifespan, http="h11"))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            async with httpx.AsyncClient(base_url=address) as client:
                yield client
            server.should_exit = True


@pytest.mark.parametrize("make", [on_starlette, on_fastapi, on_litestar, on_quart], ids=lambda make: make.__name__)
async def test_each_framework_on_a_server(make):
    """Guarantee 33: with its lifespan, its streams, and its endpoints that purge."""
    calls = Calls()
    async with Cache.open("mem://") as cache, served(HTTPCache(make(calls), cache), lifespan="on") as client:
        await visit(client, calls)


async def test_hits_parts_and_304_over_the_wire():
    origin = Origin(cache_control="max-age=60", etag='"a"', body=b"0123456789")
    async with Cache.open("mem://") as cache, served(HTTPCache(origin, cache)) as client:
        await client.get("/")
        hit = await client.get("/")
        part = await client.get("/", headers={"range": "bytes=2-4"})
        same = await client.get("/", headers={"if-none-match": '"a"'})
        head = await client.head("/")
    assert (hit.content, hit.headers.get_list("date"), origin.calls) == (b"0123456789", [hit.headers["date"]], 1)
    assert (part.status_code, part.content) == (206, b"234")
    assert (same.status_code, same.content) == (304, b"")
    assert (head.content, head.headers["content-length"]) == (b"", "10")


async def test_a_client_that_leaves_in_the_middle_hands_over():
    """Guarantee 9."""
    gate, calls = anyio.Event(), []

    async def app(_scope, receive, send):
        calls.append(1)
        headers = [(b"cache-control", b"max-age=60"), (b"content-length", b"2")]
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        if len(calls) == 1:
            assert (await receive())["type"] == "http.disconnect"
            gate.set()
            return
        await send({"type": "http.response.body", "body": b"b"})

    answers = []

    async def follow(client):
        answers.append(await client.get("/"))

    async with (
        Cache.open("mem://") as cache,
        served(HTTPCache(app, cache)) as client,
        anyio.create_task_group() as tasks,
    ):
        async with httpx.AsyncClient(base_url=client.base_url) as leaving, leaving.stream("GET", "/") as response:
            pieces = response.aiter_raw(1)  # kept: an iterator that is dropped closes the connection
            await anext(pieces)
            for _ in range(5):
                tasks.start_soon(follow, client)
            while cache.statistics().load_waiters < 5:
                await anyio.lowlevel.checkpoint()
        await gate.wait()
    assert [answer.content for answer in answers] == [b"ab"] * 5
    assert len(calls) == 2
