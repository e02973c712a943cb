"""Reads that are served from the memory of this process, and the changes of others that end that."""

from contextlib import nullcontext
from dataclasses import dataclass

import anyio
import pytest

from cashews import Command
from cashews._typing import ABSENT, NOT_NOW
from cashews.serialize import register_type
from tests.faults.proxy import until
from tests.internals import inside
from tests.near.conftest import LAG, PREFIX
from tests.near.proofs import CHANGES

pytestmark = pytest.mark.redis
KEYS = [f"k{number}" for number in range(10)]


async def pass_on(call, _cmd, _backend, *args, **kwargs):
    return await call(*args, **kwargs)


@pytest.mark.parametrize("way", ["straight", "middleware", "callback", "detect", "decode"])
async def test_a_key_that_was_read_is_not_asked_for_again(opened, asks_nothing, figures, way):
    """Guarantee 31: also past the budget, a middleware, a callback, and in a block of `detect`."""
    options = {"middlewares": [pass_on]} if way == "middleware" else {}
    heard = []
    async with opened(client_side_copy="decode" if way == "decode" else "share", **options) as cache:

        @cache(ttl="1h", key="f:{number}")
        async def load(number):
            return {"number": number}

        for number, key in enumerate(KEYS):
            await cache.set(key, number)
            await cache.get(key)
            await load(number)
            await load(number)
        await cache.get_many(*KEYS)
        callback = way == "callback"
        watching = cache.callback(lambda *record: heard.append(record), Command.GET) if callback else nullcontext()
        with watching, cache.detect if way == "detect" else nullcontext():
            async with asks_nothing(cache):
                for _ in range(100):
                    for number, key in enumerate(KEYS):
                        assert await cache.get(key) == number
                        assert await load(number) == {"number": number}
                    assert await cache.get_many(*KEYS) == tuple(range(10))
        assert figures(cache)["near_hits"] >= 100 * 30
    assert len(heard) >= 100 * 10 * callback


@pytest.mark.parametrize("stored", [True, False])
async def test_a_look_answers_as_the_message_does(cache, server, clock, stored):
    """What is read without a message is what the message reads: nothing, once the server has told of a change."""
    engine = inside(cache).engine
    if stored:
        server.command("SET", f"{PREFIX}k", 1, "PX", 60_000)
    assert engine.look("k") is NOT_NOW
    found = await cache.get("k", ABSENT)
    assert engine.look("k") is found is (1 if stored else ABSENT)
    assert engine.put("k", 2, None) is NOT_NOW
    with cache.disabling(Command.GET):
        assert engine.look("k") is NOT_NOW
    await clock.advance(LAG)
    assert engine.look("k") is NOT_NOW, "the link has to show that it works"
    assert await cache.get("k", ABSENT) is found
    server.command("SET", f"{PREFIX}k", 3)
    await cache.ping()
    assert engine.look("k") is NOT_NOW
    assert await cache.get("k") == 3


async def test_no_look_reaches_past_a_lifetime(cache, server, clock):
    server.command("SET", f"{PREFIX}k", 1, "PX", 500)
    assert await cache.get("k") == 1
    assert inside(cache).engine.look("k") == 1
    await clock.advance(0.5)
    assert inside(cache).engine.look("k") is NOT_NOW


@pytest.mark.parametrize(
    "options", [{"client_side_copy": "decode"}, {"middlewares": [pass_on]}], ids=["decode", "passed"]
)
async def test_nothing_goes_straight_where_values_are_decoded_or_passed_on(opened, options):
    async with opened(**options) as cache:
        await cache.set("k", [1])
        assert [await cache.get("k"), await cache.get("k")] == [[1], [1]]
        assert inside(cache).engine.look("k") is NOT_NOW


async def test_reading_on_costs_a_command_each_half_of_the_lag(cache, clock, asks_nothing, figures):
    await cache.get("k")
    async with asks_nothing(cache, most=61):
        for _ in range(600):
            await clock.advance(0.1)
            await cache.get("k")
            await until(lambda: not (figures(cache)["waiting"] or figures(cache)["in_flight"]))
    assert (figures(cache)["near_misses"], figures(cache)["near_unsure"]) == (1, 0)


async def test_silence_costs_nothing(cache, clock, asks_nothing):
    await cache.get("k")
    async with asks_nothing(cache):
        await clock.advance(3_600)


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_by_another_client_is_seen(cache, server, name):
    """Guarantee 31: nothing that the connection tells is newer than what is served from memory."""
    words, after = CHANGES[name]
    for _ in range(20):
        server.command("SET", f"{PREFIX}k", 1)
        await cache.ping()
        assert await cache.get("k") == 1
        server.command(*(word.format(key=f"{PREFIX}k") for word in words))
        await cache.ping()
        assert await cache.get("k") == after


async def test_an_absent_key_is_asked_for_once(cache, server, asks_nothing):
    assert await cache.get("k") is None
    async with asks_nothing(cache):
        for number in range(1_000):
            assert await cache.get("k", default=number) == number
            assert await cache.get_many("k", "k", default=number) == (number, number)
    server.command("SET", f"{PREFIX}k", 1)
    await cache.ping()
    assert await cache.get("k", default=0) == 1


