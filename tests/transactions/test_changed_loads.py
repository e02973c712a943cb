"""Changes of a key, in the transaction that has stored the result of a load under it, go on from that result."""

from __future__ import annotations

from itertools import product

import pytest

from cashews import Cache
from tests.internals import inside


async def add(cache):
    return await cache.incr("k", 2)


async def prolong(cache):
    return await cache.expire("k", 100)


async def keep(cache):
    return await cache.set("k", 9, exist=False)


async def replace(cache):
    return await cache.set("k", 9, exist=True)


async def remove_others(cache):
    return await cache.delete_match("x*")


async def remove(cache):
    return await cache.delete_match("k*")


@pytest.mark.parametrize("change", [add, prolong, keep, replace, remove_others, remove])
@pytest.mark.parametrize("is_read", [False, True], ids=["", "read before"])
async def test_a_change_of_a_loaded_value_is_what_it_is_outside(subject, clock, change, is_read):
    """Guarantee 15: all of it is committed, and what is read before is what is committed."""
    outcomes = []
    for is_inside in (False, True):
        async with subject.open(clock) as cache:
            await cache.clear()

            async def steps(cache=cache):
                await cache.get_or_set("k", 5, 60)
                seen = await cache.get("k") if is_read else None
                return seen, await change(cache), await cache.get("k"), await cache.get_expire("k")

            if is_inside:
                async with cache.transaction():
                    replies = await steps()
            else:
                replies = await steps()
            outcomes.append((replies, await cache.get("k"), await cache.get_expire("k")))
    assert outcomes[0] == outcomes[1]


async def write(cache):
    await cache.set("k", 100)


async def delete(cache):
    await cache.delete("k")


@pytest.mark.parametrize("steps", [*product([write, delete], [add, prolong, keep, replace])])
async def test_a_change_builds_on_no_load_that_others_have_overtaken(subject, clock, outside, mode, steps):
    """Guarantee 10: the change is one of the value that the others have stored."""
    overtake, change = steps
    async with subject.open(clock) as cache:
        await cache.clear()
        async with cache.transaction(mode):
            await cache.get_or_set("k", 5, 60)
            await outside(overtake, cache)
            within = await change(cache), await cache.get("k")
        committed = await cache.get("k")
        await overtake(cache)
        assert (within, committed) == ((await change(cache), await cache.get("k")), await cache.get("k"))


@pytest.mark.parametrize("change", [None, add, remove_others])
async def test_a_permit_is_followed_until_the_value_is_stored(change):
    """Guarantee 10: else a near store misses an invalidation that comes while the transaction commits."""
    async with Cache.open("mem://", check_interval=0) as cache:
        stored = []
        async with cache.transaction():
            await cache.get_or_set("k", 5, 60)
            [permit] = inside(cache).engine.permits.all()
            permit.followed, permit.unfollow = True, lambda: stored.append(inside(cache).stored())
            if change is not None:
                await change(cache)
        assert stored == [["k"]]
        assert not permit.void
