"""The store for Litestar, and Litestar's own response cache over it."""

from datetime import timedelta

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, Request, get, post
from litestar.middleware.rate_limit import RateLimitConfig
from litestar.middleware.session.server_side import ServerSideSessionConfig

from cashews.contrib.litestar import CashewsStore


@pytest.fixture
def store(cache):
    return CashewsStore(cache)


async def test_values_are_bytes(stored):
    store = CashewsStore(stored)
    await store.set("k", "text")
    await store.set("b", b"\0")
    assert (await store.get("k"), await store.get("b"), await store.get("absent")) == (b"text", b"\0", None)
    assert (await store.exists("k"), await store.exists("absent")) == (True, False)
    await store.delete("k")
    await store.delete("k")
    assert await store.get("k") is None


@pytest.mark.parametrize("given", [10, timedelta(seconds=10)])
async def test_values_expire_and_are_renewed(store, clock, given):
    await store.set("k", "v", expires_in=given)
    await store.set("ever", "v")
    assert (await store.expires_in("k"), await store.expires_in("ever"), await store.expires_in("no")) == (
        10,
        None,
        None,
    )
    await clock.advance(5)
    assert await store.get("k", renew_for=given) == b"v"
    assert await store.get("ever", renew_for=given) == b"v"
    assert (await store.expires_in("k"), await store.expires_in("ever")) == (10, None)
    await clock.advance(10)
    assert await store.get("k") is None


async def test_all_are_deleted_but_those_of_others(stored):
    cache, store = stored, CashewsStore(stored)
    await cache.set("other", 1)
    await store.set("k*", "v")
    await CashewsStore(cache, prefix="sessions:").set("k", "v")
    await store.delete_all()
    assert (await store.get("k*"), await cache.get("other")) == (None, 1)
    assert await CashewsStore(cache, prefix="sessions:").get("k") == b"v"


def client_of(app):
    return AsyncClient(transport=ASGITransport(app), base_url="http://test")


async def test_the_response_cache_of_litestar_runs_on_each_store(stored):
    calls = []

    @get("/", cache=10)
    async def index(request: Request) -> str:
        page = int(request.query_params.get("page", 1))
        calls.append(page)
        return f"hello {page}"

    app = Litestar([index], stores={"response_cache": CashewsStore(stored)})
    async with client_of(app) as client:
        assert [(await client.get("/")).text for _ in range(3)] == ["hello 1"] * 3
        assert [(await client.get("/?page=2")).text for _ in range(3)] == ["hello 2"] * 3
        assert calls == [1, 2]
        await app.stores.get("response_cache").delete_all()
        assert (await client.get("/")).text == "hello 1"
    assert calls == [1, 2, 1]


async def test_responses_expire_in_an_application(store, clock):
    calls = []

    @get("/", cache=10)
    async def index() -> str:
        calls.append(1)
        return "hello"

    async with client_of(Litestar([index], stores={"response_cache": store})) as client:
        for seconds in (9, 2):
            await client.get("/")
            await clock.advance(seconds)
        await client.get("/")
    assert len(calls) == 2


async def test_sessions_of_litestar_are_kept_renewed_and_ended_on_each_store(stored):
    @post("/cart")
    async def add(request: Request) -> list[str]:
        request.session["cart"] = cart = [*request.session.get("cart", []), "book"]
        return cart

    @get("/cart")
    async def show(request: Request) -> list[str]:
        return request.session.get("cart", [])

    @post("/end")
    async def end(request: Request) -> None:
        request.clear_session()

    sessions = ServerSideSessionConfig(renew_on_access=True)
    stores = {"sessions": CashewsStore(stored, prefix="sessions:")}
    app = Litestar([add, show, end], middleware=[sessions.middleware], stores=stores)
    async with client_of(app) as one, client_of(app) as other:
        assert [(await one.post("/cart")).json() for _ in range(2)] == [["book"], ["book", "book"]]
        assert (await one.get("/cart")).json() == ["book", "book"]
        assert (await other.get("/cart")).json() == []
        kept = f"sessions:{one.cookies['session']}"
        assert await stored.exists(kept)
        await one.post("/end")
        assert not await stored.exists(kept)
        assert (await one.get("/cart")).json() == []


async def test_rate_limits_of_litestar_count_on_each_store(stored):
    @get("/")
    async def index() -> str:
        return "hello"

    limit = RateLimitConfig(("minute", 2))
    app = Litestar([index], middleware=[limit.middleware], stores={"rate_limit": CashewsStore(stored)})
    async with client_of(app) as client:
        assert [(await client.get("/")).status_code for _ in range(4)] == [200, 200, 429, 429]


async def test_a_session_that_is_used_lives_on(store, clock):
    """`renew_for` counts from the access; a value that is read without it keeps its time."""
    await store.set("session", b"1", expires_in=10)
    for _ in range(3):
        await clock.advance(6)
        assert await store.get("session", renew_for=10) == b"1"
    await clock.advance(6)
    assert await store.get("session") == b"1"
    await clock.advance(6)
    assert await store.get("session") is None
