"""`get_or_set`: the simple strategy for a default that is written down at the call."""

from functools import partial

import pytest
from anyio.lowlevel import checkpoint

from cashews import Command


async def later():
    await checkpoint()
    return "default"


@pytest.mark.parametrize(
    "default",
    [lambda: "default", lambda: lambda: "default", lambda: later, lambda: partial(later), later],
    ids=["value", "callable", "async function", "callable of an awaitable", "awaitable"],
)
async def test_a_default_may_be_given_in_many_ways(cache, default):
    """D26."""
    assert await cache.get_or_set("k", default(), 90) == "default"
    assert await cache.get("k") == "default"
    assert await cache.get_expire("k") == 90
    assert await cache.get_or_set("k", default()) == "default"


@pytest.mark.parametrize("value", [None, 0, False, ""])
async def test_a_falsy_value_is_there(cache, value):
    await cache.set("k", value)
    assert await cache.get_or_set("k", "default") == value


async def test_a_default_that_is_not_needed_is_not_called(cache):
    await cache.set("k", 1)

    def default():
        raise AssertionError

    assert await cache.get_or_set("k", default) == 1


async def test_an_error_is_raised_and_nothing_stored(cache):
    def default():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cache.get_or_set("k", default)
    assert not await cache.exists("k")
    assert await cache.get_or_set("k", 1) == 1


async def test_it_may_be_nested(cache):
    async def outer():
        return [await cache.get_or_set("inner", later), await cache.get_or_set("outer", "same key")]

    assert await cache.get_or_set("outer", outer) == ["default", "same key"]


async def test_a_disabled_cache_gives_the_default_each_time(cache):
    runs = []
    with cache.disabling(Command.GET, Command.SET):
        for _ in range(2):
            assert await cache.get_or_set("k", lambda: runs.append(1)) is None
    assert len(runs) == 2
