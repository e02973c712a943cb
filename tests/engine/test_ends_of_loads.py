"""The ends of loads where there is hardly room for one: a load that has begun ends, or its key would be lost."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from contextlib import suppress

import anyio.to_thread
import pytest

from cashews import NOT_NONE, Cache
from tests.engine.elsewhere import PATIENCE

ROOM = 180
"""The frames that are left for a recursion and its loads."""


def depth():
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


@pytest.mark.parametrize(
    ("strategy", "options"),
    [("cache", {}), ("failover", {}), ("early", {}), ("soft", {}), ("cache", {"condition": NOT_NONE})],
    ids=lambda value: str(value if isinstance(value, str) else list(value)),
)
async def test_a_recursion_without_end_leaves_no_load_behind(cache, strategy, options):
    """Guarantees 9, 10, 29: whichever frame is the one too many."""
    decorator = cache if strategy == "cache" else getattr(cache, strategy)

    @decorator(ttl=60, key="{n}", **options)
    async def endless(n):
        return await endless(n + 1)

    async def deeper(frames):
        return await (endless(0) if frames == 0 else deeper(frames - 1))

    await cache.set("warm", 1)
    limit = sys.getrecursionlimit()
    for frames in range(16):
        sys.setrecursionlimit(depth() + ROOM)
        try:
            with suppress(RecursionError):
                await deeper(frames)
        finally:
            sys.setrecursionlimit(limit)
        assert cache.statistics().loads == 0


@pytest.mark.parametrize("strategy", ["cache", "early", "failover"])
async def test_every_strategy_opens_a_closed_cache_again(strategy):
    """Guarantee 30, of a cache that was never entered as a block."""
    cache = Cache()
    cache.setup("mem://")
    decorator = cache if strategy == "cache" else getattr(cache, strategy)

    @decorator(ttl=60, key="k")
    async def load():
        return "value"

    await load()
    await cache.close()
    assert await load() == "value"
    assert await cache.get_keys_count() == 1
    await cache.close()


def test_a_load_of_a_stopped_loop_is_overtaken_by_a_deletion_in_the_next_one():
    """Guarantee 10: the stopped loop goes on later, and so does its load."""
    cache = Cache()
    cache.setup("mem://")
    source, gates = ["old"], []

    @cache(ttl=60, key="k")
    async def load():
        value = source[0]
        if gates:
            await gates.pop().wait()
        return value

    async def begin():
        gate = asyncio.Event()
        gates.append(gate)
        task = asyncio.ensure_future(load())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return gate, task

    async def meanwhile():
        assert await load() == "old"
        source[0] = "new"
        await cache.delete("k")

    async def go_on(gate, task):
        gate.set()
        assert await task == "old"
        found = await cache.get("k")
        await cache.close()
        return found

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        begun = first.run_until_complete(begin())
        second.run_until_complete(meanwhile())
        assert first.run_until_complete(go_on(*begun)) is None
    finally:
        second.run_until_complete(second.shutdown_default_executor())
        first.close()
        second.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_heir_of_a_load_that_is_collected_in_another_thread_is_woken(cache):
    """Guarantee 9: its loop has nothing else to do, and would sleep on."""
    runs = []

    @cache(ttl=60, key="k")
    async def load():
        runs.append(len(runs))
        if len(runs) == 1:
            await asyncio.get_running_loop().create_future()  # which nobody else has
        return "value"

    gc.disable()
    try:
        leader = asyncio.create_task(load())
        await asyncio.sleep(0)
        heir = asyncio.create_task(load())
        await asyncio.sleep(0)
        del leader
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it says that a task was destroyed
        timer = threading.Timer(0.05, gc.collect)
        timer.start()
        asleep = asyncio.get_running_loop().call_later(PATIENCE, heir.cancel)
        assert await heir == "value"
        assert asleep.when() - asyncio.get_running_loop().time() > PATIENCE / 2
        asleep.cancel()
        await anyio.to_thread.run_sync(timer.join)
    finally:
        gc.enable()
        asyncio.get_running_loop().set_exception_handler(None)
