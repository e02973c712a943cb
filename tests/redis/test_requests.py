"""What a command costs: one request, and the scripts that make one request of several steps."""

from __future__ import annotations

import time

import pytest

from cashews import Cache
from cashews import messages as m
from cashews.commands import Command
from cashews.exceptions import CounterOverflowError, WrongTypeError
from tests.internals import inside

pytestmark = pytest.mark.redis

RULES = m.CircuitRules(errors_rate=50, period=60, ttl=10, half_open_ttl=5, min_calls=1)


def engine(message):
    return lambda cache: inside(cache).ask(message)


COMMANDS = {
    "get": lambda cache: cache.get("k"),
    "get, absent": lambda cache: cache.get("absent"),
    "get_raw": lambda cache: cache.get_raw("k"),
    "get_many": lambda cache: cache.get_many("k", "l", "k"),
    "get_hit": engine(m.GetHit("k")),
    "set": lambda cache: cache.set("k", 1),
    "set, expire": lambda cache: cache.set("k", 1, expire=10),
    "set, exist": lambda cache: cache.set("k", 1, expire=10, exist=True),
    "set, nothing left": lambda cache: cache.set("k", 1, expire=0),
    "set_raw": lambda cache: cache.set_raw("k", b"1", expire=10),
    "set_many": lambda cache: cache.set_many({"k": 1, "l": 2}),
    "set_many, expire": lambda cache: cache.set_many({"k": 1, "l": 2}, expire=10),
    "incr": lambda cache: cache.incr("k"),
    "incr, expire": lambda cache: cache.incr("counter", 5, expire=10),
    "exists": lambda cache: cache.exists("k"),
    "expire": lambda cache: cache.expire("k", 10),
    "expire, for ever": lambda cache: cache.expire("k", None),
    "get_expire": lambda cache: cache.get_expire("k"),
    "get_size": lambda cache: cache.get_size("k"),
    "delete": lambda cache: cache.delete("k"),
    "delete_many": lambda cache: cache.delete_many("k", "l"),
    "delete_match, one key": lambda cache: cache.delete_match("absent"),
    "get_bits": lambda cache: cache.get_bits("bits", 1, 2, 3, size=7),
    "incr_bits": lambda cache: cache.incr_bits("bits", 1, 2, 3, size=7),
    "slice_incr": lambda cache: cache.slice_incr("window", 0, 1, 5, expire=10),
    "admit_slice": engine(m.AdmitSlice("slice", 0, 1, 5, 10.0)),
    "admit": engine(m.Admit("tally", 5, 10.0, 20.0)),
    "enter_circuit": engine(m.EnterCircuit("circuit", RULES)),
    "report_circuit": engine(m.ReportCircuit("circuit", RULES, 1.0, failed=True)),
    "set_add": lambda cache: cache.set_add("set", "a", "b", expire=10),
    "set_remove": lambda cache: cache.set_remove("set", "a", "b"),
    "set_pop": lambda cache: cache.set_pop("set"),
    "is_locked": lambda cache: cache.is_locked("l"),
    "set_lock": lambda cache: cache.set_lock("l", "token", 10),
    "unlock": lambda cache: cache.unlock("l", "token"),
    "ping": lambda cache: cache.ping(b"hello"),
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_is_one_request(cache, asked, command):
    await COMMANDS[command](cache)  # which teaches the server a script, if it needs one
    await cache.delete("k")
    await cache.set("k", 1)
    before = asked(cache)
    await COMMANDS[command](cache)
    assert asked(cache) == before + 1


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_script_that_the_server_has_forgotten_is_given_to_it_again(cache, server, command):
    """Seen under faults: after a restart of the server all scripts are gone."""
    await COMMANDS[command](cache)
    server.command("SCRIPT", "FLUSH")
    await cache.delete_match("*")
    await cache.set("k", 1)
    await COMMANDS[command](cache)


async def test_a_script_survives_a_restart_of_the_server(own_server):
    with own_server() as server:
        async with Cache.open(server.patient_url, suppress=False) as cache:
            assert await cache.incr("k", expire=10) == 1
            server.restart()
            assert await cache.get("k") is None  # a read, which is asked once more on the new connection
            assert await cache.incr("k", expire=10) == 1
            assert await cache.get_expire("k") == 10


async def test_a_hit_of_each_decorator_is_one_request(cache, asked):
    """But for `dynamic`, whose hits refresh behind their callers, and `failover`, which reads after a failure only."""
    decorators = [
        cache(60, key="simple"),
        cache.early(60, key="early"),
        cache.soft(60, key="soft"),
        cache.hit(60, 1_000, key="hit"),
    ]
    for decorate in decorators:

        @decorate
        async def load():
            return "value"

        await load()
        await load()
        before = asked(cache)
        assert await load() == "value"
        assert asked(cache) == before + 1


async def test_a_time_to_live_is_exact_to_the_millisecond(cache, server):
    """Guarantee 1: the server is asked itself, and what passes meanwhile is taken into account."""
    for ttl in (0.5, 1.234, 10, 86_400.001):
        before = time.monotonic()
        await cache.set("k", 1, expire=ttl)
        await cache.set_many({"l": 1}, expire=ttl)
        await cache.incr("c", expire=ttl)
        await cache.set("e", 1)
        await cache.expire("e", ttl)
        for key in "klce":
            left = server.command("PTTL", key)
            assert ttl * 1_000 - (time.monotonic() - before) * 1_000 - 1 <= left <= ttl * 1_000 + 0.5
        await cache.delete_match("*")


async def test_a_life_of_less_than_a_millisecond_is_one(cache, server):
    """D117: it is neither refused nor made eternal."""
    server.command("SET", "e", "1")
    for store in (
        lambda: cache.set("k", 1, expire=0.0001),
        lambda: cache.set_raw("k", b"1", expire=0.0001),
        lambda: cache.set_many({"k": 1}, expire=0.0001),
        lambda: cache.incr("k", expire=0.0001),
        lambda: cache.expire("e", 0.0001),
    ):
        await store()
        assert server.command("PTTL", "k") < 2
        assert server.command("PTTL", "k") != -1
    assert server.command("PTTL", "e") < 2
    assert server.command("PTTL", "e") != -1


async def test_integers_are_native_and_negative_ones_come_back(cache, server):
    """Guarantee 26; D98."""
    await cache.set("k", -5)
    assert server.command("GET", "k") == b"-5"
    assert server.command("INCRBY", "k", -(2**63) + 5) == -(2**63)
    assert await cache.get("k") == -(2**63)
    with pytest.raises(CounterOverflowError):
        await cache.incr("k", -1, expire=10)
    assert server.command("GET", "k") == str(-(2**63)).encode()


async def test_what_others_keep_under_a_key_is_the_wrong_kind_for_its_command(cache, server):
    server.command("RPUSH", "list", "a")
    server.command("HSET", "hash", "f", "1")
    for key in ("list", "hash"):
        assert await cache.get(key, "absent") == "absent"
        assert await cache.get_many(key, default="absent") == ("absent",)
        for command in (
            cache.incr(key),
            cache.set_add(key, "a"),
            cache.get_bits(key, 1),
            cache.slice_incr(key, 0, 1, 5),
        ):
            with pytest.raises(WrongTypeError, match=f"'{key}' holds {key}"):
                await command
    assert server.command("LLEN", "list") == 1
    assert await cache.delete("list") is True


@pytest.mark.parametrize(
    "command",
    [
        lambda cache: cache.incr("k"),
        lambda cache: cache.incr("k", expire=10),
        lambda cache: cache.set_add("k", "a"),
        lambda cache: cache.set_pop("k"),
        lambda cache: cache.get_bits("k", 1, 2),
        lambda cache: cache.incr_bits("k", 1, 2),
        lambda cache: cache.slice_incr("k", 0, 1, 5),
        engine(m.AdmitSlice("k", 0, 1, 5)),
        engine(m.Admit("k", 1, 10)),
        engine(m.EnterCircuit("k", RULES)),
    ],
)
async def test_a_key_of_another_kind_is_a_mistake_that_is_never_suppressed(server, caplog, command):
    """D113: suppression hid it as a miss."""
    server.command("RPUSH", "k", "a")
    async with Cache.open(server.patient_url) as cache:
        with pytest.raises(WrongTypeError, match="'k' holds list"):
            await command(cache)
        assert await cache.get("k", default="absent") == "absent"
    assert caplog.records == []


async def test_commands_that_are_switched_off_ask_nothing(cache, asked):
    await cache.ping()
    before = asked(cache)
    with cache.disabling(*Command):
        assert await cache.get("k") is None
        assert await cache.get_keys_count() == 0
    assert asked(cache) == before
