"""How much a store keeps about tags: as much as the live keys need, and nothing for ever."""

from __future__ import annotations

from math import ceil

import pytest

from cashews import Cache
from cashews.table.tag_index import MOST_MARKS
from tests.internals import inside
from tests.servers import RECORD, index_of, record_of
from tests.subjects import each, on_memory

MANY = 300

on_server = pytest.mark.parametrize("subject", each(["redis", "redis-many-chained", "redis-many"]), indirect=True)


def figures(cache):
    backend = inside(cache).store().statistics()
    return backend["tagged"], backend["tags"]


@pytest.fixture
def server(subjects_server):
    return subjects_server


@pytest.fixture
def stored(server):
    """``stored()``: every key on the server but the records of deletions, which the server lets go of by itself."""
    return lambda: {key for key in server.command("KEYS", "*") if not key.endswith(RECORD)}


CYCLES = {
    "delete": lambda cache, key: cache.delete(key),
    "delete_many": lambda cache, key: cache.delete_many(key, "absent"),
    "delete_match": lambda cache, key: cache.delete_match(key + "*"),
    "expire": lambda cache, key: cache.expire(key, 0),
    "set_with_no_life": lambda cache, key: cache.set(key, 1, -1),
    "delete_tags": lambda cache, _: cache.delete_tags("all"),
}


@pytest.mark.parametrize("how", CYCLES)
@pytest.mark.parametrize("ttl", [None, 60])
@on_memory
async def test_in_memory_nothing_is_left_of_keys_that_are_gone(cache, how, ttl):
    """Guarantee 18; D66, D68."""
    for number in range(MANY):
        await cache.set(f"k:{number}", 1, ttl, tags=["all", f"own:{number}", f"some:{number % 3}"])
        await CYCLES[how](cache, f"k:{number}")
    assert figures(cache) == (0, 0)


@pytest.mark.parametrize("how", CYCLES)
@pytest.mark.parametrize("ttl", [None, 60])
@on_server
async def test_on_a_server_nothing_is_left_of_keys_that_are_gone(cache, stored, how, ttl):
    """Guarantee 18; D66, D67, D68: no member, no empty set, no key of the bookkeeping."""
    for number in range(20):
        await cache.set(f"k:a:b:{number}", 1, ttl, tags=["all", f"own:{number}", f"some:{number % 3}"])
        await CYCLES[how](cache, f"k:a:b:{number}")
    assert stored() == set()


@on_memory
async def test_expired_evicted_replaced_and_cleared_keys_leave_their_tags(cache, clock):
    """Guarantee 18; D69."""
    await cache.set("expires", 1, 1, tags=["t"])
    await cache.set("replaced", 1, tags=["u"])
    await cache.set("replaced", 1)
    await clock.advance(1)
    await clock.advance(1)
    assert figures(cache) == (0, 0)
    await cache.set("cleared", 1, tags=["t"])
    await cache.clear()
    assert figures(cache) == (0, 0)


@on_memory
async def test_an_evicted_key_leaves_its_tags_and_no_tag_is_evicted_before_its_keys(clock):
    """Guarantees 18, 27; D69."""
    async with Cache.open("mem://", size=3, clock=clock) as cache:
        for number in range(10):
            await cache.set(f"k:{number}", 1, tags=["t", f"own:{number}"])
        assert figures(cache) == (3, 4)
        await cache.delete_tags("t")
        assert await cache.get_keys_count() == 0


@on_memory
async def test_so_many_deletions_are_remembered_and_no_more(cache):
    """Guarantees 27, 10: a load that more of them have overtaken is not stored."""
    since = inside(cache).table().tag_index.mark
    await cache.delete_tags(*(f"t:{number}" for number in range(MOST_MARKS + 5)))
    assert inside(cache).store().statistics()["deleted_tags"] == MOST_MARKS
    index = inside(cache).table().tag_index
    assert index.overtaken(("other",), since)
    assert not index.overtaken(("other",), index.mark)


# --- on a server


@on_server
async def test_an_index_lives_as_long_as_its_last_key(cache, server):
    """Guarantee 18; D65: whatever was written last."""
    await cache.set("long", 1, 3600, tags=["t"])
    await cache.set("short", 1, 10, tags=["t", "short"])

    from cashews.backends.redis.wire import pack  # noqa: PLC0415  it needs the extra `redis`

    async def left(tag):
        await cache.get("frame")  # between two batches the time on the server is parked
        connection = inside(cache).store()._servers.connections[0]
        milliseconds = await connection.ask(pack(("PTTL", index_of(tag))))
        return milliseconds if milliseconds < 0 else ceil(milliseconds / 1000)

    assert 3600 <= await left("t") <= 3602
    assert 10 <= await left("short") <= 12
    await cache.set("for ever", 1, tags=["t"])
    assert await left("t") == -1
    await cache.delete("for ever")
    assert 3600 <= await left("t") <= 3602
    await cache.delete("long")
    assert 10 <= await left("t") <= 12
    assert server.command("ZCARD", index_of("t")) == 1


