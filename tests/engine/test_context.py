"""What a context adds to a call stays with the call: neither tasks nor chains of the engine keep any of it."""

import gc
import weakref

import pytest

from cashews import Cache, Command, key_context
from cashews.testing import VirtualClock
from tests.internals import inside


@pytest.fixture
def clock():
    return VirtualClock()


def early_user(cache):
    """A function that is refreshed in the background, over one whose keys need the key context."""

    @cache(ttl="1h", key="items:{@:get(tenant)}")
    async def items():
        return "items"

    @cache.early(ttl="10s", early_ttl="5s", key="user:{name}")
    async def user(name):
        return name, await items()

    return user


@pytest.mark.parametrize("opener", [{"tenant": "A"}, {}], ids=["another", "none"])
async def test_a_refresh_runs_under_the_key_context_of_its_call(clock, opener):
    """Guarantee 11: the key context of whoever has opened the cache is not that of the refresh."""
    with key_context(**opener):
        cache = Cache.open("mem://", clock=clock)
        await cache.__aenter__()
    user = early_user(cache)
    with key_context(tenant="B"):
        await user("ann")
        await cache.delete("items:B")
        await clock.advance(6)
        await user("ann")
        await clock.settle()
    keys = [key async for key in cache.scan("items:*")]
    refreshes = cache.statistics().refreshes
    await cache.__aexit__(None, None, None)
    assert keys == ["items:B"]
    assert (refreshes["done"], refreshes["failed"]) == (1, 0)


async def test_two_refreshes_have_a_key_context_each(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        user = early_user(cache)
        for tenant in "BC":
            with key_context(tenant=tenant):
                await user(tenant)
                await cache.delete(f"items:{tenant}")
        await clock.advance(6)
        for tenant in "BC":
            with key_context(tenant=tenant):
                await user(tenant)
        await clock.settle()
        assert sorted([key async for key in cache.scan("items:*")]) == ["items:B", "items:C"]


async def test_chains_do_not_keep_other_caches_alive(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        engines = []
        for _ in range(50):
            other = Cache("other")
            other.setup("mem://")
            engines.append(weakref.ref(inside(other).engine))
            with other.disabling(Command.GET):
                await cache.get("k")
        del other
        gc.collect()
        assert [engine for engine in engines if engine() is not None] == []


async def test_switched_off_commands_make_no_more_than_a_few_chains(clock):
    commands = list(Command)
    async with Cache.open("mem://", clock=clock) as cache:
        for number in range(300):
            with cache.disabling(*commands[number % 20 :: 1 + number % 7]):
                assert await cache.set("k", number) in {True, False}
        assert inside(cache).chains <= 8


async def test_what_another_cache_switches_off_is_on_here(clock):
    other = Cache("other")
    other.setup("mem://")
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("k", 1)
        with other.disabling():
            assert await cache.get("k") == 1
            with cache.disabling(Command.GET):
                assert await cache.get("k") is None
            assert await cache.get("k") == 1
