"""Several backends by key prefix."""

from __future__ import annotations

import pytest

from cashews import Cache
from cashews.exceptions import NotConfiguredError
from tests.internals import inside


@pytest.fixture
async def routed(clock):
    """Three backends; `on(prefix)` says which keys are on one of them."""
    async with Cache.open("mem://", clock=clock) as cache:
        cache.setup("mem://", prefix="user:")
        cache.setup("mem://", prefix="user:vip:")
        yield cache


KEYS = {"k": 1, "user:1": 2, "user:vip:1": 3, "user": 4, "users:1": 5}


def on(cache, prefix):
    return sorted(inside(cache).stored(prefix))


async def test_the_longest_prefix_wins(routed):
    for key, value in KEYS.items():
        await routed.set(key, value)
    assert on(routed, "") == ["k", "user", "users:1"]
    assert on(routed, "user:") == ["user:1"]
    assert on(routed, "user:vip:") == ["user:vip:1"]
    assert [await routed.get(key) for key in KEYS] == list(KEYS.values())


def test_a_key_is_looked_for_once_for_each_length_of_a_prefix(monkeypatch):
    """A hundred prefixes cost as much as their different lengths."""
    looked = []

    class Noting(dict):
        def get(self, prefix):
            looked.append(prefix)
            return super().get(prefix)

    cache = Cache()
    for prefix in ["", *[f"p{number:03}:" for number in range(100)]]:
        cache.setup("mem://", prefix=prefix)
    routes = inside(cache).engine.routes
    monkeypatch.setattr(routes, "_by_prefix", Noting(routes._by_prefix))
    assert [routes.of(key).prefix for key in ("p050:k", "p5", "k")] == ["p050:", "", ""]
    assert looked == ["p050:", "p5", "", "k", ""]


async def test_many_keys_are_split_and_answered_in_order(routed):
    """Guarantee 1."""
    await routed.set_many(KEYS, expire=10)
    assert on(routed, "user:") == ["user:1"]
    asked = ["user:vip:1", "k", "user:1", "nothing", "k", "user:nothing"]
    assert await routed.get_many(*asked, default="-") == (3, 1, 2, "-", 1, "-")
    await routed.delete_many("user:vip:1", "k")
    assert await routed.get_many(*KEYS) == (None, 2, None, 4, 5)


async def test_patterns_reach_every_backend_that_may_hold_a_match(routed):
    """D50."""
    await routed.set_many(KEYS)
    assert sorted([key async for key in routed.scan("*")]) == sorted(KEYS)
    assert sorted([key async for key in routed.scan("user*")]) == ["user", "user:1", "user:vip:1", "users:1"]
    assert sorted([key async for key in routed.scan("user:*")]) == ["user:1", "user:vip:1"]
    assert [key async for key in routed.scan("user:vip:1")] == ["user:vip:1"]
    assert dict([pair async for pair in routed.get_match("*1")]) == {"user:1": 2, "user:vip:1": 3, "users:1": 5}
    await routed.delete_match("*:1")
    assert sorted([key async for key in routed.scan("*")]) == ["k", "user"]
    await routed.delete_match("*")
    assert await routed.get_keys_count() == 0


async def test_counting_and_clearing_are_about_all_backends(routed):
    """D50."""
    await routed.set_many(KEYS)
    assert await routed.get_keys_count() == len(KEYS)
    await routed.clear()
    assert await routed.get_keys_count() == 0
    assert [on(routed, prefix) for prefix in ("", "user:", "user:vip:")] == [[], [], []]


async def test_locks_and_structures_go_to_the_backend_of_their_key(routed):
    async with routed.lock("user:1", 10):
        assert routed.statistics().backends["user:"]["locks"] == 1
        assert routed.statistics().backends[""]["locks"] == 0
    await routed.set_add("user:vip:set", "a")
    assert on(routed, "user:vip:") == ["user:vip:set"]
    assert await routed.ping(b"x") == b"x"


async def test_without_a_default_backend_other_keys_are_an_error_that_names_the_prefixes(clock):
    """D37: a lock that is waited for asks for no key but its own."""
    cache = Cache(clock=clock)
    cache.setup("mem://", prefix="user:")
    async with cache:
        await cache.set("user:1", 1)
        for command in (cache.get("k"), cache.get_many("user:1", "k"), cache.set_many({"k": 1}), cache.delete("k")):
            with pytest.raises(NotConfiguredError, match=r"no backend for the key 'k'.*'user:'"):
                await command
        assert [key async for key in cache.scan("*")] == ["user:1"]
        assert await cache.get_keys_count() == 1
        assert await cache.ping() == b"PONG"
        await cache.set_lock("user:l", "other", 5)
        await cache.delete_match("*")
        with pytest.raises(NotConfiguredError):
            await cache.delete_match("k*")


@pytest.mark.parametrize("use", [lambda cache: cache.get("k"), lambda cache: cache.clear(), lambda cache: cache.ping()])
async def test_a_cache_that_is_not_set_up_says_so(use):
    cache = Cache()
    assert not cache.is_setup()
    with pytest.raises(
        NotConfiguredError, match=r"call cache.setup\(url\) first \(prefixes that have a backend: none\)"
    ):
        await use(cache)


async def test_a_part_that_fails_is_the_askers_error(routed):
    await routed.set_many({"k": "text", "user:1": 1})
    with pytest.raises(TypeError, match="'k'"):
        await routed.incr("k")
    assert await routed.get("user:1") == 1


async def test_a_cache_shows_its_routes(routed):
    assert repr(routed) == ("<Cache '' <Route 'user:vip:' -> mem>, <Route 'user:' -> mem>, <Route '' -> mem>>")
    assert repr(Cache("mine")) == "<Cache 'mine' not set up>"
