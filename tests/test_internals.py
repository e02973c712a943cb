"""The inside of a cache, as the tests see it, tells what is held there."""

import anyio

from cashews import Cache
from cashews.testing.clock import VirtualClock
from tests.internals import inside
from tests.subjects import HERE


async def test_a_lock_that_is_held_and_waited_for_is_told():
    clock = VirtualClock()
    async with Cache.open("mem://", clock=clock) as cache, anyio.create_task_group() as tasks:
        assert inside(cache).held() == {}
        async with cache.lock("k", 10):
            tasks.start_soon(take, cache)
            await clock.settle()
            assert list(inside(cache).held()) == ["waiters for locks", "watches of locks"]
        await clock.settle()
        assert inside(cache).held() == {}


async def take(cache):
    async with cache.lock("k", 10):
        pass


async def test_a_lock_of_a_transaction_is_told():
    async with Cache.open("mem://", clock=VirtualClock()) as cache:
        async with cache.transaction():
            await cache.set("k", 1)
            assert inside(cache).transaction_locks == 1
            assert list(inside(cache).held()) == ["transaction locks of ''"]
        assert inside(cache).held() == {}


def test_nothing_else_reaches_into_a_cache():
    others = [path for path in HERE.rglob("*.py") if path.name not in ("internals.py", "test_internals.py")]
    assert [path.name for path in others if "._engine" in path.read_text(encoding="utf-8")] == []
