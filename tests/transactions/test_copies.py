"""The copy policy and the records of `detect` are the same inside of a transaction as outside (guarantees 8 and 15)."""

import pytest

from cashews.commands import Command


async def test_a_write_of_its_own_is_what_it_was_at_the_call(cache, subject):
    """Where the store keeps copies; a store that shares its objects shares them here, too."""
    shares = subject.options.get("copy") is None and subject.url == "mem://" and "secret" not in subject.options
    value = {"items": [1]}
    async with cache.transaction():
        await cache.set("k", value)
        value["items"].append(2)
        read = await cache.get("k")
        assert read == ({"items": [1, 2]} if shares else {"items": [1]})
        read["items"].append(3)
        (again,) = await cache.get_many("k")
        assert again == ({"items": [1, 2, 3]} if shares else {"items": [1]})
    assert await cache.get("k") == ({"items": [1, 2, 3]} if shares else {"items": [1]})


@pytest.mark.parametrize("before", [True, False])
async def test_answers_from_the_cache_are_detected_inside_of_a_transaction(cache, before):
    @cache(60, key="inner")
    async def inner():
        return 1

    @cache(60, key="outer", upper=True)
    async def outer():
        return await inner()

    if before:
        await inner()
    async with cache.transaction():
        if not before:
            await inner()
        with cache.detect as detector:
            assert await inner() == 1
            assert await outer() == 1
            with cache.disabling(Command.PING):
                assert await inner() == 1
        assert [record["name"] for record in detector.calls["inner"]] == ["simple"] * 3
        assert not await cache.exists("outer")
