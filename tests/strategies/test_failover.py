"""Failover: always execute; when that fails, what was returned last."""

import anyio
import pytest

from cashews import Cache, only_exceptions
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
