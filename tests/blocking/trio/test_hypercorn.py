"""The blocking face in `def` endpoints of FastAPI, behind hypercorn on trio."""

from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from fastapi import FastAPI
from hypercorn.config import Config
from hypercorn.trio import serve

from cashews import Cache

pytestmark = pytest.mark.integration


async def test_endpoints_of_threads_use_the_loop_of_the_server(portals):
    """Guarantee 30."""
    cache, runs, ended = Cache("shop"), [], trio.Event()
    cache.setup("mem://")
    config = Config()
    config.bind = ["127.0.0.1:0"]

    @asynccontextmanager
    async def lifespan(_):
        async with cache:
            yield

    app = FastAPI(lifespan=lifespan)

    @cache.blocking(ttl="1m", key="price:{item}")
    def load(item):
        runs.append(item)
        return len(item)

    @app.get("/price/{item}")
    def price(item: str) -> int:
        with cache.blocking.lock("price", "10s"):
            return load(item)

    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve, app, config, shutdown_trigger=ended.wait))
        async with httpx.AsyncClient(base_url=address) as client:
            answers = [(await client.get("/price/tea", timeout=60)).json() for _ in range(3)]
        ended.set()
    assert (answers, runs) == ([3] * 3, ["tea"])
    assert not portals()
