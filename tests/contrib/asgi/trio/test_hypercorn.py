"""The middleware behind hypercorn on trio."""

from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from cashews.testing import VirtualClock
from tests.contrib.asgi.shops import Calls, on_fastapi, on_litestar, on_quart_trio, on_starlette, visit
from tests.contrib.asgi.world import Origin

pytestmark = pytest.mark.integration


@asynccontextmanager
async def served(app):
    config, ended = Config(), trio.Event()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve, app, config, shutdown_trigger=ended.wait))
        async with httpx.AsyncClient(base_url=address) as client:
            yield client
        ended.set()


@pytest.mark.parametrize("make", [on_starlette, on_fastapi, on_litestar, on_quart_trio], ids=lambda make: make.__name__)
async def test_each_framework_on_a_server(make):
    """Guarantee 33: with its lifespan, its streams, and its endpoints that purge."""
    calls = Calls()
    async with Cache.open("mem://") as cache, served(HTTPCache(make(calls), cache)) as client:
        await visit(client, calls)


async def test_a_stale_response_is_served_while_a_new_one_is_loaded():
    clock = VirtualClock()
    origin = Origin(cache_control="max-age=10, stale-while-revalidate=10")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
        else:
            await origin(scope, receive, send)

    async with Cache.open("mem://", clock=clock) as cache, served(HTTPCache(app, cache)) as client:
        bodies = [(await client.get("/")).text for _ in range(2)]
        await clock.advance(11)
        bodies.append((await client.get("/")).text)
        while origin.calls < 2 or cache.statistics().refreshes["pending"]:
            await trio.lowlevel.checkpoint()
        bodies.append((await client.get("/")).text)
    assert bodies == ["1", "1", "1", "2"]
