"""Times to live of any length: alike on all stores, for values, structures and locks."""

from __future__ import annotations

import pytest

from cashews import messages as m
from cashews.ttl import LONGEST
from tests.internals import inside

LONG = [LONGEST - 1, LONGEST, LONGEST + 1, 9e15, 2.0**53, 1e17, float(2**63), 1e100, 1.7e308]


@pytest.mark.parametrize("ttl", LONG)
async def test_a_time_to_live_of_any_length_is_one_of_the_longest_at_most(cache, clock, ttl):
    """Guarantee 1."""
    await cache.set("value", 1, expire=ttl)
    await cache.set_many({"many": 1}, expire=ttl)
    await cache.set_raw("raw", b"1", expire=ttl)
    await cache.incr("counter", expire=ttl)
    await cache.set_add("set", "member", expire=ttl)
    await cache.slice_incr("window", clock.now() - 1, clock.now(), 5, expire=ttl)
    await cache.set("short", 1, expire=1)
    await cache.expire("short", ttl)
    for key in ("value", "many", "raw", "counter", "set", "window", "short"):
        assert abs(await cache.get_expire(key) - min(ttl, LONGEST)) <= 1, key
    await clock.advance(1_000)
    assert await cache.get_many("value", "many", "counter", "short") == (1, 1, 1, 1)


@pytest.mark.no_transaction
@pytest.mark.parametrize("ttl", LONG)
async def test_locks_and_limits_of_any_length_hold(cache, clock, ttl):
    assert await cache.set_lock("lock", "token", ttl)

    @cache.rate_limit(limit=1, period=ttl, ttl=ttl, key="limit", action=lambda: "refused")
    async def limited():
        return "ran"

    @cache(ttl=ttl, key="function")
    async def function():
        return clock.now()

    begun = await function()
    assert [await limited() for _ in range(3)] == ["ran", "refused", "refused"]
    await clock.advance(10)
    assert await cache.is_locked("lock")
    assert await limited() == "refused"
    assert await function() == begun
    assert await inside(cache).ask(m.Unlock("lock", "token")) is True


@pytest.mark.parametrize("ttl", [-LONGEST, -1e17, -1.7e308])
async def test_a_time_to_live_in_the_far_past_removes(cache, ttl):
    await cache.set("k", 1)
    await cache.set("k", 2, expire=ttl)
    assert not await cache.exists("k")
    await cache.set("k", 1)
    await cache.expire("k", ttl)
    assert not await cache.exists("k")
