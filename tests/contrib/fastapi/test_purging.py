"""The route that purges the HTTP cache of a FastAPI application."""

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from httpx import ASGITransport, AsyncClient

from cashews.contrib.fastapi import HTTPCache, cache_for, purge_router
from cashews.exceptions import WrongArgumentError

pytestmark = pytest.mark.integration


def require_key(request: Request):
    if request.headers.get("x-key") != "right":
        raise HTTPException(403)


def application(*dependencies):
    app, calls = FastAPI(), []
    app.include_router(purge_router(dependencies=dependencies))

    @app.get("/items/{number}", dependencies=[Depends(cache_for(max_age="1m", swr="1m", tags=["items"]))])
    async def item(number: int):
        calls.append(number)
        return len(calls)

    return app


def client_of(app):
    return AsyncClient(transport=ASGITransport(app), base_url="http://example.org")


@pytest.mark.parametrize(
    ("query", "bodies"),
    [
        ({"url": "http://example.org/items/1"}, ["3", "2"]),
        ({"tag": "items"}, ["3", "4"]),
        ({"match": "http://example.org/items/2*"}, ["1", "3"]),
        ({"tag": "items", "soft": True}, ["1", "2"]),
        ({"tag": "others"}, ["1", "2"]),
    ],
)
async def test_a_request_purges_what_its_query_names(cache, query, bodies):
    async with client_of(HTTPCache(application(Depends(require_key)), cache)) as client:
        paths = ("/items/1", "/items/2")
        assert [(await client.get(path)).text for path in paths] == ["1", "2"]
        refused = await client.post("/purge", params=query)
        assert refused.status_code == 403
        assert [(await client.get(path)).text for path in paths] == ["1", "2"]
        done = await client.post("/purge", params=query, headers={"x-key": "right"})
        assert (done.status_code, done.content) == (204, b"")
        answers = [await client.get(path) for path in paths]
        assert [answer.text for answer in answers] == bodies
        assert ("ttl=-" in answers[0].headers["cache-status"]) is False


@pytest.mark.parametrize("query", [{}, {"url": "/items/1"}, {"tag": "a", "match": "b"}])
async def test_a_query_that_names_nothing_or_too_much_is_refused(cache, query):
    async with client_of(HTTPCache(application(), cache)) as client:
        answer = await client.post("/purge", params=query)
    assert answer.status_code == 422
    assert "allowed:" in answer.json()["detail"]


async def test_without_an_http_cache_there_is_nothing_to_purge():
    async with client_of(application()) as client:
        with pytest.raises(WrongArgumentError, match="HTTPCache"):
            await client.post("/purge", params={"tag": "items"})
