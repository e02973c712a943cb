"""The memory store with a serializer: it keeps bytes, and behaves like a store on a server."""

from __future__ import annotations

import anyio
import pytest

from cashews import Cache
from cashews.exceptions import EncodeError
from cashews.messages.values import Cause
from cashews.serialize import custom, register_type

ONE_OPTION = [
    {"pickle_type": "pickle"},
    {"pickle_type": "json"},
    {"secret": "s"},
    {"compress_type": "gzip"},
    {"check_repr": True},
]


@pytest.mark.parametrize("options", ONE_OPTION, ids=str)
async def test_any_option_of_the_serializer_has_values_kept_as_bytes(options):
    """Guarantee 8: what is read is an object of its own."""
    for url, keywords in (("mem://", options), ("mem://?copy=deep", options)):
        async with Cache.open(url, **keywords) as cache:
            value = {"a": [1]}
            await cache.set("k", value)
            value["a"].append(2)
            (await cache.get("k"))["a"].append(3)
            assert await cache.get("k") == {"a": [1]}
            assert isinstance(await cache.get_raw("k"), bytes)


async def test_without_one_the_object_itself_is_kept_and_served_in_place():
    async with Cache.open("mem://", size=5) as cache:
        value = object()
        await cache.set("k", value)
        assert await cache.get("k") is value
        assert "decode_failures" not in cache.statistics().backends[""]


async def test_json_is_what_json_makes_of_a_value():
    async with Cache.open("mem://?pickle_type=json") as cache:
        await cache.set("k", {"a": (1, None)})
        assert await cache.get_raw("k") == b'{"a": [1, null]}'
        assert await cache.get("k") == {"a": [1, None]}
        with pytest.raises(EncodeError, match=r"'k' \(type set\) cannot be encoded by json"):
            await cache.set("k", {1})
        assert await cache.get("k") == {"a": [1, None]}


async def test_integers_are_counted_whatever_the_secret():
    """Guarantee 26, reading l."""
    async with Cache.open("mem://?secret=s") as cache:
        await cache.set("k", -5)
        assert await cache.incr("k", 2) == -3
        assert await cache.get("k") == -3


async def test_what_was_tampered_with_is_absent_and_counted():
    """Guarantee 24: wherever it is read."""
    async with Cache.open("mem://?secret=s") as cache:
        await cache.set_many({"a": "x", "b": "y"})
        await cache.set_raw("b", await cache.get_raw("a"))
        assert await cache.get("b", "default") == "default"
        assert await cache.get_many("a", "b", default=0) == ("x", 0)
        assert [pair async for pair in cache.get_match("*")] == [("a", "x")]
        assert cache.statistics().backends[""]["decode_failures"] == 3


async def test_a_default_of_bytes_is_no_stored_value():
    async with Cache.open("mem://?secret=s") as cache:
        assert await cache.get("k", b"default") == b"default"
        assert await cache.get_many("k", default=b"default") == (b"default",)
        assert cache.statistics().backends[""]["decode_failures"] == 0


async def test_what_is_not_stored_is_not_encoded():
    async with Cache.open("mem://?pickle_type=json") as cache:
        await cache.set("k", 1)
        assert await cache.set("k", object(), expire=0) is False
        assert not await cache.exists("k")


@pytest.mark.parametrize("options", [{}, {"secret": "s"}, {"copy": "deep"}], ids=str)
async def test_hits_of_an_entry_are_counted(options):
    """Reading g."""
    async with Cache.open("mem://", pickle_type="pickle", **options) as cache:
        runs = []

        @cache.hit(ttl=100, cache_hits=3, key="k")
        async def function():
            runs.append(1)
            return len(runs)

        assert [await function() for _ in range(4)] == [1, 1, 1, 1]
        raw = await cache.get_raw("hit:k")
        assert [await function() for _ in range(5)] == [2, 2, 2, 2, 3]
        assert type(raw) is bytes
        assert raw != await cache.get_raw("hit:k")


async def test_removal_callbacks_are_told_the_bytes():
    async with Cache.open("mem://?pickle_type=json") as cache:
        seen = []
        cache.on_remove(lambda *removal: seen.append(removal))
        await cache.set("k", "old")
        await cache.set("k", "new")
        await cache.delete("k")
        assert seen == [("k", b'"old"', Cause.REPLACED), ("k", b'"new"', Cause.DELETED)]


async def test_what_was_invalidated_while_it_was_encoded_is_not_stored():
    """Guarantee 10: the store looks at the permit in the turn that would store."""

    class Slow:
        pass

    encoding, go_on = anyio.Event(), anyio.Event()

    async def encoder(*_):
        encoding.set()
        await go_on.wait()
        return b""

    async def decoder(*_):
        return Slow()

    register_type(Slow, encoder, decoder)
    try:
        async with Cache.open("mem://?pickle_type=json") as cache:

            @cache(ttl=100, key="k")
            async def function():
                return Slow()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(function)
                await encoding.wait()
                await cache.delete("k")
                go_on.set()
            assert not await cache.exists("k")
    finally:
        del custom._customs[Slow]
