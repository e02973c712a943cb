"""Time: deadlines, what drops them, what reads them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cashews.exceptions import WrongTTLError


async def listed(items):
    return [item async for item in items]


SEEN_AS_ABSENT = {
    "get": (lambda cache, key: cache.get(key, "absent"), "absent"),
    "get_raw": (lambda cache, key: cache.get_raw(key, "absent"), "absent"),
    "get_many": (lambda cache, key: cache.get_many(key, default="absent"), ("absent",)),
    "get_match": (lambda cache, _: listed(cache.get_match("k*")), []),
    "scan": (lambda cache, _: listed(cache.scan("k*")), []),
    "exists": (lambda cache, key: cache.exists(key), False),
    "get_expire": (lambda cache, key: cache.get_expire(key), -2),
    "get_size": (lambda cache, key: cache.get_size(key), 0),
    "get_keys_count": (lambda cache, _: cache.get_keys_count(), 0),
    "expire": (lambda cache, key: cache.expire(key, 100), False),
    "delete": (lambda cache, key: cache.delete(key), False),
    "set, exist=True": (lambda cache, key: cache.set(key, 2, exist=True), False),
    "set, exist=False": (lambda cache, key: cache.set(key, 2, exist=False), True),
    "incr": (lambda cache, key: cache.incr(key, 5), 5),
    "get_bits": (lambda cache, key: cache.get_bits(key, 0), (0,)),
    "incr_bits": (lambda cache, key: cache.incr_bits(key, 0), (1,)),
    "slice_incr": (lambda cache, key: cache.slice_incr(key, 0, 1, 5), 1),
    "set_pop": (lambda cache, key: cache.set_pop(key), []),
    "get_or_set": (lambda cache, key: cache.get_or_set(key, "new"), "new"),
}


@pytest.mark.parametrize("command", SEEN_AS_ABSENT)
async def test_a_value_is_gone_at_its_deadline_for_every_command(cache, clock, command):
    """Guarantee 2; D83, D85, D123. In the middle of an interval between two sweeps: no sweeper has been there."""
    ask, absent = SEEN_AS_ABSENT[command]
    await cache.set("k", 1, expire=0.5)
    await clock.advance(0.5)
    assert await ask(cache, "k") == absent


MAKERS = {
    "set_add": lambda cache, key: cache.set_add(key, "a"),
    "incr_bits": lambda cache, key: cache.incr_bits(key, 7),
    "slice_incr": lambda cache, key: cache.slice_incr(key, 0, 1, 5),
    "incr": lambda cache, key: cache.incr(key),
}


@pytest.mark.no_transaction
@pytest.mark.parametrize("make", MAKERS)
async def test_structures_are_gone_at_their_deadline_too(cache, clock, make):
    """Guarantee 2."""
    for command, (ask, absent) in SEEN_AS_ABSENT.items():
        await cache.delete_match("*")
        await MAKERS[make](cache, "k")
        await cache.expire("k", 5)
        await clock.advance(4.99)
        assert await cache.exists("k")
        await clock.advance(0.01)
        assert (command, await ask(cache, "k")) == (command, absent)


@pytest.mark.parametrize("ttl", [0.01, 0.02, 0.25, 0.99, 1, 1.01, 59.99, 3600, 86_400.5, 10 * 365 * 86_400])
async def test_a_deadline_is_exact_to_ten_milliseconds(cache, clock, ttl):
    """Guarantee 1."""
    await clock.advance(0.37)
    await cache.set("k", 1, expire=ttl)
    await clock.advance(ttl - 0.005)
    assert await cache.get("k") == 1
    assert await cache.get_expire("k") == 1
    await clock.advance(0.01)
    assert await cache.get("k") is None
    assert await cache.get_expire("k") == -2


@pytest.mark.parametrize(("ttl", "whole"), [(10, 10), (0.01, 1), ("1500ms", 2), (timedelta(hours=1), 3600)])
async def test_get_expire_rounds_up(cache, ttl, whole):
    """Guarantee 1, reading j; D48."""
    await cache.set("a", 1, expire=ttl)
    await cache.set_raw("b", b"1", expire=ttl)
    await cache.set_many({"c": 1}, expire=ttl)
    await cache.incr("d", expire=ttl)
    await cache.set_add("e", "x", expire=ttl)
    await cache.slice_incr("f", 0, 1, 5, expire=ttl)
    await cache.set("g", 1)
    await cache.expire("g", ttl)
    assert {key: await cache.get_expire(key) for key in "abcdefg"} == dict.fromkeys("abcdefg", whole)


async def test_get_expire_counts_down(cache, clock):
    await cache.set("k", 1, expire=3)
    seen = []
    for _ in range(7):
        seen.append(await cache.get_expire("k"))
        await clock.advance(0.5)
    assert seen == [3, 3, 2, 2, 1, 1, -2]


async def test_without_expiry_it_is_minus_one_and_absent_is_minus_two(cache):
    """Guarantee 1, reading j."""
    await cache.set("k", 1)
    assert await cache.get_expire("k") == -1
    assert await cache.get_expire("nothing") == -2


async def test_a_value_without_expiry_stays(cache, clock):
    await cache.set("k", 1)
    await clock.advance(100 * 365 * 86_400)
    assert await cache.get("k") == 1


@pytest.mark.parametrize("ttl", [0, -0.5, timedelta(0), "0s"])
async def test_zero_and_negative_store_nothing_and_remove_what_is_there(cache, ttl):
    """Guarantee 1; D117, D123."""
    assert await cache.set("fresh", 1, expire=ttl) is False
    assert await cache.set_raw("fresh", b"1", expire=ttl) is False
    await cache.set_many({"fresh": 1}, expire=ttl)
    assert await cache.incr("fresh", 5, expire=ttl) == 5
    assert not await cache.exists("fresh")
    for store in (
        lambda: cache.set("k", 2, expire=ttl),
        lambda: cache.set_raw("k", b"2", expire=ttl),
        lambda: cache.set_many({"k": 2}, expire=ttl),
        lambda: cache.set("k", 2, expire=ttl, exist=True),
        lambda: cache.expire("k", ttl),
    ):
        await cache.set("k", 1)
        await store()
        assert not await cache.exists("k")
        await cache.set_add("k", "member")
        await store()
        assert not await cache.exists("k")
    await cache.set("k", 1)
    assert await cache.set("k", 2, expire=ttl, exist=False) is False
    assert await cache.get("k") == 1


async def test_set_without_expire_drops_an_earlier_ttl(cache, clock):
    """Guarantee 3; D83."""
    for store in (
        lambda: cache.set("k", 2),
        lambda: cache.set_raw("k", 2),
        lambda: cache.set_many({"k": 2}),
        lambda: cache.set("k", 2, exist=True),
    ):
        await cache.set("k", 1, expire=5)
        await store()
        assert await cache.get_expire("k") == -1
        await clock.advance(6)
        assert await cache.get("k") == 2


async def test_a_fresh_value_does_not_inherit_the_deadline_of_an_expired_one(cache, clock):
    """Guarantee 3; D83, D122."""
    await cache.set("k", 1, expire=1)
    await clock.advance(1)
    await cache.set("k", 2)
    await clock.advance(10)
    assert await cache.get("k") == 2


@pytest.mark.parametrize(("first", "then"), [(10, 100), (100, 10), (0.4, 0.2), (5, 5)])
async def test_the_last_ttl_holds(cache, clock, first, then):
    await cache.set("k", 1, expire=first)
    await cache.set("k", 2, expire=then)
    await clock.advance(then - 0.01)
    assert await cache.get("k") == 2
    await clock.advance(0.01)
    assert await cache.get("k") is None


async def test_expire_moves_a_deadline(cache, clock):
    await cache.set("k", 1, expire=10)
    assert await cache.expire("k", 100) is True
    await clock.advance(50)
    assert await cache.get_expire("k") == 50
    assert await cache.expire("k", "1s") is True
    await clock.advance(0.99)
    assert await cache.exists("k")
    await clock.advance(0.01)
    assert not await cache.exists("k")
    assert await cache.expire("k", 10) is False
    assert not await cache.exists("k")


async def test_expire_with_none_makes_a_value_stay(cache, clock):
    """D123."""
    await cache.set("k", 1, expire=10)
    assert await cache.expire("k", None) is True
    assert await cache.get_expire("k") == -1
    await clock.advance(11)
    assert await cache.get("k") == 1
    assert await cache.expire("nothing", None) is False


@pytest.mark.parametrize("ttl", [0, -1])
async def test_expire_with_nothing_left_removes_the_value(cache, ttl):
    """D123."""
    await cache.set("k", 1)
    assert await cache.expire("k", ttl) is True
    assert await cache.get("k") is None
    assert await cache.get_keys_count() == 0
    assert await cache.expire("k", ttl) is False


async def test_incr_sets_the_ttl_only_when_it_creates_the_counter(cache, clock):
    """Guarantee 3; D48, D75."""
    assert await cache.incr("k", expire="10s") == 1
    await clock.advance(4)
    assert await cache.incr("k", 5, expire=100) == 6
    assert await cache.incr("k") == 7
    assert await cache.get_expire("k") == 6
    await clock.advance(6)
    assert await cache.get("k") is None
    assert await cache.incr("k", 3, expire=20) == 3
    assert await cache.get_expire("k") == 20


async def test_incr_leaves_a_counter_without_expiry_as_it_is(cache):
    """Guarantee 3; D123."""
    await cache.incr("k", 5)
    await cache.incr("k", 5, expire=10)
    assert await cache.get_expire("k") == -1
    await cache.incr("by", 5, expire=10)
    assert await cache.get_expire("by") == 10


async def test_expired_keys_are_not_counted(cache, clock):
    """Guarantee 2."""
    for number in range(100):
        await cache.set(str(number), number, expire=number + 0.5)
    for passed in (0, 10, 49, 99, 100):
        await clock.advance(passed + 1_000 - clock.now())
        assert await cache.get_keys_count() == max(0, 100 - passed)
        assert len(await listed(cache.scan("*"))) == max(0, 100 - passed)


@pytest.mark.parametrize("ttl", ["", "1h30", "soon", [], float("nan"), float("inf"), True])
async def test_a_ttl_that_is_none_is_one_error_of_ours_and_stores_nothing(cache, ttl):
    """Guarantee 7; D52."""
    await cache.set("k", 1, expire=10)
    for command in (
        cache.set("k", 2, expire=ttl),
        cache.set_raw("k", 2, expire=ttl),
        cache.set_many({"k": 2}, expire=ttl),
        cache.incr("k", expire=ttl),
        cache.expire("k", ttl),
        cache.set_add("s", "a", expire=ttl),
        cache.slice_incr("w", 0, 1, 1, expire=ttl),
        cache.set_lock("l", "token", expire=ttl),
        cache.get_or_set("other", 1, expire=ttl),
    ):
        with pytest.raises(WrongTTLError, match="allowed: seconds"):
            await command
    assert await cache.get("k") == 1
    assert await cache.get_expire("k") == 10
    assert await cache.get_keys_count() == 1


# --- durations that nobody sees the end of

ENDLESS = [1e10, 1e17, 1.7e308, timedelta.max]
LONG = 10_000_000_000
LASTING = {
    "set": lambda cache, ttl: cache.set("k", 1, expire=ttl),
    "set, tags": lambda cache, ttl: cache.set("k", 1, expire=ttl, tags=["t"]),
    "set, exist": lambda cache, ttl: cache.set("k", 1, expire=ttl, exist=False),
    "set_raw": lambda cache, ttl: cache.set_raw("k", b"1", expire=ttl),
    "set_many": lambda cache, ttl: cache.set_many({"k": 1}, expire=ttl),
    "incr": lambda cache, ttl: cache.incr("k", expire=ttl),
    "set_add": lambda cache, ttl: cache.set_add("k", "a", expire=ttl),
    "slice_incr": lambda cache, ttl: cache.slice_incr("k", 0, 1, 5, expire=ttl),
    "get_or_set": lambda cache, ttl: cache.get_or_set("k", 1, expire=ttl),
}


@pytest.mark.parametrize("ttl", ENDLESS, ids=repr)
@pytest.mark.parametrize("how", LASTING)
async def test_a_time_to_live_of_centuries_is_three_of_them(cache, clock, how, ttl):
    """Alike on all stores: a server refuses more than it can count, and an infinite deadline is none."""
    await LASTING[how](cache, ttl)
    assert await cache.get_expire("k") == LONG
    await cache.expire("k", 10)
    assert await cache.expire("k", ttl)
    assert await cache.get_expire("k") == LONG
    await clock.advance(LONG // 2)
    assert await cache.get_expire("k") == LONG - LONG // 2
    await clock.advance(LONG // 2)
    assert not await cache.exists("k")


@pytest.mark.no_transaction
@pytest.mark.parametrize("ttl", ENDLESS, ids=repr)
async def test_a_lock_and_guards_may_last_for_centuries(cache, ttl):
    async def function():
        return 1

    assert await cache.set_lock("k", "token", ttl)
    assert await cache.is_locked("k")
    for number, decorate in enumerate(
        [
            cache.rate_limit(limit=5, period=ttl, ttl=ttl, key="{n}"),
            cache.slice_rate_limit(limit=5, period=ttl, key="{n}"),
            cache.circuit_breaker(errors_rate=50, period=ttl, ttl=ttl, half_open_ttl=ttl, key="{n}"),
        ]
    ):

        async def guarded(n):
            return n

        assert [await decorate(guarded)(number) for _ in range(2)] == [number] * 2
