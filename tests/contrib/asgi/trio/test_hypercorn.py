"""The middleware behind hypercorn on trio."""

from functools import partial

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from cashews.testing import VirtualClock
from tests.contrib.asgi.world import Origin

pytestmark = pytest.mark.integration


async def test_a_stale_response_is_served_while_a_new_one_is_loaded():
    clock, ended = VirtualClock(), trio.Event()
    config = Config()
    config.bind = ["127.0.0.1:0"]
    origin = Origin(cache_control="max-age=10, stale-while-revalidate=10")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
        else:
            await origin(scope, receive, send)

    async with Cache.open("mem://", clock=clock) as cache, trio.open_nursery() as nursery:
        serving = partial(serve, HTTPCache(app, cache), config, shutdown_trigger=ended.wait)
        (address,) = await nursery.start(serving)
        async with httpx.AsyncClient(base_url=address) as client:
            bodies = [(await client.get("/")).text for _ in range(2)]
            await clock.advance(11)
            bodies.append((await client.get("/")).text)
            while origin.calls < 2 or cache.statistics().refreshes["pending"]:
                await trio.lowlevel.checkpoint()
            bodies.append((await client.get("/")).text)
        ended.set()
    assert bodies == ["1", "1", "1", "2"]
