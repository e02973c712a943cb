"""The prefix of a client-side cache: every key at the server has it, and nobody sees another's."""

import pytest

from tests.near.conftest import PREFIX

pytestmark = pytest.mark.redis


async def use_everything(cache):
    """Use every command that stores something."""
    await cache.set("value", 1, tags=["t"])
    await cache.set_raw("raw", b"1")
    await cache.set_many({"many": 1})
    await cache.incr("counter")
    await cache.incr_bits("bits", 1)
    await cache.slice_incr("window", 0, 1, 10)
    await cache.set_add("set", "member")
    await cache.set_lock("lock", "token", 100)
    async with cache.transaction():
        await cache.set("in a transaction", 1, tags=["u"])
        await cache.delete_tags("t")

    @cache.locked(key="locked")
    @cache.rate_limit(limit=10, period=10, key="rate")
    @cache.circuit_breaker(errors_rate=10, period=10, ttl=10, key="circuit")
    @cache.bloom(capacity=10, name="bloom:{number}")
    async def guarded(number):
        return number

    @cache.hit(ttl="1h", cache_hits=10, key="hit")
    async def hit():
        return 1

    @cache.iterator(ttl="1h", key="iterator")
    async def iterator():
        yield 1

    await hit()
    await hit()
    assert [item async for item in iterator()] == [1]


async def test_every_key_at_the_server_begins_with_the_prefix(cache, server):
    await use_everything(cache)
    keys = server.command("KEYS", "*")
    assert len(keys) > 10
    assert [key for key in keys if not key.startswith(PREFIX.encode())] == []


async def test_the_default_prefix_is_that_of_cashews_7(opened, server):
    async with opened(client_side_prefix="cashews:") as cache:
        await cache.set("k", 1)
    assert server.command("KEYS", "*") == [b"cashews:k"]


async def test_replies_name_keys_and_tags_without_the_prefix(cache):
    await cache.set("k", 1, tags=["t"])
    await cache.set_lock("lock", "token", 100)
    assert [key async for key in cache.scan("*")] == ["k"]
    assert [pair async for pair in cache.get_match("k*")] == [("k", 1)]
    assert await cache.get_key_tags("k") == ("t",)
    assert [name async for name, _ in cache.locks("*")] == ["lock"]
    assert await cache.get_keys_count() == 1


async def test_caches_of_other_prefixes_do_not_see_each_other(opened):
    async with opened(client_side_prefix="one:") as one, opened(client_side_prefix="two:") as two:
        for cache, value in ((one, 1), (two, 2)):
            await cache.set("k", value, tags=["t"])
        assert (await one.get("k"), await two.get("k")) == (1, 2)
        assert [key async for key in one.scan("*")] == ["k"]
        assert await one.get_keys_count() == 1
        await one.delete_tags("t")
        assert (await one.get("k"), await two.get("k")) == (None, 2)
        await one.set("k", 1)
        await two.clear()
        assert (await one.get("k"), await two.get("k")) == (1, None)
        await two.delete_match("*")
        assert await one.get("k") == 1