@pytest.mark.parametrize("copy", ["share", "decode"])
async def test_a_result_that_was_changed_in_place_follows_the_copy_policy(opened, copy):
    """Guarantee 8."""
    async with opened(client_side_copy=copy) as cache:
        await cache.set("k", {"n": 1})
        (await cache.get("k"))["n"] = 2
        (await cache.get("k"))["n"] += 1
        assert await cache.get("k") == {"n": 3 if copy == "share" else 1}
        assert await cache.get_many("k") == ({"n": 3 if copy == "share" else 1},)


@dataclass
class Point:
    x: int


async def encode(value, *_):
    return str(value.x).encode()


async def decode(value, *_):
    return Point(int(value))


@pytest.mark.parametrize("copy", ["share", "decode"])
async def test_a_registered_type_is_decoded_at_the_first_read_or_at_each(opened, asks_nothing, copy):
    register_type(Point, encode, decode)
    async with opened(client_side_copy=copy) as cache:
        await cache.set("k", Point(1))
        first = await cache.get("k")
        async with asks_nothing(cache):
            assert first == await cache.get("k") == Point(1)
            assert await cache.get_many("k") == (Point(1),)
            assert (await cache.get("k") is first) is (copy == "share")


async def test_keys_that_were_read_together_are_kept(cache, server, asks_nothing):
    """Guarantee 31."""
    server.command("MSET", f"{PREFIX}a", 1, f"{PREFIX}b", 2)
    server.command("SADD", f"{PREFIX}set", "member")
    names = ("a", "b", "absent", "set", "a")
    assert await cache.get_many(*names) == (1, 2, None, None, 1)
    async with asks_nothing(cache):
        assert await cache.get_many(*names, default=0) == (1, 2, 0, 0, 1)
        assert (await cache.get("a"), await cache.get("absent")) == (1, None)
    for words in (("SET", f"{PREFIX}b", 3), ("SET", f"{PREFIX}absent", 4), ("DEL", f"{PREFIX}set")):
        server.command(*words)
        await cache.ping()
        server.forget_calls()
        await cache.get_many(*names)
        assert server.called()["evalsha"] == 1, words
    server.command("SCRIPT", "FLUSH")
    server.command("SET", f"{PREFIX}a", 5)
    await cache.ping()
    assert await cache.get_many(*names) == (5, 3, 4, None, 5)


async def test_a_time_to_live_of_keys_that_were_read_together_holds(cache, clock, server):
    server.command("SET", f"{PREFIX}a", 1, "PX", 100_000)
    assert await cache.get_many("a", "b") == (1, None)
    await clock.advance(100)
    await cache.ping()
    server.forget_calls()
    await cache.get("b")
    assert "get" not in server.called()
    await cache.get("a")
    assert server.called()["get"] == 1


@pytest.mark.parametrize("copy", ["share", "decode"])
async def test_reads_that_share_a_request_find_the_same(opened, server, copy):
    server.command("SET", f"{PREFIX}k", 1)
    async with opened(client_side_copy=copy) as cache:
        found = []

        async def read():
            found.append(await cache.get("k", default="nothing"))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(read)
    assert found == [1] * 10


async def test_what_counts_as_absent_is_kept_as_absent(cache, server, asks_nothing, figures):
    server.command("SET", f"{PREFIX}k", "no value of ours")
    assert await cache.get("k") is None
    async with asks_nothing(cache):
        assert await cache.get("k", default=1) == 1
    assert figures(cache)["decode_failures"] == 1


async def test_another_kind_of_key_is_absent_and_not_kept(cache, server):
    server.command("SADD", f"{PREFIX}k", "member")
    assert await cache.get("k") is None
    server.command("DEL", f"{PREFIX}k")
    server.command("SET", f"{PREFIX}k", 1)
    assert await cache.get("k") == 1


async def test_keys_of_every_text_are_heard_of(cache, server):
    for key in ("é", "\ud800", "\ud83d\ude00", "a b\n", "*", ""):
        await cache.set(key, 1)
        assert await cache.get(key) == 1
        server.command("SET", PREFIX.encode() + key.encode("utf-8", "surrogatepass"), 2)
        await cache.ping()
        assert await cache.get(key) == 2


async def test_the_figures_add_up(cache, server, figures):
    for _ in range(3):
        await cache.get("a")
        await cache.get_many("a", "b")
    server.command("SET", f"{PREFIX}a", 1)
    await cache.ping()
    await cache.get("a")
    server.command("FLUSHALL")
    await cache.ping()
    found = figures(cache)
    assert found["near_hits"] + found["near_misses"] == 3 + 3 * 2 + 1
    assert (found["near_misses"], found["near_invalidations"], found["near_flushes"]) == (1 + 2 + 1, 1, 1)


async def test_commands_that_are_switched_off_are_not_served_from_memory(cache, server):
    await cache.set("k", 1)
    assert await cache.get("k") == 1
    cache.disable(Command.GET)
    assert await cache.get("k") is None
    server.command("SET", f"{PREFIX}k", 2)
    await cache.ping()
    cache.enable(Command.GET)
    assert await cache.get("k") == 2
    with cache.disabling(Command.GET):
        assert await cache.get("k") is None
