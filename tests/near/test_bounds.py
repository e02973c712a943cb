"""The bounds of the near table: keys, bytes, times to live, and the time of the event loop."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.near.conftest import PREFIX
from tests.servers import Server

pytestmark = pytest.mark.redis
MEGABYTE = 1_000_000


async def test_no_value_outlives_its_time_at_the_server(cache, clock, server, asks_nothing):
    """Guarantees 2, 31: the server's own clock has nothing to do with it here, since it stands still for the cache."""
    await cache.set("k", 1, 100)
    assert await cache.get("k") == 1
    for _ in range(99):
        await clock.advance(1)
        await cache.ping()
    async with asks_nothing(cache):
        assert await cache.get("k") == 1
    await clock.advance(1)
    server.forget_calls()
    assert await cache.get("k") == 1, "it was not the server's time that has passed"
    assert server.called()["get"] == 1


async def test_a_time_to_live_that_another_client_changes_holds(cache, clock, server):
    await cache.set("k", 1)
    assert await cache.get("k") == 1
    server.command("EXPIRE", f"{PREFIX}k", 100)
    await cache.ping()
    assert await cache.get("k") == 1
    await clock.advance(100)
    await cache.ping()
    server.forget_calls()
    await cache.get("k")
    assert server.called()["get"] == 1


async def test_as_many_keys_are_kept_as_were_asked_for(opened, figures, asks_nothing):
    async with opened(client_side_size=100) as cache:
        for number in range(1_000):
            await cache.get(f"k{number}")
        assert figures(cache)["near_keys"] == 100
        assert figures(cache)["near_evicted"] == 900
        async with asks_nothing(cache):
            for number in range(900, 1_000):
                await cache.get(f"k{number}")


async def test_the_key_that_was_used_last_is_kept_longest(opened, asks_nothing):
    async with opened(client_side_size=2) as cache:
        await cache.get_many("a")
        for key in ("a", "b", "a", "c"):
            await cache.get(key)
        async with asks_nothing(cache):
            await cache.get("a")
            await cache.get("c")


async def test_as_many_bytes_are_kept_as_were_asked_for(opened, figures):
    async with opened(client_side_bytes=5 * MEGABYTE) as cache:
        for number in range(20):
            await cache.set(f"k{number}", b"x" * MEGABYTE)
            assert len(await cache.get(f"k{number}")) == MEGABYTE
            assert figures(cache)["near_bytes"] <= 5 * MEGABYTE
        assert figures(cache)["near_keys"] == 4
        await cache.set("large", b"x" * 6 * MEGABYTE)
        assert len(await cache.get("large")) == len(await cache.get("large")) == 6 * MEGABYTE
        assert figures(cache)["near_bytes"] <= 5 * MEGABYTE
        await cache.clear()
        assert figures(cache)["near_bytes"] == figures(cache)["near_keys"] == 0


async def test_keys_that_the_server_forgets_to_track_are_forgotten(opened, figures):
    with Server(tracking_table_max_keys=100) as server:
        async with opened(server.url) as cache:
            for number in range(500):
                await cache.get(f"k{number}")
            async with anyio.create_task_group() as tasks:  # the server forgets in its own time
                with anyio.fail_after(20):
                    while figures(cache)["near_invalidations"] < 400:
                        await cache.ping()
                tasks.cancel_scope.cancel()
            server.command("MSET", *[word for number in range(500) for word in (f"{PREFIX}k{number}", number)])
            await cache.ping()
            assert [await cache.get(f"k{number}") for number in range(500)] == list(range(500))


async def test_others_run_while_very_many_changes_are_heard_of(cache, server, figures):
    """Guarantee 25."""
    many = 20_000
    keys = [f"k{number}" for number in range(many)]
    await cache.set_many(dict.fromkeys(keys, 1))

    async def read(part):
        for key in part:
            await cache.get(key)

    async with anyio.create_task_group() as tasks:
        for start in range(0, many, 200):
            tasks.start_soon(read, keys[start : start + 200])
    assert figures(cache)["near_keys"] == 10_000
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        before = figures(cache)["near_invalidations"]
        server.command("MSET", *[word for key in keys for word in (PREFIX + key, 2)])
        tasks.start_soon(count)
        await cache.ping()
        tasks.cancel_scope.cancel()
    assert figures(cache)["near_invalidations"] - before == many
    assert turns > many / 500
    assert figures(cache)["near_keys"] == 0
