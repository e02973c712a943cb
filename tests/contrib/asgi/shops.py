"""One small application in each framework: a counted page, a change, a stream, and a purge."""

from collections.abc import AsyncIterator

import litestar
import quart
import quart_trio
from anyio.lowlevel import checkpoint
from fastapi import Depends, FastAPI, Request
from litestar import Litestar
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from cashews.contrib.asgi import cache_for

MINUTE = {"cache-control": "max-age=60", "cache-tag": "t"}


class Calls:
    """The calls that reach an application."""

    def __init__(self):
        self.number = 0

    def __call__(self):
        self.number += 1
        return f"page {self.number}"

    async def pieces(self) -> AsyncIterator[bytes]:
        self.number += 1
        for piece in (b"stream ", b"", b"%d" % self.number):
            await checkpoint()
            yield piece


def on_starlette(calls):
    async def page(_):
        return PlainTextResponse(calls(), headers=MINUTE)

    async def change(_):
        return PlainTextResponse("changed")

    async def stream(_):
        return StreamingResponse(calls.pieces(), headers=MINUTE)

    async def purge(request):
        await request.scope["cashews.http"].purge(tag="t")
        return PlainTextResponse("purged")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/", change, methods=["POST"]),
            Route("/stream", stream),
            Route("/purge", purge, methods=["POST"]),
        ]
    )


def on_fastapi(calls):
    app = FastAPI(dependencies=[Depends(cache_for(max_age="1m", tags=["t"]))])

    @app.get("/", response_class=PlainTextResponse)
    async def page():
        return calls()

    @app.post("/")
    async def change():
        return "changed"

    @app.get("/stream")
    async def stream():
        return StreamingResponse(calls.pieces(), headers=MINUTE)

    @app.post("/purge")
    async def purge(request: Request):
        await request.scope["cashews.http"].purge(tag="t")

    return app


def on_litestar(calls):
    @litestar.get("/", media_type=litestar.MediaType.TEXT)
    async def page() -> litestar.Response[str]:
        return litestar.Response(calls(), headers=MINUTE)

    @litestar.post("/")
    async def change() -> str:
        return "changed"

    @litestar.get("/stream")
    async def stream() -> Stream:
        return Stream(calls.pieces(), headers=MINUTE)

    @litestar.post("/purge")
    async def purge(request: litestar.Request) -> None:
        await request.scope["cashews.http"].purge(tag="t")

    return Litestar([page, change, stream, purge])


def on_quart(calls, kind=quart.Quart):
    app = kind("shop")

    @app.get("/")
    async def page():
        return calls(), MINUTE

    @app.post("/")
    async def change():
        return "changed"

    @app.get("/stream")
    async def stream():
        return calls.pieces(), MINUTE

    @app.post("/purge")
    async def purge():
        await quart.request.scope["cashews.http"].purge(tag="t")
        return "purged"

    return app


def on_quart_trio(calls):
    return on_quart(calls, quart_trio.QuartTrio)


async def visit(client, calls):
    """Use a shop behind an HTTP cache, and look at each answer."""

    async def twice(path):
        answers = [await client.get(path) for _ in range(2)]
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.headers["cache-status"].split(";")[1].strip() for answer in answers] == ["fwd=uri-miss", "hit"]
        return [answer.text for answer in answers]

    assert await twice("/") == ["page 1"] * 2
    assert (await client.post("/")).is_success
    assert await twice("/") == ["page 2"] * 2
    assert await twice("/stream") == ["stream 3"] * 2
    assert (await client.post("/purge")).is_success
    assert await twice("/stream") == ["stream 4"] * 2
    assert await twice("/") == ["page 5"] * 2
    assert calls.number == 5
    head = await client.head("/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "6")
