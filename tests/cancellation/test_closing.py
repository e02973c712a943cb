"""No background refresh outlives the scope, wherever it stands when the scope ends (guarantees 11, 28; D16)."""

import asyncio
from itertools import count
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, Command
from cashews.engine.refresher import DRAIN
from cashews.exceptions import CacheClosedError
from cashews.testing.clock import VirtualClock

STEPS = 4


class Refreshed:
    """A function that, when it runs for the second time, tells when it has come to its so-manieth checkpoint."""

    def __init__(self, at, *, stays=False):
        self.at = at
        self.stays = stays
        self.reached = anyio.Event()
        self.runs = self.ended = self.cleaned = 0

    async def __call__(self):
        self.runs += 1
        run = self.runs
        try:
            for step in range(STEPS if run > 1 else 0):
                if step == self.at:
                    self.reached.set()
                    if self.stays:
                        await anyio.sleep_forever()
                await checkpoint()
            self.ended += 1
            return run
        finally:
            self.cleaned += 1


async def begin_refresh(cache, clock, function):
    """Have a refresh begin, and wait until it has come as far as it tells."""
    cached = cache.early(90, key="k", early_ttl=30)(function)
    assert await cached() == 1
    await clock.advance(40)
    assert await cached() == 1
    with anyio.fail_after(5):
        await function.reached.wait()
    return cached


def of_this_test():
    return {task.id for task in anyio.get_running_tasks()}


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.mark.parametrize("at", range(STEPS))
async def test_leaving_waits_for_a_refresh_to_end(clock, at):
    before = of_this_test()
    function = Refreshed(at)
    async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
        await begin_refresh(cache, clock, function)
    assert function.ended == function.cleaned == function.runs == 2
    assert cache.statistics().refreshes == {"pending": 0, "done": 1, "failed": 0, "refused": 0}
    assert (cache.statistics().tasks, cache.statistics().loads) == (0, 0)
    assert of_this_test() == before


@pytest.mark.parametrize("at", range(STEPS))
async def test_leaving_does_not_wait_for_ever(clock, at):
    before = of_this_test()
    function = Refreshed(at, stays=True)
    left = anyio.Event()

    async def use():
        async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
            await begin_refresh(cache, clock, function)
            left.set()
        assert (cache.statistics().tasks, cache.statistics().loads) == (0, 0)
        assert cache.statistics().refreshes["pending"] == 0

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await clock.advance(40)
            await left.wait()
            begun = clock.now()
            await clock.advance(DRAIN - 0.1)
            assert function.cleaned == 1
            await clock.advance(0.1)
            assert function.cleaned == 2
    assert clock.now() == begun + DRAIN
    assert function.ended == 1
    assert of_this_test() == before


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("at", range(STEPS))
async def test_cancelling_the_scope_cancels_a_refresh(clock, at, stays):
    before = of_this_test()
    function = Refreshed(at, stays=stays)
    with anyio.CancelScope() as scope:
        async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
            await begin_refresh(cache, clock, function)
            scope.cancel()
            await checkpoint()
    assert function.cleaned == 2
    assert (cache.statistics().tasks, cache.statistics().loads) == (0, 0)
    assert of_this_test() == before


async def test_a_caller_that_waits_for_a_refresh_takes_over_when_the_refresh_is_cancelled(clock):
    """It lost its worker, not its load; the cache is open again by then."""
    function = Refreshed(0, stays=True)
    cache = Cache(clock=clock, random=Random(1))
    cache.setup("mem://")
    cached = None
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        async with cache:
            cached = await begin_refresh(cache, clock, function)
            await clock.advance(60)
            tasks.start_soon(call)
            await clock.settle()
            assert cache.statistics().load_waiters == 1
            function.stays = False
            tasks.start_soon(clock.advance, DRAIN)
        cache.setup("mem://")
    assert results == [3]
    await cache.close()


async def test_what_a_refresh_brings_while_the_scope_ends_is_stored(clock):
    """And the cache can be used until then: only new refreshes are refused."""
    stored = []

    async def middleware(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.SET:
            stored.append(kwargs["value"].outcome.value)
        return await call(*args, **kwargs)

    function = Refreshed(1)
    async with Cache.open("mem://", clock=clock, random=Random(1), middlewares=[middleware]) as cache:
        await begin_refresh(cache, clock, function)
    assert stored == [1, 2]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_by_asyncio_itself_while_the_scope_ends_leaves_no_task(clock, turns):
    """It goes through shields."""
    before = of_this_test()
    caches = []
    function = Refreshed(0)

    async def use():
        async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
            caches.append(cache)
            await begin_refresh(cache, clock, function)
            leaving.set()

    leaving = asyncio.Event()
    using = asyncio.ensure_future(use())
    await leaving.wait()
    for _ in range(turns):
        await checkpoint()
    using.cancel()
    await asyncio.wait([using])
    await clock.settle()
    assert caches[0].statistics().tasks == 0
    assert of_this_test() == before
    with pytest.raises(CacheClosedError):
        await caches[0].get("k")


async def test_an_error_of_the_body_leaves_as_it_is_while_a_refresh_runs(clock):
    function = Refreshed(1)

    async def use():
        async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
            await begin_refresh(cache, clock, function)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use()
    assert function.cleaned == 2


async def test_a_caller_that_is_cancelled_does_not_cancel_the_refresh_it_began(clock):
    """Guarantee 11."""
    function = Refreshed(0)
    async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
        cached = cache.early(90, key="k", early_ttl=30)(function)
        await cached()
        await clock.advance(40)
        with anyio.CancelScope() as scope:
            assert await cached() == 1
            scope.cancel()
            await checkpoint()
        await clock.settle()
        assert await cached() == 2


async def test_every_refresh_that_waits_for_a_worker_ends_with_the_scope(clock):
    numbers = count()
    running = set()

    async def function(name):
        if next(numbers) >= 40:
            running.add(name)
            try:
                await anyio.sleep_forever()
            finally:
                running.discard(name)

    async with Cache.open("mem://", clock=clock, random=Random(1)) as cache, anyio.create_task_group() as tasks:
        cached = cache.early(90, key="{name}", early_ttl=30)(function)
        for name in range(40):
            await cached(name)
        await clock.advance(40)
        for name in range(40):
            await cached(name)
        await clock.settle()
        assert (len(running), cache.statistics().refreshes["pending"]) == (16, 40)
        tasks.start_soon(clock.advance, DRAIN)
        await cache.close()
        tasks.cancel_scope.cancel()
    assert running == set()
    assert cache.statistics().refreshes["pending"] == 0


async def test_closing_a_hosted_cache_ends_its_refreshes(clock):
    before = of_this_test()
    cache = Cache(clock=clock, random=Random(1))
    cache.setup("mem://")
    function = Refreshed(0, stays=True)
    await begin_refresh(cache, clock, function)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.close)
        await clock.advance(DRAIN)
    assert (function.cleaned, cache.statistics().tasks) == (2, 0)
    await clock.settle()
    assert of_this_test() == before


@pytest.mark.parametrize("options", [{}, {"check_interval": 0}])
async def test_a_cache_that_is_opened_again_refreshes_again(clock, options):
    cache = Cache(clock=clock, random=Random(1))
    cache.setup("mem://", **options)
    await cache.close()
    await cache.init()
    function = Refreshed(0)
    cached = await begin_refresh(cache, clock, function)
    await clock.settle()
    assert await cached() == 2
    await cache.close()
