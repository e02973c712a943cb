"""Fillings: a load of one's own stores under a ttl and tags that are known at its end (guarantees 10 and 18)."""

import pytest

from cashews import Cache
from cashews.exceptions import WrongArgumentError


async def test_a_load_stores_with_a_ttl_and_tags_of_its_result(cache, clock):
    async with cache.filling("k") as filling:
        assert await filling.set("k", "value", 10, ["t"])
        assert await filling.set("k:part", "more", 10)
    assert await cache.get_many("k", "k:part") == ("value", "more")
    assert await cache.get_key_tags("k") == ("t",)
    await clock.advance(10)
    assert await cache.get("k") is None


@pytest.mark.parametrize("invalidate", ["set", "delete", "delete_match", "delete_tags"])
async def test_an_invalidation_overtakes_the_load(cache, invalidate):
    async with cache.filling("k") as filling:
        argument = {"delete_tags": "t", "delete_match": "k*"}.get(invalidate, "k")
        await getattr(cache, invalidate)(argument, *(["newer"] if invalidate == "set" else []))
        assert not await filling.set("k", "older", tags=["t"])
    assert await cache.get("k") == ("newer" if invalidate == "set" else None)


async def test_what_came_before_the_beginning_overtakes_nothing(cache):
    await cache.set("k", 1, tags=["t"])
    filling = cache.filling("k")
    await cache.delete_tags("t")
    await filling.begin()
    assert await filling.set("k", 2, tags=["t"])
    filling.end()
    assert await cache.get("k") == 2


@pytest.mark.parametrize("tags", [[], ["own"]])
async def test_a_deletion_of_a_tag_that_no_value_carries_overtakes_the_load(cache, tags):
    await cache.delete_tags("every report")
    async with cache.filling("k", overtaken_by=["every report"]) as filling:
        assert await filling.set("k", 1, tags=tags)
        assert await cache.get_key_tags("k") == tuple(tags)
        await cache.delete_tags("another")
        assert await filling.set("k", 2, tags=tags)
        await cache.delete_tags("every report")
        assert not await filling.set("k", 3, tags=tags)
        assert not await filling.set("k:part", 3)
    assert await cache.get_many("k", "k:part") == (2, None)


async def test_registered_tags_are_added(cache):
    cache.register_tag("all:{name}", "thing:{name}")
    async with cache.filling("thing:a") as filling:
        await filling.set("thing:a", 1, tags=["t"])
    assert set(await cache.get_key_tags("thing:a")) == {"t", "all:a"}


async def test_nothing_is_stored_before_and_after(cache):
    filling = cache.filling("k")
    assert not await filling.set("k", 1)
    async with filling:
        assert cache.statistics().loads == 1
    assert cache.statistics().loads == 0
    assert not await filling.set("k", 1)
    filling.end()
    assert await cache.get("k") is None


def test_the_key_is_text():
    with pytest.raises(WrongArgumentError):
        Cache().filling(1)
