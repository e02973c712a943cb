"""A user of a server who may do what the security page says, and nothing else, is enough."""

import re
from functools import partial
from pathlib import Path

import pytest

from cashews import Cache, TransactionMode, add_prefix

pytestmark = pytest.mark.redis

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Redis")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"`([A-Z_]+(?: [A-Z]+)?)`", "".join(re.findall(r"^\|.*\|$", TABLE, re.MULTILINE)))


def rule(command):
    return "+" + command.lower().replace(" ", "|")


@pytest.fixture(params=["", "shop:"])
def opened(server, request):
    """``opened(**options)``: a cache to enter, of a user who may send the commands of the page, about its own keys."""
    prefix = request.param
    rules = [rule(command) for command in COMMANDS]
    server.command("ACL", "SETUSER", "app", "reset", "on", ">nuts", f"~{prefix}*", f"&{prefix}*", *rules)
    url = server.patient_url.replace("//", "//app:nuts@")
    yield partial(Cache.open, url, suppress=False, middlewares=[add_prefix(prefix)] if prefix else [])
    server.command("ACL", "DELUSER", "app")


def test_the_page_lists_commands():
    assert {"GET", "EVALSHA", "SUBSCRIBE", "MEMORY USAGE"} <= set(COMMANDS)


async def test_values_and_tags(opened):
    async with opened(client_name="shop", db=1) as cache:
        await cache.set("a", [1], expire="1h", tags=["t"])
        await cache.set("b", [2], tags=["t"])
        await cache.set_many({"c": 3, "d": 4}, expire=5)
        await cache.set_raw("e", b"5")
        assert await cache.get_many("a", "c") == ([1], 3)
        assert await cache.get_raw("e") == b"5"
        assert await cache.incr("c", 2, expire="1m") == 5
        assert await cache.expire("d", None) is True
        assert await cache.expire("d", "1m") is True
        assert await cache.get_expire("d") == 60
        assert await cache.get_size("a") > 0
        assert await cache.get_key_tags("a") == ("t",)
        assert await cache.exists("a") is True
        assert await cache.get_keys_count() == 5
        assert sorted([key async for key in cache.scan("*")]) == ["a", "b", "c", "d", "e"]
        assert sorted([key async for key, _ in cache.get_match("[abc]*")]) == []
        await cache.delete_tags("t")
        await cache.delete("c")
        await cache.delete_many("d", "e")
        assert await cache.ping() == b"PONG"
        await cache.delete_match("*")
        await cache.clear()


async def test_structures_locks_and_guards(opened):
    async with opened() as cache:
        await cache.set_add("s", "x", "y", expire=10)
        await cache.set_remove("s", "x")
        assert await cache.set_pop("s") == ["y"]
        assert await cache.incr_bits("bits", 1, 2) == (1, 1)
        assert await cache.get_bits("bits", 0, 1) == (0, 1)
        assert await cache.slice_incr("w", 0, 1, 5, expire=10) == 1
        async with cache.lock("k", "1m") as held:
            assert await cache.is_locked("k") is True
            assert held.fence > 0

        @cache.circuit_breaker(errors_rate=50, period="1m", ttl="1m")
        @cache.rate_limit(limit=5, period="1m", ttl="1m")
        @cache.slice_rate_limit(limit=5, period="1m")
        @cache.locked()
        async def guarded():
            return 1

        assert await guarded() == 1

        @cache.bloom(capacity=100, name="{item}")
        async def known(item):
            return bool(item)

        assert await known.set("a") is True
        assert await known("b") is False


async def test_strategies_and_transactions(opened):
    async with opened() as cache:
        decorators = [
            cache("1h", lock=True),
            cache.early("1h"),
            cache.soft("1h"),
            cache.hit("1h", 2),
            cache.failover("1h"),
        ]
        for number, decorate in enumerate(decorators):

            async def function(number=number):
                return number

            function.__qualname__ += str(number)
            cached = decorate(function)
            assert [await cached() for _ in range(4)] == [number] * 4
            assert await cached.invalidate() is True

        @cache.iterator("1h", key="run", tags=["t"])
        async def run():
            yield 1

        assert [item async for item in run()] == [item async for item in run()] == [1]
        for mode in TransactionMode:
            async with cache.transaction(mode) as tx:
                await cache.set("a", 1, expire="1h", tags=["t"])
                await cache.incr("n")
                await cache.set_add("s", "x")
                await cache.delete_tags("t")
            assert tx.outcome.value == "committed"
