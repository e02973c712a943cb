"""Stored bytes that cannot be decoded: absent for all that reads values (guarantee 24), and in nobody's way."""

from __future__ import annotations

import pytest

UNREADABLE = b"\0?neither a form nor a pickle"


@pytest.fixture
async def unreadable(cache):
    """A cache whose key `k` holds bytes that cannot be decoded, for 10 s."""
    assert await cache.set_raw("k", UNREADABLE, expire=10)
    return cache


async def test_they_are_absent_for_all_that_reads_values(unreadable):
    nothing = object()
    assert await unreadable.get("k", nothing) is nothing
    assert await unreadable.get_many("k", default=nothing) == (nothing,)
    assert [pair async for pair in unreadable.get_match("*")] == []


async def test_commands_that_read_no_values_see_the_key(unreadable):
    """Alike on all stores. They would have to read and decode the value to say otherwise."""
    assert await unreadable.exists("k")
    assert await unreadable.get_expire("k") == 10
    assert await unreadable.get_size("k") > 0
    assert await unreadable.get_keys_count() == 1
    assert [key async for key in unreadable.scan("*")] == ["k"]
    assert await unreadable.set("k", 1, exist=False) is False
    assert await unreadable.expire("k", 20)
    assert await unreadable.delete("k") is True
    assert await unreadable.get_keys_count() == 0


async def test_a_transaction_finds_them_as_they_are(unreadable):
    async with unreadable.transaction():
        assert await unreadable.get("k", "default") == "default"
        assert await unreadable.exists("k")
        assert await unreadable.get_expire("k") == 10
        await unreadable.expire("k", 20)
    assert await unreadable.get("k", "default") == "default"
    assert await unreadable.get_expire("k") == 20


async def test_a_load_takes_their_place(unreadable):
    assert await unreadable.get_or_set("k", "new", expire=30) == "new"
    assert await unreadable.get("k") == "new"
    assert await unreadable.get_expire("k") == 30


async def test_a_function_takes_their_place(unreadable):
    runs = []

    @unreadable(ttl=60, key="k")
    async def function():
        runs.append(1)
        return "new"

    assert [await function() for _ in range(2)] == ["new", "new"]
    assert len(runs) == 1


async def test_a_write_takes_their_place(unreadable):
    assert await unreadable.set("k", "new", exist=True) is True
    assert await unreadable.get("k") == "new"
    assert await unreadable.get_expire("k") == -1
