"""Failover: always execute; when that fails, what was returned last."""

import functools

import anyio
import pytest

from cashews import Cache, Command, only_exceptions
from cashews.exceptions import LoadTimeoutError, WrongArgumentError


class LostError(Exception):
    """An error of a function."""


async def test_the_function_runs_each_time(cache, origin):
    cached = cache.failover(90, key="k")(origin)
    assert [await cached(), await cached()] == [1, 2]


async def test_what_was_returned_last_covers_a_failure_until_its_ttl(cache, clock, origin):
    cached = cache.failover(90, key="k")(origin)
    await cached()
    await cached()
    origin.error = LostError()
    await clock.advance(89.99)
    assert await cached() == 2
    await clock.advance(0.01)
    with pytest.raises(LostError):
        await cached()


async def test_without_an_earlier_success_the_failure_is_raised_as_it_is(cache, origin):
    origin.error = LostError()
    with pytest.raises(LostError) as caught:
        await cache.failover(90, key="k")(origin)()
    assert caught.value is origin.error


@pytest.mark.parametrize(
    ("exceptions", "covered"), [(LostError, True), ((KeyError, LostError), True), (KeyError, False)]
)
async def test_only_the_named_failures_are_covered(cache, origin, exceptions, covered):
    cached = cache.failover(90, exceptions, key="k")(origin)
    await cached()
    origin.error = LostError()
    if covered:
        assert await cached() == 1
    else:
        with pytest.raises(LostError):
            await cached()


async def test_the_default_failures_may_be_set(cache, origin):
    before = cache.failover(90, key="before")(origin)
    cache.set_default_fail_exceptions(KeyError, IndexError)
    after = cache.failover(90, key="after")(origin)
    named = cache.failover(90, LostError, key="named")(origin)
    for cached in (before, after, named):
        await cached()
    origin.error = LostError()
    assert [await before(), await named()] == [1, 3]
    with pytest.raises(LostError):
        await after()
    origin.error = IndexError()
    assert await after() == 2


def test_what_is_covered_are_exceptions():
    with pytest.raises(WrongArgumentError, match="exceptions"):
        Cache().failover(90, exceptions=(SystemExit,))
    with pytest.raises(WrongArgumentError, match="exceptions"):
        Cache().set_default_fail_exceptions(GeneratorExit)


async def test_a_covered_failure_is_detected_with_its_kind(cache, origin, subject):
    """Reading b of the specification."""
    cached = cache.failover(90, key="k")(origin)
    with cache.detect as detector:
        await cached()
        assert detector.calls == {}
        origin.error = LostError()
        await cached()
    assert detector.calls == {"fail:k": [{"name": "failover", "ttl": 90, "backend": subject.name, "exc": LostError}]}


async def test_those_who_share_a_failed_load_are_all_covered(cache, clock, origin):
    """D5."""
    cached = cache.failover(90, key="k")(origin)
    await cached()
    origin.takes, origin.error = 1, LostError()
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
        await clock.advance(1)
    assert results == [1] * 5
    assert origin.runs == 2


async def test_a_load_that_takes_too_long_is_a_failure(cache, clock, origin):
    cached = cache.failover(90, key="k", hard_timeout=2)(origin)
    await cached()
    origin.takes = 5
    results = []

    async def call():
        with cache.detect as detector:
            results.append(await cached())
        (record,) = detector.calls["fail:k"]
        assert record["exc"] is LoadTimeoutError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(2)
    assert results == [1]


