"""The blocking face in `def` endpoints of FastAPI, behind uvicorn."""

import socket
from contextlib import asynccontextmanager
from threading import current_thread

import anyio
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from cashews import Cache

pytestmark = pytest.mark.integration


@asynccontextmanager
async def served(app):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # clients may come before the server does
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http="h11"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}") as client:
                yield client
            server.should_exit = True


async def test_endpoints_of_threads_share_loads_and_the_loop_of_the_server(portals):
    """Guarantees 9 and 30."""
    cache, runs = Cache("shop"), []
    cache.setup("mem://")

    @asynccontextmanager
    async def lifespan(_):
        async with cache:
            yield

    app = FastAPI(lifespan=lifespan)

    @cache.blocking(ttl="1m", key="price:{item}")
    def load(item):
        runs.append(current_thread().name)
        while cache.statistics().load_waiters < 4:
            anyio.from_thread.run(anyio.lowlevel.checkpoint)
        return len(item)

    @app.get("/price/{item}")
    def price(item: str) -> int:
        return load(item)

    @app.get("/plainly/{item}")
    async def plainly(item: str) -> int:
        return await cache.get(f"price:{item}")

    answers = []

    async def ask(client):
        answers.append((await client.get("/price/tea", timeout=60)).json())

    async with served(app) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, client)
        answers.append((await client.get("/plainly/tea")).json())
    assert (answers, len(runs)) == ([3] * 6, 1)
    assert not portals()
