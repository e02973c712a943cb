"""The middleware on frameworks: whatever speaks ASGI, and its own middlewares inside and outside."""

import gzip

import anyio
import httpx
import litestar
import pytest
import quart
import quart_trio
from fastapi import Depends, FastAPI
from fastapi import Response as FastAPIResponse
from litestar import Litestar
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cashews.contrib.asgi import HTTPCache, cache_for
from cashews.exceptions import WrongArgumentError

MINUTE = {"cache-control": "max-age=60"}
pytestmark = pytest.mark.integration


def client_of(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://example.org")


def counted(calls):
    calls.append(1)
    return str(len(calls))


def starlette(calls):
    async def endpoint(_):
        return PlainTextResponse(counted(calls), headers=MINUTE)

    return Starlette(routes=[Route("/", endpoint)])


def fastapi(calls):
    app = FastAPI()

    @app.get("/", dependencies=[Depends(cache_for(max_age="1m"))])
    async def endpoint():
        return FastAPIResponse(counted(calls), headers=MINUTE)

    return app


def on_litestar(calls):
    @litestar.get("/")
    async def endpoint() -> litestar.Response[str]:
        return litestar.Response(counted(calls), headers=MINUTE)

    return Litestar([endpoint])


def on_quart(kind):
    def made(calls):
        app = kind("app")

        @app.get("/")
        async def endpoint():
            return counted(calls), MINUTE

        return app

    return made


@pytest.mark.parametrize("make", [starlette, fastapi, on_litestar], ids=lambda make: make.__name__)
async def test_the_second_request_is_a_hit(cache, make):
    calls = []
    async with client_of(HTTPCache(make(calls), cache)) as client:
        assert [(await client.get("/")).text.strip('"') for _ in range(2)] == ["1", "1"]
    assert len(calls) == 1


async def test_the_second_request_is_a_hit_on_the_quart_of_each_loop(cache, anyio_backend):
    calls = []
    kind = quart.Quart if anyio_backend == "asyncio" else quart_trio.QuartTrio
    async with client_of(HTTPCache(on_quart(kind)(calls), cache)) as client:
        assert [(await client.get("/")).text for _ in range(2)] == ["1", "1"]
    assert len(calls) == 1


@pytest.mark.parametrize("outside", [True, False])
async def test_compression_inside_and_outside(cache, outside):
    body = "text " * 400

    async def endpoint(_):
        return PlainTextResponse(body, headers={**MINUTE, "etag": '"a"'})

    order = [Middleware(HTTPCache, cache=cache), Middleware(GZipMiddleware)]
    app = Starlette(routes=[Route("/", endpoint)], middleware=order if outside else order[::-1])
    async with client_of(app) as client:
        for encoding, raw in (("gzip", gzip.decompress), ("identity", bytes)) * 2:
            async with client.stream("GET", "/", headers={"accept-encoding": encoding}) as response:
                received = b"".join([chunk async for chunk in response.aiter_raw()])
            assert raw(received).decode() == body
            assert response.headers["etag"] == '"a"'
            assert (response.headers.get("content-encoding") == "gzip") is (encoding == "gzip")


async def test_streams_and_background_tasks_of_starlette(cache):
    ran = []

    async def run():
        ran.append(1)

    async def endpoint(_):
        async def chunks():
            for chunk in (b"a", b"", b"b"):
                await anyio.lowlevel.checkpoint()
                yield chunk

        return StreamingResponse(chunks(), headers=MINUTE, background=BackgroundTask(run))

    async with client_of(
        Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(HTTPCache, cache=cache)])
    ) as client:
        first, second = await client.get("/"), await client.get("/")
    assert (first.content, second.content, second.headers["content-length"], ran) == (b"ab", b"ab", "2", [1])


async def test_a_statement_about_caching_as_dependency_and_around_an_application():
    app = FastAPI()
    stated = cache_for(max_age="1m", swr=30, sie=10, private=True, tags=["user:1", "x y"])

    @app.get("/", dependencies=[Depends(stated)])
    async def endpoint():
        return 1

    @app.get("/own", dependencies=[Depends(cache_for(max_age=1))])
    async def own(response: FastAPIResponse):
        response.headers["cache-control"] = "no-store"
        return 1

    async with client_of(app) as client:
        headers = (await client.get("/")).headers
        assert headers["cache-control"] == "private, max-age=60, stale-while-revalidate=30, stale-if-error=10"
        assert headers["cache-tag"] == "user:1, x y"
        assert (await client.get("/own")).headers["cache-control"] == "no-store"
        assert "response" not in str((await client.get("/openapi.json")).json()["paths"]["/"]["get"].get("parameters"))
    async with client_of(cache_for(s_maxage=5).around(Response("x"))) as client:
        assert (await client.get("/")).headers["cache-control"] == "s-maxage=5"
    async with client_of(cache_for(s_maxage=5).around(Response("x", status_code=500))) as client:
        assert "cache-control" not in (await client.get("/")).headers


@pytest.mark.parametrize("options", [{}, {"tags": ["a,b"]}, {"tags": ["a\n"]}, {"tags": [" a"]}])
def test_a_statement_that_says_nothing_is_refused(options):
    with pytest.raises(WrongArgumentError):
        cache_for(**options)


async def test_an_endpoint_purges_through_its_scope(cache):
    calls = []

    async def endpoint(_):
        return PlainTextResponse(counted(calls), headers=MINUTE)

    async def purge(request):
        await request.scope["cashews.http"].purge("http://example.org/")
        return PlainTextResponse("done")

    routes = [Route("/", endpoint), Route("/purge", purge, methods=["POST"])]
    async with client_of(Starlette(routes=routes, middleware=[Middleware(HTTPCache, cache=cache)])) as client:
        await client.get("/")
        await client.post("/purge")
        assert (await client.get("/")).text == "2"
