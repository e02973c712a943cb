"""Early, and the background refreshes that it shares with hit (guarantee 11)."""

import logging
import math
from contextvars import ContextVar
from random import Random

import anyio
import pytest

from cashews import NOT_NONE, Cache, Command
from cashews.engine.refresher import FIRST_REST, LONGEST_REST, WORKERS
from cashews.exceptions import WrongArgumentError

WHO = ContextVar("who", default="nobody")


class LostError(Exception):
    """An error of a function."""


async def call_later(clock, cached, seconds):
    """Advance, call, and let the refresh that it may have begun come to its end; says what was served."""
    await clock.advance(seconds)
    served = await cached()
    await clock.settle()
    return served


# --- when it refreshes


async def test_a_value_is_refreshed_behind_the_caller_s_back_after_its_early_ttl(cache, clock, origin):
    cached = cache.early("10m", key="k", early_ttl="7m")(origin)
    assert await cached() == 1
    assert await call_later(clock, cached, 7 * 60 - 0.01) == 1
    assert origin.runs == 1
    assert await call_later(clock, cached, 0.01) == 1
    assert origin.runs == 2
    assert await call_later(clock, cached, 0) == 2
    assert await call_later(clock, cached, 7 * 60 - 0.01) == 2
    assert origin.runs == 2


async def test_a_third_of_the_ttl_is_the_early_ttl_if_none_is_given(cache, clock, origin):
    cached = cache.early(90, key="k")(origin)
    await cached()
    await call_later(clock, cached, 29.99)
    assert origin.runs == 1
    await call_later(clock, cached, 0.01)
    assert origin.runs == 2


@pytest.mark.parametrize("early_ttl", [lambda number, result: number + result, lambda _: 41, "41s"])
async def test_the_early_ttl_may_depend_on_the_call(cache, clock, origin, early_ttl):
    """D19."""
    cached = cache.early(90, key="k", early_ttl=early_ttl)(origin)
    await cached(40)
    await clock.advance(40.99)
    await cached(40)
    await clock.settle()
    assert origin.runs == 1
    await clock.advance(0.01)
    await cached(40)
    await clock.settle()
    assert origin.runs == 2


async def test_a_value_that_nobody_asks_for_is_not_refreshed(cache, clock, origin):
    cached = cache.early(90, key="k")(origin)
    await cached()
    await clock.advance(200)
    assert origin.runs == 1
    assert await cached() == 2


async def test_one_refresh_of_a_key_runs_at_a_time(cache, clock, origin):
    cached = cache.early(90, key="k")(origin)
    await cached()
    await clock.advance(40)
    origin.takes = 5
    assert [await cached() for _ in range(10)] == [1] * 10
    await clock.advance(4)
    assert [await cached() for _ in range(10)] == [1] * 10
    assert origin.runs == 2
    await clock.advance(1)
    assert await cached() == 2


async def test_without_background_the_caller_waits_for_the_new_value(cache, clock, origin):
    """D15: and gets it, not the old one."""
    cached = cache.early(90, key="k", background=False)(origin)
    await cached()
    assert await call_later(clock, cached, 40) == 2


async def test_without_background_a_failure_leaves_the_old_value_in_use(cache, clock, origin, subject):
    """D15."""
    cached = cache.early(90, key="k", background=False)(origin)
    await cached()
    origin.error = LostError()
    with cache.detect as detector:
        assert await call_later(clock, cached, 40) == 1
    assert detector.calls == {"early:k": [{"name": "early", "ttl": 90, "backend": subject.name, "exc": LostError}]}
    with pytest.raises(LostError):
        await call_later(clock, cached, 50)


# --- chance


class Constant(Random):
    """Chance that has been decided."""

    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn

    def random(self):
        return self.drawn


@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("beta", [1.0, 3.0])
@pytest.mark.parametrize("early_ttl", [None, 60])
async def test_beta_gives_a_head_start_that_grows_with_the_cost_of_the_load(  # noqa: PLR0917  parameters
    subject, clock, origin, drawn, beta, early_ttl
):
    """XFetch: now - cost * beta * ln(draw) >= the instant; without an early ttl that instant is the expiry."""
    async with subject.open(clock, random=Constant(drawn)) as cache:
        cached = cache.early(90, key="k", early_ttl=early_ttl, beta=beta)(origin)
        origin.takes = 2.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cached)
            await clock.advance(2)
        origin.takes = 0
        head_start = -math.log(1 - drawn) * beta * 2.0
        due = (early_ttl or 90) - head_start
        await call_later(clock, cached, due - 0.01)
        assert origin.runs == 1
        await call_later(clock, cached, 0.02)
        assert origin.runs == 2


async def test_the_same_seed_refreshes_at_the_same_instants(clock, origin, subject):
    async def instants(seed):
        found = []
        async with subject.open(clock, random=Random(seed)) as cache:
            cached = cache.early(90, key="k", beta=1.0)(origin)
            origin.takes = 4.0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cached)
                await clock.advance(4)
            origin.takes = 0
            for second in range(85):
                runs = origin.runs
                await call_later(clock, cached, 1)
                if origin.runs > runs:
                    found.append(second)
            await cache.clear()  # a server would keep it for the next
        return found

    first, again, other = await instants(1), await instants(1), await instants(2)
    assert first == again != other
    assert first


def test_beta_is_not_negative():
    with pytest.raises(WrongArgumentError, match="beta"):
        Cache().early(90, beta=-1)


# --- what a refresh is