async def test_after_the_soft_timeout_what_was_returned_last_is_served(cache, clock, origin):
    cached = cache.failover(90, key="k", soft_timeout=2)(origin)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.settle()
    origin.takes = 5
    results = []

    async def call():
        results.append((await cached(), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(5)
    assert results == [(1, 2)]
    assert await cached.peek() == 2


async def test_a_failure_that_is_not_an_exception_is_nobody_s_to_cover(cache):
    fails = False

    @cache.failover(90, key="k")
    async def get():
        if fails:
            raise KeyboardInterrupt
        return 1

    await get()
    fails = True
    with pytest.raises(KeyboardInterrupt):
        await get()
    assert cache.statistics().loads == 0


async def test_a_condition_that_keeps_nothing_leaves_nothing_to_fall_back_on(cache, origin):
    cached = cache.failover(90, key="k", condition=lambda *_, **__: False)(origin)
    await cached()
    origin.error = LostError()
    with pytest.raises(LostError):
        await cached()


async def test_a_remembered_failure_does_not_replace_the_value(cache, origin):
    """Remembering exceptions is for simple, hit and early; here a value is worth more."""
    cached = cache.failover(90, key="k")(origin)
    await cached()
    failing = cache.failover(90, key="k", condition=only_exceptions(LostError))(origin)
    origin.error = LostError()
    with pytest.raises(LostError):
        await failing()


def outermost(cached):
    """Return a function with nothing but a user's decorator around it."""

    @functools.wraps(cached)
    async def run(*args, **kwargs):
        return await cached(*args, **kwargs)

    return run


@pytest.mark.parametrize(
    "between",
    [
        lambda _, cached: cached,
        lambda _, cached: outermost(cached),
        lambda cache, cached: cache.locked(10, key="l")(cached),
        lambda _, cached: functools.partial(cached, "a"),
        lambda cache, cached: cache.failover(50, key="between")(cached),
    ],
    ids=["cached", "decorated", "guarded", "partial", "failover"],
)
async def test_over_a_cached_function_it_stores_when_that_has_run(cache, clock, origin, between):
    cached = cache(10, key="k")(origin)
    covered = cache.failover(90, key="k")(between(cache, cached))
    stored = []
    with cache.callback(lambda key, _: stored.append(key), Command.SET):
        assert [await covered() for _ in range(5)] == [1] * 5
    assert stored.count("fail:k") == 1
    await clock.advance(10)
    assert [await covered() for _ in range(5)] == [2] * 5
    assert await covered.peek() == 2
    await clock.advance(10)
    origin.error = LostError()
    assert await covered() == 2


async def test_over_a_cached_method_it_stores_when_that_has_run(cache, origin):
    class Service:
        @cache.failover(90, key="m:{number}")
        @cache(10, key="m:{number}")
        async def get(self, number):
            return await origin()

        @cache(10, key="b:{number}")
        async def bound(self, number):
            return await origin()

    service, stored = Service(), []
    covered = cache.failover(90, key="b:{number}")(service.bound)
    with cache.callback(lambda key, _: stored.append(key), Command.SET):
        assert [await service.get(number=7), await service.get(7), await service.get(7)] == [1] * 3
        assert [await covered(7), await covered(number=7), await covered(7)] == [2] * 3
    assert (stored.count("fail:m:7"), stored.count("fail:b:7")) == (1, 1)


@pytest.mark.parametrize("kind", ["function", "bound method"])
async def test_the_answer_to_another_call_is_none_of_this_one(cache, origin, kind):
    class Service:
        @cache(10, key="m:{number}:{step}")
        async def get(self, number, step=1):
            return 0 if number == 1 else await self.get(1, step) + await origin()

    @cache(10, key="f:{number}:{step}")
    async def get(number, step=1):
        return 0 if number == 1 else await get(1, step) + await origin()

    asked = get if kind == "function" else Service().get
    covered, stored = cache.failover(90, key="c:{number}:{step}")(asked), []
    await asked(1)
    with cache.callback(lambda key, _: stored.append(key), Command.SET):
        await covered(2, 1)
        assert stored.count("fail:c:2:1") == 1, "the function has run, and has asked the cache about another call"
        assert [await covered(2, step=1), await covered(number=2), await covered(2, 1)] == [1] * 3
    assert stored.count("fail:c:2:1") == 1, "the cache has answered, however the arguments are passed"


async def test_a_default_that_is_changed_on_the_way_makes_another_call(cache, origin):
    @cache(10, key="f:{number}:{step}")
    async def get(number, step=1):
        return number + step + await origin()

    @cache.failover(90, key="c:{number}:{step}")
    @functools.wraps(get)
    async def covered(number, step=1):
        return await get(number, step + 1)

    stored = []
    with cache.callback(lambda key, _: stored.append(key), Command.SET):
        assert [await covered(2), await covered(2)] == [5, 5]
    assert stored.count("fail:c:2:1") == 2


async def test_a_function_that_asks_other_caches_has_run_all_the_same(cache):
    @cache(90, key="part:{number}")
    async def part(number):
        return number

    @cache.failover(90, key="sum:{number}")
    @cache(1, key="sum:{number}", condition=lambda *_, **__: False)
    async def total(number):
        return await part(number) + (await total(number - 1) if number else 0)

    await part(2)
    await total(1)
    stored = []
    with cache.callback(lambda key, _: stored.append(key), Command.SET):
        assert await total(2) == 3
    assert "fail:sum:2" in stored
