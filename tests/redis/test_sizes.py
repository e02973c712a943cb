"""Values that are larger than the server takes, and messages about so many keys that they are sent in parts."""

from __future__ import annotations

import logging

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews import messages as m
from cashews.backends.redis.keys import PAGE, WRITE
from tests.internals import inside

pytestmark = pytest.mark.redis

MOST = 100_000
LARGE = "x" * MOST
MANY = 20_000
WRITES = {
    "set": lambda cache: cache.set("k", LARGE),
    "set, expire": lambda cache: cache.set("k", LARGE, expire=60),
    "set, exist": lambda cache: cache.set("k", LARGE, exist=True),
    "set, tags": lambda cache: cache.set("k", LARGE, tags=["t"]),
    "set_raw": lambda cache: cache.set_raw("k", LARGE + "x"),
    "set_raw, bytes": lambda cache: cache.set_raw("k", LARGE.encode() + b"x"),
    "set_many": lambda cache: cache.set_many({"other": 1, "k": LARGE}),
    "set_many, expire": lambda cache: cache.set_many({"k": LARGE, "other": 1}, 60),
}


@pytest.fixture
async def limited(server):
    """A cache on a server that is said to take `MOST` bytes."""
    async with Cache.open(server.patient_url, suppress=False, max_value_size=MOST) as cache:
        yield cache


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("tagged", [False, True])
async def test_a_value_that_is_too_large_is_not_sent_and_the_one_before_goes(
    limited, how, in_transaction, tagged, caplog
):
    """It would be outdated. The connection stays, and the rest of a message is carried out."""
    await limited.set("k", "before", tags=["t"] if tagged else [])
    if in_transaction:
        async with limited.transaction():
            await WRITES[how](limited)
    else:
        assert not await WRITES[how](limited)
    assert await limited.get_raw("k") is None
    assert not await limited.exists("k")
    assert await limited.get("other") == (1 if "many" in how else None)
    figures = limited.statistics().backends[""]
    assert (figures["refused"], figures["connects"]) == (1, 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "max_value_size" in caplog.text


async def test_a_value_that_is_too_large_for_an_absent_key_leaves_the_present_one(limited):
    await limited.set("k", "before")
    assert await limited.set("k", LARGE, exist=False) is False
    assert await limited.get("k") == "before"


async def test_a_load_that_was_overtaken_removes_nothing(limited):
    """Guarantee 10: the key was written since it began."""

    @limited(ttl=60, key="k")
    async def load():
        await limited.set("k", "newer")
        return LARGE

    assert await load() == LARGE
    assert await limited.get("k") == "newer"


async def test_a_function_whose_result_is_too_large_runs_each_time(limited, caplog):
    """Guarantee 29: it fails only as it would without a cache, and that is said once."""
    runs = []

    @limited(ttl=60, key="k")
    async def load():
        runs.append(1)
        return LARGE

    assert [await load(), await load()] == [LARGE] * 2
    assert len(runs) == 2
    assert limited.statistics().backends[""]["refused"] == 2
    assert ["max_value_size" in record.getMessage() for record in caplog.records] == [True]


async def test_a_run_that_is_too_large_is_yielded_each_time(limited):
    """Guarantee 29; nothing of the run stays."""
    runs = []

    @limited.iterator(ttl=60, key="k")
    async def pages():
        runs.append(1)
        for _ in range(250):
            yield LARGE[: MOST // 200]

    for _ in range(2):
        assert [page async for page in pages()] == [LARGE[: MOST // 200]] * 250
    assert len(runs) == 2
    assert await limited.get_keys_count() == 0
    assert limited.statistics().backends[""]["refused"] == 2


async def test_values_up_to_the_limit_are_stored(limited):
    assert await limited.set_raw("k", LARGE)
    assert await limited.get_raw("k") == LARGE.encode()


async def test_a_server_that_takes_less_than_it_should_breaks_the_connection_of_all(own_server):
    """The reason for the option: a value in the midst of which the server goes takes all requests along."""
    with own_server() as server:
        server.command("CONFIG", "SET", "proto-max-bulk-len", 1024 * 1024)
        for most, connects in ((1024 * 1024, 1), (2 * 1024 * 1024, 2)):
            async with Cache.open(server.patient_url, max_value_size=most) as cache:
                assert await cache.set("k", b"x" * (1024 * 1024 + 1)) is False
                await cache.get("k")  # which is answered by a connection that works
                assert await cache.set("k", 1) is True
                assert cache.statistics().backends[""]["connects"] == connects


# --- many keys

COMMANDS = {
    "set_many": lambda cache, keys: cache.set_many(dict.fromkeys(keys, "v")),
    "set_many, expire": lambda cache, keys: cache.set_many(dict.fromkeys(keys, "v"), 60),
    "get_many": lambda cache, keys: cache.get_many(*keys),
    "delete_many": lambda cache, keys: cache.delete_many(*keys),
}
RAW = {"set_many": "mset", "get_many": "mget"}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("tagged", [False, True])
async def test_a_message_about_many_keys_is_sent_in_parts_between_which_others_run(cache, asked, command, tagged):
    """Guarantee 25."""
    turns = 0
    if tagged:
        await cache.set("other", 1, tags=["t"])
    await cache.ping()
    before = asked(cache)
    keys = [f"k{number}" for number in range(MANY)]

    async def count_turns():
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        await checkpoint()
        turns = 0
        await COMMANDS[command](cache, keys)
        tasks.cancel_scope.cancel()
    assert MANY / PAGE <= asked(cache) - before <= 2 * MANY / PAGE + 2
    assert turns >= MANY / PAGE


async def test_the_parts_of_a_message_are_the_whole_of_it(cache, server):
    pairs = {f"k{number}": number for number in range(3 * PAGE + 1)}
    await cache.set_many(pairs)
    keys = [*pairs, "absent", *list(pairs)[:PAGE]]
    assert await cache.get_many(*keys) == tuple(pairs.get(key) for key in keys)
    await cache.set_many(pairs, 60)
    assert server.command("PTTL", f"k{3 * PAGE}") > 0
    await cache.delete_many(*keys)
    assert server.command("DBSIZE") == 0


async def test_a_message_of_many_bytes_is_sent_in_parts(cache, asked):
    await cache.ping()
    before = asked(cache)
    await cache.set_many({f"k{number}": b"x" * (WRITE // 4) for number in range(16)})
    assert 4 <= asked(cache) - before <= 6
    assert len(set(await cache.get_many(*(f"k{number}" for number in range(16))))) == 1


async def test_a_message_about_no_keys_asks_nothing(cache, asked):
    await cache.ping()
    before = asked(cache)
    assert await cache.get_many() == ()
    await cache.set_many({})
    await cache.delete_many()
    assert await inside(cache).ask(m.GetMany(())) == ()
    assert asked(cache) == before
