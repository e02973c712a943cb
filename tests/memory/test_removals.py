"""Why values leave: causes, and what listeners may do."""

from __future__ import annotations

import logging

import pytest

from cashews import Cache, Cause
from cashews.exceptions import NotConfiguredError
from tests.internals import inside


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", clock=clock, size=3) as cache:
        yield cache


@pytest.fixture
def removed(cache):
    removals = []
    cache.on_remove(lambda key, value, cause: removals.append((key, value, cause)))
    return removals


async def test_a_value_that_is_touched_after_its_deadline_has_expired(cache, removed, clock):
    """Guarantee 27."""
    await cache.set("k", "v", expire=0.5)
    await clock.advance(0.5)
    assert removed == []
    await cache.get("k")
    assert removed == [("k", "v", Cause.EXPIRED)]


async def test_a_value_that_is_swept_has_expired(cache, removed, clock):
    await cache.set("k", "v", expire=0.5)
    await clock.advance(3)
    assert removed == [("k", "v", Cause.EXPIRED)]


async def test_the_least_recently_used_value_is_evicted(cache, removed):
    for key in "abc":
        await cache.set(key, key.upper())
    await cache.get("a")
    await cache.set("d", "D")
    await cache.set_many({"e": "E", "f": "F"})
    assert removed == [(key, key.upper(), Cause.EVICTED) for key in "bca"]


async def test_a_value_that_is_overwritten_is_replaced(cache, removed):
    await cache.set("k", 1)
    await cache.set("k", 2)
    await cache.set_raw("k", 3)
    await cache.set_many({"k": 4})
    await cache.set("k", 5, exist=False)
    assert removed == [("k", value, Cause.REPLACED) for value in (1, 2, 3)]


async def test_a_set_that_is_overwritten_is_replaced_and_an_expired_one_is_expired(cache, removed, clock):
    await cache.set_add("s", "a")
    await cache.set("s", 1)
    await cache.set_add("t", "a", expire=0.5)
    await clock.advance(0.5)
    await cache.set("t", 1)
    assert [(key, cause) for key, _, cause in removed] == [("s", Cause.REPLACED), ("t", Cause.EXPIRED)]


@pytest.mark.parametrize(
    "remove",
    [
        lambda cache: cache.delete("k"),
        lambda cache: cache.delete_many("x", "k", "k"),
        lambda cache: cache.delete_match("k*"),
        lambda cache: cache.clear(),
        lambda cache: cache.expire("k", 0),
        lambda cache: cache.set("k", 2, expire=0),
        lambda cache: cache.set_many({"k": 2}, expire=-1),
        lambda cache: cache.close(),
    ],
)
async def test_a_value_that_is_removed_on_purpose_is_deleted(cache, removed, remove):
    await cache.set("k", "v", expire=100)
    await remove(cache)
    assert removed == [("k", "v", Cause.DELETED)]


async def test_a_set_that_was_emptied_is_deleted(cache, removed):
    await cache.set_add("s", "a")
    await cache.set_pop("s")
    assert [(key, cause) for key, _, cause in removed] == [("s", Cause.DELETED)]


async def test_reading_and_refused_writing_remove_nothing(cache, removed):
    await cache.set("k", 1)
    await cache.get("k")
    await cache.set("k", 2, exist=False)
    await cache.set("x", 2, exist=True)
    await cache.incr("c")
    await cache.incr("c")
    await cache.delete("nothing")
    await cache.expire("k", 100)
    assert removed == []


async def test_an_error_of_a_listener_is_logged_and_harms_nobody(cache, caplog):
    """Guarantee 27."""

    def fail(*removal):
        raise LookupError(removal)

    seen = []
    cache.on_remove(fail)
    cache.on_remove(lambda *removal: seen.append(removal))
    with caplog.at_level(logging.ERROR, "cashews"):
        await cache.set("k", 1)
        assert await cache.set("k", 2) is True
        assert await cache.delete("k") is True
    assert seen == [("k", 1, Cause.REPLACED), ("k", 2, Cause.DELETED)]
    assert [record.exc_info[0] for record in caplog.records] == [LookupError] * 2
    assert "'k'" in caplog.text


async def test_an_error_of_a_listener_does_not_end_the_sweeper(cache, clock, caplog):
    def fail(*removal):
        raise LookupError(removal)

    cache.on_remove(fail)
    await cache.set("a", 1, expire=1)
    await cache.set("b", 1, expire=5)
    await clock.advance(10)
    assert cache.statistics().backends[""]["expired"] == 2
    assert len(caplog.records) == 2


async def test_listeners_are_called_after_the_turn(cache):
    """Guarantee 27: no user code runs while the table changes; each call sees the state after the whole command."""
    table = inside(cache).table()
    seen = []
    cache.on_remove(lambda *_: seen.append(list(table.values)))
    await cache.set_many({f"k{number}": number for number in range(10)})
    assert seen == [["k7", "k8", "k9"]] * 7
    seen.clear()
    await cache.delete_many("k7", "k8", "k9")
    assert seen == [[]] * 3


async def test_listeners_come_and_go(cache):
    first, second = [], []
    stop_first = cache.on_remove(lambda *removal: first.append(removal))
    cache.on_remove(lambda *removal: second.append(removal))
    await cache.set("k", 1)
    await cache.delete("k")
    stop_first()
    stop_first()
    await cache.set("k", 2)
    await cache.delete("k")
    assert len(first) == 1
    assert len(second) == 2


async def test_a_listener_may_stop_itself_while_it_is_called(cache):
    seen = []

    def once(*removal):
        seen.append(removal)
        stop()

    stop = cache.on_remove(once)
    await cache.set("k", 1)
    await cache.set("k", 2)
    await cache.set("k", 3)
    assert len(seen) == 1


async def test_listeners_belong_to_one_backend(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        cache.setup("mem://", prefix="user:")
        seen = []
        cache.on_remove(lambda *removal: seen.append(removal), prefix="user:")
        with pytest.raises(NotConfiguredError, match="'nothing:'"):
            cache.on_remove(seen.append, prefix="nothing:")
        await cache.set_many({"user:1": 1, "k": 2})
        await cache.delete_match("*")
        assert seen == [("user:1", 1, Cause.DELETED)]