async def test_a_refresh_runs_in_a_clean_context(cache, clock):
    """Guarantee 11: neither the caller's context variables nor its switches reach it."""
    seen = []

    @cache.early(90, key="k")
    async def get():
        seen.append(WHO.get())
        return len(seen)

    WHO.set("the caller")
    await get()
    await clock.advance(40)
    with cache.disabling(Command.SET), cache.detect as detector:
        assert await get() == 1
        await clock.settle()
    assert seen == ["the caller", "nobody"]
    assert await get() == 2
    assert len(detector.calls["early:k"]) == 1


async def test_no_more_than_some_refreshes_run_at_once(cache, clock):
    running = most = 0

    @cache.early(90, key="{number}")
    async def get(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if clock.now():
            await clock.sleep(1)
        running -= 1
        return number, clock.now()

    for number in range(40):
        await get(number)
    await clock.advance(40)
    for number in range(40):
        await get(number)
    assert cache.statistics().refreshes["pending"] == 40
    await clock.advance(3)
    assert most == WORKERS == 16
    assert cache.statistics().refreshes == {"pending": 0, "done": 40, "failed": 0, "refused": 0}
    assert [await get(number) for number in (0, 39)] == [(0, 41), (39, 43)]


async def test_a_refresh_that_the_condition_refuses_leaves_the_old_value(cache, clock):
    values = iter([1, None, 2])

    @cache.early(90, key="k", condition=NOT_NONE)
    async def get():
        return next(values)

    await get()
    assert [await call_later(clock, get, seconds) for seconds in (40, 0, 0)] == [1, 1, 2]


# --- when it fails


async def test_a_failed_refresh_is_logged_and_the_old_value_served_until_its_ttl(cache, clock, origin, caplog):
    cached = cache.early(90, key="k")(origin)
    await cached()
    origin.error = LostError("the database")
    with caplog.at_level(logging.WARNING, "cashews"):
        assert await call_later(clock, cached, 40) == 1
    assert "'early:k'" in caplog.text
    assert "the database" in caplog.text
    assert cache.statistics().refreshes["failed"] == 1
    assert await call_later(clock, cached, 49.99) == 1
    with pytest.raises(LostError):
        await call_later(clock, cached, 0.01)


async def test_after_a_failure_a_key_rests_for_twice_as_long_each_time(cache, clock, origin):
    cached = cache.early(10_000, key="k", early_ttl=1)(origin)
    await cached()
    origin.error = LostError()
    await call_later(clock, cached, 1)
    rests = [min(FIRST_REST * 2**failures, LONGEST_REST) for failures in range(9)]
    assert rests[-1] == LONGEST_REST
    for failures, rest in enumerate(rests, 2):
        await call_later(clock, cached, rest - 0.25)
        assert origin.runs == failures
        await call_later(clock, cached, 0.25)
        assert origin.runs == failures + 1
    origin.error = None
    assert await call_later(clock, cached, LONGEST_REST) == 1
    assert await call_later(clock, cached, 1) == origin.runs - 1
    origin.error = LostError()
    await call_later(clock, cached, 1)
    runs = origin.runs
    await call_later(clock, cached, FIRST_REST)
    assert origin.runs == runs + 1, "a success ends the series"


async def test_other_keys_do_not_rest(cache, clock):
    runs = []

    @cache.early(90, key="{name}")
    async def get(name):
        runs.append(name)
        if len(runs) == 3:
            raise LostError
        return name

    await get("a")
    await get("b")
    await clock.advance(40)
    await get("a")
    await clock.settle()
    await get("b")
    await clock.settle()
    assert runs == ["a", "b", "a", "b"]


@pytest.mark.parametrize("option", ["condition", "ttl", "early_ttl"])
async def test_an_error_of_what_the_user_hands_in_does_not_end_the_refreshes(cache, clock, origin, option):
    """Nor the scope: it is a failed refresh like any other."""

    def broken(*_, **__):
        if clock.now() == 40:
            raise ZeroDivisionError
        return 90 if option == "ttl" else 30

    cached = cache.early(**{"ttl": 90, "early_ttl": 30, "key": "k", option: broken})(origin)
    other = cache.early(90, key="other")(origin)
    await cached()
    await other()
    assert await call_later(clock, cached, 40) == 1
    await call_later(clock, other, 0)
    assert cache.statistics().refreshes == {"pending": 0, "done": 2, "failed": 1, "refused": 0}
    await call_later(clock, cached, FIRST_REST)
    assert await cached() == origin.runs


class LibraryExit(BaseException):
    """A way out of a library of its own."""


@pytest.mark.parametrize("error", [SystemExit(1), LibraryExit()], ids=repr)
async def test_a_refresh_that_leaves_by_a_way_of_its_own_is_a_failed_refresh(cache, clock, origin, error, caplog):
    """It ends neither its worker nor the scope (guarantee 11); there are more of them than there are workers."""

    @cache.early(90, early_ttl=30, key="k:{key}")
    async def cached(key):
        return await origin(key)

    for key in range(WORKERS + 1):
        await cached(key)
    origin.error = error
    await clock.advance(40)
    for key in range(WORKERS + 1):
        await cached(key)
    await clock.settle()
    assert cache.statistics().refreshes["failed"] == WORKERS + 1
    assert "the refresh of 'early:k:0' failed" in caplog.text
    origin.error = None
    await clock.advance(FIRST_REST)
    runs = origin.runs
    await cached(0)
    await clock.settle()
    assert origin.runs == runs + 1
