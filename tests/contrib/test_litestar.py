"""The store for Litestar, and Litestar's own response cache over it."""

from datetime import timedelta

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, get

from cashews.contrib.litestar import CashewsStore


@pytest.fixture
def store(cache):
    return CashewsStore(cache)


async def test_values_are_bytes(store):
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


async def test_all_are_deleted_but_those_of_others(cache, store):
    await cache.set("other", 1)
    await store.set("k*", "v")
    await CashewsStore(cache, prefix="sessions:").set("k", "v")
    await store.delete_all()
    assert (await store.get("k*"), await cache.get("other")) == (None, 1)
    assert await CashewsStore(cache, prefix="sessions:").get("k") == b"v"


async def test_the_response_cache_of_litestar_runs_on_it(store):
    calls = []

    @get("/", cache=10)
    async def index() -> str:
        calls.append(1)
        return "hello"

    app = Litestar([index], stores={"response_cache": store})
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert [(await client.get("/")).text for _ in range(3)] == ["hello"] * 3
    assert len(calls) == 1
