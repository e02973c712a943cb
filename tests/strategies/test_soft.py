"""Soft: anew after a while, the old value while that fails."""

import anyio
import pytest

from cashews import Cache
from cashews.exceptions import WrongArgumentError


class LostError(Exception):
    """An error of a function."""


async def test_a_value_is_loaded_anew_after_its_soft_ttl(cache, clock, origin):
    cached = cache.soft("10m", key="k", soft_ttl="7m")(origin)
    assert await cached() == 1
    await clock.advance(7 * 60 - 0.01)
    assert await cached() == 1
    await clock.advance(0.01)
    assert await cached() == 2


async def test_a_third_of_the_ttl_is_the_soft_ttl_if_none_is_given(cache, clock, origin):
    cached = cache.soft(90, key="k")(origin)
    await cached()
    await clock.advance(29.99)
    assert await cached() == 1
    await clock.advance(0.01)
    assert await cached() == 2


@pytest.mark.parametrize("soft_ttl", [lambda number, result: number + result, lambda _: 41, "41s"])
async def test_the_soft_ttl_may_depend_on_the_call(cache, clock, origin, soft_ttl):
    """D19."""
    cached = cache.soft(90, key="k", soft_ttl=soft_ttl)(origin)
    await cached(40)
    await clock.advance(40.99)
    assert await cached(40) == 1
    await clock.advance(0.01)
    assert await cached(40) == 2


async def test_a_failure_leaves_the_old_value_in_use_until_its_ttl(cache, clock, origin, subject):
    cached = cache.soft(90, key="k")(origin)
    await cached()
    await clock.advance(40)
    origin.error = LostError()
    with cache.detect as detector:
        assert [await cached(), await cached()] == [1, 1]
    assert detector.calls == {"soft:k": [{"name": "soft", "ttl": 90, "backend": subject.name, "exc": LostError}] * 2}
    assert origin.runs == 3
    await clock.advance(50)
    with pytest.raises(LostError):
        await cached()


@pytest.mark.parametrize(
    ("exceptions", "covered"), [(LostError, True), ((KeyError, LostError), True), (KeyError, False)]
)
async def test_only_the_named_failures_are_covered(cache, clock, origin, exceptions, covered):
    cached = cache.soft(90, key="k", exceptions=exceptions)(origin)
    await cached()
    await clock.advance(40)
    origin.error = LostError()
    if covered:
        assert await cached() == 1
    else:
        with pytest.raises(LostError):
            await cached()


def test_what_is_covered_are_exceptions():
    with pytest.raises(WrongArgumentError, match="exceptions"):
        Cache().soft(90, exceptions=(KeyboardInterrupt,))


async def test_callers_of_a_stale_value_share_one_load_and_its_failure(cache, clock, origin):
    cached = cache.soft(90, key="k")(origin)
    await cached()
    await clock.advance(40)
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


# --- soft timeout


async def test_a_load_that_takes_long_is_not_waited_for_and_ends_behind(cache, clock, origin):
    cached = cache.soft(90, key="k", soft_timeout=2)(origin)
    await cached()
    await clock.advance(40)
    origin.takes = 5
    results = []

    async def call():
        results.append((clock.now(), await cached(), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(1)
        tasks.start_soon(call)
        await clock.advance(4)
    assert sorted(results) == [(40, 1, 42), (41, 1, 43)]
    assert origin.runs == 2
    assert await cached() == 2


async def test_a_load_within_the_soft_timeout_is_waited_for(cache, clock, origin):
    cached = cache.soft(90, key="k", soft_timeout=2)(origin)
    await cached()
    await clock.advance(40)
    origin.takes = 1
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(1)
    assert results == [2]


async def test_without_an_old_value_the_soft_timeout_waits(cache, clock, origin):
    cached = cache.soft(90, key="k", soft_timeout=2)(origin)
    origin.takes = 5
    results = []

    async def call():
        results.append((await cached(), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(5)
    assert results == [(1, 5)]


async def test_an_old_value_that_is_gone_by_the_soft_timeout_is_not_served(cache, clock, origin):
    cached = cache.soft(90, key="k", soft_timeout=60)(origin)
    await cached()
    await clock.advance(40)
    origin.takes = 70
    results = []

    async def call():
        results.append((await cached(), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(70)
    assert results == [(2, 110)]
    assert origin.runs == 2


async def test_both_timeouts(cache, clock, origin):
    """The stale value first; later, when it is gone, the error."""
    cached = cache.soft(90, key="k", soft_timeout=2, hard_timeout=4)(origin)
    await cached()
    await clock.advance(40)
    origin.takes = 10
    results = []

    async def call():
        results.append((await cached(), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(5)
    assert results == [(1, 42)]
    assert cache.statistics().refreshes["failed"] == 1
    assert cache.statistics().loads == 0
