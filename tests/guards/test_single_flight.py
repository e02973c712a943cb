"""`thunder_protection`: concurrent calls of a key run the function once, and nothing is kept."""

import anyio
import pytest

import cashews


class Loader:
    """Counts its calls and takes a second for each."""

    def __init__(self, clock):
        self.clock = clock
        self.calls = []

    async def load(self, key, failure=None):
        self.calls.append(key)
        await self.clock.sleep(1)
        if failure:
            raise failure
        return [key]


@pytest.fixture
def loader(clock):
    return Loader(clock)


async def gather(clock, *calls):
    """Make calls at the same time and return their results, or what they raised."""
    results = [None] * len(calls)

    async def run(place, call):
        try:
            results[place] = await call()
        except Exception as error:  # noqa: BLE001  whatever it is, it is told
            results[place] = error

    async with anyio.create_task_group() as tasks:
        for place, call in enumerate(calls):
            tasks.start_soon(run, place, call)
        await clock.advance(1)
    return results


async def test_concurrent_calls_of_a_key_run_the_function_once(cache, clock, loader):
    protected = cache.thunder_protection()(loader.load)
    a, again, b = await gather(clock, lambda: protected(1), lambda: protected(key=1), lambda: protected(2))
    assert (a, b) == ([1], [2])
    assert a is again
    assert sorted(loader.calls) == [1, 2]


async def test_nothing_is_kept(cache, clock, loader):
    protected = cache.thunder_protection()(loader.load)
    await gather(clock, lambda: protected(1))
    await gather(clock, lambda: protected(1))
    assert loader.calls == [1, 1]
    assert await cache.get_keys_count() == 0
    assert cache.statistics().loads == 0


async def test_a_key_template_says_which_calls_are_the_same(cache, clock, loader):
    protected = cache.thunder_protection(key="same")(loader.load)
    one, other = await gather(clock, lambda: protected(1), lambda: protected(2))
    assert one is other
    assert len(loader.calls) == 1


async def test_each_waiter_gets_an_exception_of_its_own(cache, clock, loader):
    """Guarantee 9."""
    failure = ValueError("no")
    protected = cache.thunder_protection(key="same")(loader.load)
    errors = await gather(clock, *[lambda: protected(1, failure)] * 3)
    assert list(map(repr, errors)) == [repr(failure)] * 3
    assert len(set(map(id, errors))) == 3
    assert failure in errors


async def test_when_the_leader_is_cancelled_a_waiter_takes_over(cache, clock, loader):
    """Guarantee 9; D1."""
    protected = cache.thunder_protection()(loader.load)
    results = []

    async def follow():
        results.append(await protected(1))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as leader:
            tasks.start_soon(cancel_later, clock, leader)
            tasks.start_soon(follow)
            await protected(1)
        await clock.advance(1)
    assert results == [[1]]
    assert loader.calls == [1, 1]


async def cancel_later(clock, scope):
    await clock.settle()
    scope.cancel()


async def test_recursion_into_the_same_key_runs_the_function(cache):
    @cache.thunder_protection(key="same")
    async def down(depth):
        return depth if depth == 0 else await down(depth - 1)

    assert await down(3) == 0


async def test_it_does_not_mistake_a_cached_function_of_the_same_key_for_itself(cache, clock, loader):
    protected = cache.thunder_protection(key="k")(loader.load)
    cached = cache(ttl=10, key="k")(loader.load)
    assert await gather(clock, lambda: protected(1), lambda: cached(2)) == [[1], [2]]


async def test_the_package_exports_that_of_the_default_cache(clock, loader):
    """It needs no backend."""
    protected = cashews.thunder_protection(key="same")(loader.load)
    one, other = await gather(clock, lambda: protected(1), lambda: protected(2))
    assert one is other
    assert len(loader.calls) == 1