OVERWRITES = {
    "set": lambda cache: cache.set("a", 2),
    "set_with_expire": lambda cache: cache.set("a", 2, 60),
    "set_many": lambda cache: cache.set_many({"a": 2}),
    "set_many_with_expire": lambda cache: cache.set_many({"a": 2}, 60),
    "set_raw": lambda cache: cache.set_raw("a", b"2"),
    "set_raw_with_expire": lambda cache: cache.set_raw("a", b"2", 60),
    "set_with_other_tags": lambda cache: cache.set("a", 2, tags=["u"]),
}


@pytest.mark.parametrize("how", OVERWRITES)
@on_server
async def test_a_value_that_is_overwritten_leaves_the_indexes_of_its_tags(cache, stored, how):
    """Guarantee 18; D66."""
    await cache.set("a", 1, tags=["t"])
    await OVERWRITES[how](cache)
    assert stored() - {index_of("u")} == {b"a"}


@on_server
async def test_hits_are_counted_beside_the_tags(cache):
    runs = []

    @cache.hit(90, 2, key="k", prefix="", tags=["t"])
    async def cached():
        runs.append(1)

    for _ in range(7):
        await cached()
    assert len(runs) == 3
    assert await cache.get_key_tags("k") == ("t",)
    await cache.delete_tags("t")
    assert not await cache.exists("k")


@on_server
async def test_expired_keys_are_taken_out_by_those_that_join(cache, clock, server):
    """Guarantee 18; D66."""
    for number in range(40):
        await cache.set(f"k:{number}", 1, 5, tags=["t"])
    await clock.advance(5)
    await cache.set("lives", 1, 60, tags=["t"])
    for number in range(15):
        await cache.set("lives", number, 60, tags=["t"])
    assert server.command("ZRANGE", index_of("t"), 0, -1) == [b"lives"]


@on_server
async def test_a_set_of_tags_goes_with_the_last_of_its_keys(cache, clock, stored):
    """Guarantee 18; D68."""
    await cache.set("a", 1, 5, tags=["t"])
    await cache.set("b", 1, 9, tags=["t"])
    await clock.advance(12)
    await cache.get("frame")
    assert stored() == set()


@on_server
async def test_keys_that_another_program_removed_are_not_kept_for_ever(cache, server):
    """Guarantee 18: nor those that the server evicted; whoever joins looks at some of the members."""
    for number in range(60):
        await cache.set(f"k:{number}", 1, tags=["t"])
    server.command("DEL", *(f"k:{number}" for number in range(60)))
    for number in range(200):
        await cache.set("lives", number, tags=["t"])
    assert server.command("ZCARD", index_of("t")) < 6


@on_server
async def test_a_member_that_does_not_carry_the_tag_is_not_deleted(cache, server):
    """Guarantee 18: the value says what it carries, the index only where to look."""
    await cache.set("a", 1, tags=["t"])
    server.command("SET", "a", 5)
    await cache.delete_tags("t")
    assert await cache.get("a") == 5
    assert server.command("EXISTS", index_of("t")) == 0


@on_server
async def test_clearing_removes_the_bookkeeping_and_leaves_what_is_written_meanwhile(cache, server, stored):
    from cashews.backends.redis import tags  # noqa: PLC0415  it needs the extra `redis`

    await cache.set("a", 1, tags=["t"])
    server.command("DEL", "a")
    await cache.set("b", 1, tags=["u"])
    await cache.clear()
    assert stored() == set()
    await cache.set("c", 1, tags=["u"])
    await tags.prune(inside(cache).store().remote, index_of("u"))
    await cache.delete_tags("u")
    assert await cache.get("c") is None


@on_server
async def test_a_deletion_is_remembered_for_an_hour(cache, server, clock):
    await cache.delete_tags("t")
    assert server.command("EXISTS", record_of("t")) == 1
    await clock.advance(3_600)
    await cache.get("frame")
    assert server.command("EXISTS", record_of("t")) == 0


@on_server
async def test_a_tag_of_more_keys_than_one_script_deletes_is_deleted_in_full(cache, stored):
    """Guarantee 25."""
    for start in range(0, 1_200, 400):
        for number in range(start, start + 400):
            await cache.set(f"k:{number}", 1, tags=["t", f"u:{number % 7}"])
    await cache.delete_tags("t")
    assert stored() == set()


@on_server
async def test_a_counter_of_round_trips_and_commands(cache, server):
    """What the guide says an operation costs."""
    statistics = inside(cache).store().statistics

    async def cost(operation):
        before = statistics()["commands"]
        await operation
        return statistics()["commands"] - before

    await cache.set("warm", 1, tags=["t"])
    await cache.delete("warm")
    await cache.delete_tags("warm")
    assert await cost(cache.set("a", 1, 60, tags=["t", "u"])) == 1
    assert await cost(cache.set("a", 1, 60)) == 1
    assert await cost(cache.delete("a")) == 1
    assert await cost(cache.delete_tags("t", "u")) == 2
    assert await cost(cache.get_or_set("b", 1, 60, tags=["t"])) == 3  # read, the server's time, write
    assert await cost(cache.get_or_set("b", 1, 60, tags=["t"])) == 1
    assert server.command("EXISTS", "b") == 1
