"""The cooperative budget: no loop of cached answers starves the others, and cancellation is noticed in it."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, Command
from cashews.engine.engine import BUDGET

TIMES = 10_000


async def pass_through(call, _cmd, _backend, *args, **kwargs):
    return await call(*args, **kwargs)


def plain(cache):
    """In place."""


def chained(cache):
    cache.add_middleware(pass_through)


def watched(cache):
    cache.callback(lambda *_: None, Command.GET).__enter__()


def disabled(cache):
    cache.disable(Command.GET)


def several(cache):
    cache.setup("mem://", prefix="k")


MANNERS = [plain, chained, watched, disabled, several]
USES = {
    "get": lambda cache: cache.get("k"),
    "set": lambda cache: cache.set("k", 1),
    "incr": lambda cache: cache.incr("c"),
    "get_many": lambda cache: cache.get_many("a", "b"),
    "lock": lambda cache: cache.set_lock("l", "token", 10),
}


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
@pytest.mark.parametrize("use", ["get", "get_many"])
async def test_a_loop_of_answers_lets_other_tasks_run(cache, manner, use):
    manner(cache)
    await assert_others_run(cache, USES[use])


@pytest.mark.parametrize("use", USES)
async def test_so_does_a_loop_of_any_command(cache, use):
    await assert_others_run(cache, USES[use])


async def test_so_does_a_loop_in_a_context_that_carries_something(cache):
    with cache.detect:
        await assert_others_run(cache, USES["get"])
    with cache.disabling(Command.SET):
        await assert_others_run(cache, USES["get"])
        await assert_others_run(cache, USES["set"])


@pytest.mark.parametrize("strategy", ["simple", "early", "soft", "hit"])
async def test_so_does_a_loop_of_decorated_hits(cache, strategy):
    """The wrapper looks again after a pause: the call is a hit like the others."""
    decorate = {
        "simple": cache(ttl=10, key="k"),
        "early": cache.early(ttl=10, early_ttl=9, key="k"),
        "soft": cache.soft(ttl=10, soft_ttl=9, key="k"),
        "hit": cache.hit(ttl=10, cache_hits=2 * TIMES, key="k"),
    }

    @decorate[strategy]
    async def cached():
        return 1

    await cached()
    await assert_others_run(cache, lambda _: cached())
    assert cached.statistics().hits == TIMES
    assert cached.statistics().loads == 1


async def assert_others_run(cache, use):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        for _ in range(TIMES):
            await use(cache)
        tasks.cancel_scope.cancel()
    assert TIMES // BUDGET - 1 <= turns <= TIMES // BUDGET * 2 + 2


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
async def test_cancellation_is_noticed_in_a_loop_of_answers(cache, manner):
    manner(cache)
    count = 0
    with anyio.CancelScope() as scope:
        scope.cancel()
        for _ in range(TIMES):
            await cache.get("k")
            count += 1
    assert scope.cancelled_caught
    assert count <= BUDGET


async def test_two_caches_have_a_budget_each(cache, clock):
    async with Cache.open("mem://", clock=clock) as other:
        await assert_others_run(cache, lambda _: other.get("k"))


async def test_what_is_cancelled_before_its_turn_has_no_effect(cache):
    stored = 0
    with anyio.CancelScope() as scope:
        scope.cancel()
        for _ in range(TIMES):
            await cache.set(f"k{stored}", 1)
            stored += 1
    assert await cache.get_keys_count() == stored
