"""Scans, patterns and counts over a database that others use too."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, TransactionMode
from cashews.backends.redis.keys import PAGE
from cashews.exceptions import CacheBackendInteractionError
from tests.internals import inside
from tests.servers import lock_of
from tests.turns import LONGEST, longest_turn

pytestmark = pytest.mark.redis

FILL = "for i = 1, ARGV[1] do redis.call('SET', 'k' .. i, '1') end"
MANY = 100_000
REFUSED = r"^redis, delete_match: .*(permission|can't run this command)"
FOREIGN = b"k\xff\xfe"


async def listed(items):
    return [item async for item in items]


async def test_a_key_that_is_no_utf_8_breaks_nothing(cache, server):
    """No text is its name: it is left out and counted, and removed with the others that a pattern matches."""
    server.command("SET", FOREIGN, "7")
    server.command("SADD", "members", FOREIGN, "a")
    await cache.set("k", 1)
    assert await listed(cache.scan("k*")) == ["k"]
    assert await listed(cache.get_match("k*")) == [("k", 1)]
    assert await cache.get_keys_count() == 2
    assert await cache.set_pop("members") == ["a"]
    assert cache.statistics().backends[""]["decode_failures"] == 4
    await cache.delete_match("k*")
    assert server.command("DBSIZE") == 0
    server.command("SET", FOREIGN, "7")
    await cache.clear()
    assert server.command("DBSIZE") == 0


@pytest.mark.parametrize("members", [FOREIGN, (FOREIGN, b"\xff")])
async def test_a_set_without_one_member_that_is_text_is_empty(cache, server, members):
    server.command("SADD", "members", *([members] if isinstance(members, bytes) else members))
    assert await cache.set_pop("members", 1) == []
    assert server.command("DBSIZE") == 0


@pytest.mark.parametrize("key", ["\ud800", "a\udfffb"])
async def test_half_a_character_is_a_key_too(cache, key):
    assert await cache.set(key, 1)
    assert await cache.get(key) == 1
    assert await cache.set_add(key + ":set", key) is None
    assert await cache.delete_many(key, key + ":set") is None
    assert await cache.get_keys_count() == 0


async def test_half_a_character_is_a_tag_too(cache):
    await cache.set("k", 1, tags=["\ud800", "t"])
    assert (await cache.get_key_tags("k"))[1] == "t"
    await cache.delete_tags("\ud800")
    assert not await cache.exists("k")


async def test_locks_are_not_among_the_keys(cache, server):
    await cache.set_lock("k", "token", 10)
    await cache.set("k", 1)
    assert server.command("EXISTS", lock_of("k")) == 1
    assert await listed(cache.scan("*")) == ["k"]
    assert await listed(cache.scan("k*")) == ["k"]
    assert await listed(cache.scan("*lock")) == []
    assert await cache.get_keys_count() == 1
    for pattern in ("k*", "*lock", "*"):
        await cache.delete_match(pattern)
    assert await cache.is_locked("k")


async def test_many_keys_are_removed_in_bounded_steps_between_which_others_run(cache, server, asked):
    """Guarantee 25."""
    server.command("EVAL", FILL, 0, MANY)
    turns = 0
    server.forget_calls()
    await cache.ping()
    before = asked(cache)

    async def count_turns():
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        await cache.delete_match("k*")
        tasks.cancel_scope.cancel()
    assert server.command("DBSIZE") == 0
    steps = MANY / PAGE
    assert steps <= server.called()["scan"] <= 3 * steps
    assert server.called()["unlink"] >= steps / 2
    assert asked(cache) - before <= 6 * steps
    assert turns >= steps


async def test_a_commit_of_many_writes_takes_many_turns(server):
    """Guarantee 25."""

    async def commit(cache):
        async with cache.transaction(TransactionMode.FAST):
            for number in range(MANY // 2):
                await cache.set(f"k{number}", number)

    async with Cache.open(server.patient_url, suppress=False) as cache:
        await cache.ping()
        assert await longest_turn(commit, cache) < LONGEST
        assert await cache.get_keys_count() == MANY // 2
        assert await cache.get_many("k0", "k7", f"k{MANY // 2 - 1}") == (0, 7, MANY // 2 - 1)


async def test_removing_comes_to_an_end_while_such_keys_are_written(cache, server):
    """D112."""
    server.command("EVAL", FILL, 0, MANY // 10)
    async with Cache.open(server.patient_url, suppress=False) as other:

        async def write():
            for number in range(10**9):
                await other.set(f"k-new-{number}", 1)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                await cache.delete_match("k*")
                tasks.cancel_scope.cancel()
    old = [key for key in await listed(cache.scan("*")) if "new" not in key]
    assert old == []


@pytest.mark.parametrize("suppress", [True, False])
async def test_removing_that_is_refused_is_tried_once(own_server, asked, suppress):
    """D112: with UNLINK refused the original spun, 17,299 commands in 3 s."""
    with own_server(requirepass="made-up") as server:
        server.command("EVAL", FILL, 0, 10)
        server.command("ACL", "SETUSER", "reader", "on", ">made-up", "~*", "&*", "+@all", "-unlink", "-del")
        options = {"username": "reader", "password": "made-up", "suppress": suppress}
        async with Cache.open(server.patient_url, **options) as cache:
            if suppress:
                assert await cache.delete_match("k*") is None
            else:
                with pytest.raises(CacheBackendInteractionError, match=REFUSED):
                    await cache.delete_match("k*")
            assert asked(cache) <= 5
        assert refusals(server) == [(b"unlink", 1)]
        assert server.command("DBSIZE") == 10


def refusals(server):
    """Return the commands that the rules of a server have refused, and how often; its errors need not name them."""
    entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in server.command("ACL", "LOG")]
    return [(entry[b"object"], entry[b"count"]) for entry in entries]


async def test_clearing_leaves_other_databases_alone(server):
    """D111."""
    server.commands(("SELECT", 1), ("SET", "k", "theirs"))
    async with Cache.open(server.patient_url, suppress=False) as cache:
        await cache.set("k", 1)
        await cache.clear()
        assert await cache.get_keys_count() == 0
    assert server.commands(("SELECT", 1), ("GET", "k"))[-1] == b"theirs"


async def test_each_key_is_removed_behind_what_was_sent_for_it_before(server):
    """Guarantee 10: a load's value may be on its way on the connection of its key."""
    async with Cache.open(server.patient_url, suppress=False, connections=3) as cache:
        connections = inside(cache).connections
        keys = [f"k{number}" for number in range(100)]
        await cache.set_many(dict.fromkeys(keys, 1))
        for key in keys:
            await cache.get(key)
        before = [connection.statistics()["commands"] for connection in connections]
        await cache.delete_many(*keys)
        after = [connection.statistics()["commands"] for connection in connections]
        assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1]
        assert await cache.get_keys_count() == 0
