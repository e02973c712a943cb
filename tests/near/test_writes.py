"""Writes of this process: each is seen by its own reads at once, also if it names no keys, fails or is refused."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews.exceptions import CacheBackendInteractionError
from tests.faults.proxy import Proxy
from tests.near.conftest import PREFIX
from tests.near.proofs import REMOVALS
from tests.servers import Server

pytestmark = pytest.mark.redis


@pytest.fixture
async def dripping(opened, server):
    """A cache to which the server's bytes come one by one: nothing is there together."""
    async with Proxy(server.port).serving() as proxy, opened(proxy.url) as cache:
        await cache.ping()
        proxy.drips = True
        yield cache


@pytest.mark.parametrize("remove", REMOVALS)
async def test_a_removal_without_names_is_seen_though_its_changes_are_told_late(dripping, remove):
    """Guarantee 31."""
    for number in range(5):
        for key in ("a", "b"):
            await dripping.set(key, number, tags=["t"])
        assert await dripping.get_many("a", "b") == (number, number)
        await remove(dripping)
        assert await dripping.get_many("a", "b") == (None, None), number


async def test_a_write_is_seen_though_its_change_is_told_late(dripping):
    """Guarantee 31."""
    for number in range(10):
        await dripping.set("k", number)
        assert await dripping.get("k") == number
        await dripping.incr("k", 100)
        assert await dripping.get("k") == number + 100
        await dripping.delete("k")
        assert await dripping.get("k") is None


@pytest.mark.parametrize("remove", REMOVALS)
async def test_a_removal_by_another_cache_of_the_same_keys_is_seen_once_the_server_was_heard(cache, other, remove):
    """Guarantee 31: a marker that is read after it, over the same connection, is never newer than memory."""
    for number in range(20):
        for key in ("a", "b"):
            await cache.set(key, number, tags=["t"])
        assert await cache.get_many("a", "b") == await other.get_many("a", "b") == (number, number)
        await remove(other)
        assert await other.get_many("a", "b") == (None, None)
        await cache.get_raw("marker")
        assert await cache.get_many("a", "b") == (None, None)


async def test_every_write_is_seen_by_the_next_read(cache):
    """Guarantee 31: one's own finished writes are seen at once."""
    for number in range(200):
        await cache.set("k", number)
        assert await cache.get("k") == number
        assert await cache.incr("k", 3) == await cache.get("k") == number + 3
        await cache.set_many({"k": -number, "l": number})
        assert await cache.get_many("k", "l") == (-number, number)
        async with cache.transaction():
            await cache.set("k", "in a transaction")
        assert await cache.get("k") == "in a transaction"
        await cache.set_raw("k", b"7")
        assert await cache.get("k") == 7
        await cache.expire("k", 0)
        assert await cache.get("k") is None
        await cache.set("k", 1)
        assert await cache.get("k") == 1
        await cache.delete_many("k", "l")
        assert await cache.get_many("k", "l") == (None, None)


async def test_a_write_of_very_many_keys_is_seen_by_the_next_read(cache):
    keys = [f"k{number}" for number in range(3_000)]
    for number in range(3):
        await cache.set_many(dict.fromkeys(keys, number))
        assert await cache.get_many(*keys) == (number,) * len(keys)
        assert await cache.get(keys[-1]) == number
    await cache.delete_many(*keys)
    assert await cache.get_many(*keys) == (None,) * len(keys)


async def test_a_cancelled_write_is_seen_once_it_has_happened(cache, server):
    for number in range(50):
        await cache.get("k")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.set, "k", number)
            await checkpoint()
            tasks.cancel_scope.cancel()
        await cache.ping()
        stored = server.command("GET", f"{PREFIX}k")
        assert await cache.get("k") == (None if stored is None else int(stored))


async def test_a_refused_write_leaves_nothing_in_memory(cache):
    await cache.set("k", 1)
    assert await cache.get("k") == 1
    assert await cache.set("k", 2, exist=False) is False
    assert await cache.set("l", 2, exist=True) is False
    assert await cache.get_many("k", "l") == (1, None)
    await cache.set_lock("lock", "me", 100)
    assert await cache.set_lock("lock", "you", 100) is False
    assert await cache.get("lock") is None


async def test_a_failed_write_leaves_nothing_in_memory(opened):
    with Server(maxmemory_policy="noeviction") as server:
        async with opened(server.url) as cache:
            await cache.set("k", 1)
            assert await cache.get("k") == 1
            server.command("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(CacheBackendInteractionError):
                await cache.set("k", 2)
            assert await cache.get("k") == 1


async def test_a_suppressed_removal_raises_nothing(opened):
    with Server() as server:
        async with opened(server.url, suppress=True) as cache:
            await cache.set("k", 1)
            server.kill()
            await cache.delete_tags("t")
            await cache.delete_match("*")
            await cache.clear()


async def test_no_update_is_lost_between_caches(cache, other):
    """Guarantee 16: a transaction never reads from memory."""

    async def add(one):
        for _ in range(50):
            await one.get("n")
            async with one.transaction(timeout=1_000):
                await one.set("n", (await one.get("n", default=0)) + 1)

    async with anyio.create_task_group() as tasks:
        for one in (cache, other):
            for _ in range(2):
                tasks.start_soon(add, one)
    assert await cache.get("n") == await other.get("n") == 200
