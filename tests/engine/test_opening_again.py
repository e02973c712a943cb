"""A cache that was never entered as a block opens again at its next use after `close()`. Guarantee 30."""

from __future__ import annotations

import anyio
import pytest

from cashews.exceptions import CacheClosedError
from tests.engine.elsewhere import LOOPS, elsewhere, use_everything
from tests.internals import inside


async def test_a_cache_without_a_block_opens_again_at_its_next_use(stored):
    await stored.set("k", 1)
    await stored.close()
    await use_everything(stored, "again")
    await stored.close()
    async with stored.lock("l", 10):
        pass
    await stored.close()


async def test_a_cached_function_is_cached_again_after_close(stored):
    runs = []

    @stored(ttl=100, key="k")
    async def load():
        runs.append(1)
        return len(runs)

    await load()
    await stored.close()
    assert [await load(), await load()] in ([1, 1], [2, 2])  # memory is empty by then
    assert stored.statistics().uncached == {}


async def test_a_load_that_began_before_close_does_not_open_the_cache(memory):
    begun, closed = anyio.Event(), anyio.Event()

    @memory(ttl=100, key="k")
    async def load():
        begun.set()
        await closed.wait()
        return 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load)
        await begun.wait()
        await memory.close()
        closed.set()
    assert inside(memory).engine.is_closed
    assert memory.statistics().tasks == 0


async def test_the_error_of_a_block_names_the_cache_and_the_way_back(memory):
    async with memory:
        await memory.set("k", 1)
    with pytest.raises(CacheClosedError, match=r"the cache 'shared' is closed.*init\(\)"):
        await memory.get("k")
    await memory.init()
    assert await memory.get("k") is None


@LOOPS
async def test_another_loop_closes_and_opens_a_cache(stored, other):
    await stored.set("k", 1, expire=100)
    await elsewhere(stored.close, other)
    assert stored.statistics().tasks == 0
    await elsewhere(stored.init, other)
    await use_everything(stored, "here")
    await elsewhere(stored.close, other)
    assert stored.statistics().tasks == 0
