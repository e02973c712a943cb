"""What holds for all caching decorators alike, because it lives in their one skeleton (guarantees 9-12)."""

import inspect
import traceback
from contextlib import suppress
from datetime import timedelta
from functools import partial
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import NOT_NONE, Cache, noself, only_exceptions, with_exceptions
from cashews.exceptions import LoadTimeoutError, NotAsyncError, WrongArgumentError, WrongTTLError
from cashews.testing.clock import VirtualClock

DECORATORS = {
    "simple": lambda cache, ttl=90, **options: cache(ttl, key="k", prefix="", **options),
    "early": lambda cache, ttl=90, **options: cache.early(ttl, key="k", prefix="", **options),
    "soft": lambda cache, ttl=90, **options: cache.soft(ttl, key="k", prefix="", **options),
    "hit": lambda cache, ttl=90, **options: cache.hit(ttl, 100, key="k", prefix="", **options),
    "dynamic": lambda cache, ttl=90, **options: cache.dynamic(ttl, key="k", prefix="", **options),
    "failover": lambda cache, ttl=90, **options: cache.failover(ttl, key="k", prefix="", **options),
}
READING = [name for name in DECORATORS if name != "failover"]
REMEMBERING = ["simple", "early", "hit"]


def each(*names):
    return pytest.mark.parametrize("decorate", [DECORATORS[name] for name in names], ids=names)


every_strategy = each(*DECORATORS)


class LostError(Exception):
    """An error of a function."""


async def swallow(cached, *args):
    with suppress(LostError):
        await cached(*args)


# --- the lifetime


@every_strategy
@pytest.mark.parametrize("ttl", [90, 90.0, "1m30s", timedelta(seconds=90), lambda *_: 90, lambda result: 89 + result])
async def test_a_value_is_kept_for_its_ttl_and_no_longer(cache, clock, origin, decorate, ttl):
    """Guarantee 2; D19: a ttl may be written in every way."""
    cached = decorate(cache, ttl)(origin)
    assert await cached() == 1
    await clock.advance(89.99)
    assert await cached.peek() == 1
    await clock.advance(0.01)
    assert await cached.peek() is None


@every_strategy
async def test_without_a_ttl_a_value_stays(cache, clock, origin, decorate):
    """D19."""
    cached = decorate(cache, None)(origin)
    await cached()
    await clock.advance(10**9)
    assert await cached.peek() == 1


@each(*READING)
async def test_a_value_is_served_from_the_cache(cache, origin, decorate):
    cached = decorate(cache)(origin)
    assert await cached() == await cached() == 1
    assert origin.runs == 1


@each(*READING)
@pytest.mark.parametrize("value", [None, False, 0, "", [], "absent"])
async def test_falsy_values_are_values(cache, decorate, value):
    runs = []

    @decorate(cache)
    async def get():
        runs.append(1)
        return value

    assert await get() == await get() == value
    assert len(runs) == 1


@every_strategy
async def test_a_ttl_that_is_not_above_zero_stores_nothing(cache, origin, decorate):
    cached = decorate(cache, lambda result: 0 if result == 1 else 10)(origin)
    assert [await cached(), await cached()] == [1, 2]
    assert await cached.peek() == 2


@every_strategy
async def test_a_ttl_may_depend_on_arguments_and_result(cache, decorate):
    """D19."""

    @decorate(cache, lambda number, *, word, result: number + len(word) + len(result))
    async def get(number, *, word):
        return word * number

    await get(2, word="abc")
    assert await cache.get_expire("k") == 2 + 3 + 6


@every_strategy
def test_a_ttl_that_cannot_be_understood_is_refused_at_decoration(decorate):
    with pytest.raises(WrongTTLError):
        decorate(Cache(), "1h30")


class Constant(Random):
    """Chance that has been decided."""

    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn

    def random(self):
        return self.drawn


@every_strategy
@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 1000), (0.5, 900), (0.999, 801)])
async def test_jitter_shortens_the_ttl_by_a_random_share(subject, clock, origin, decorate, drawn, expected):  # noqa: PLR0917  parameters of the test
    async with subject.open(clock, random=Constant(drawn)) as cache:
        await decorate(cache, 1000, jitter=0.2)(origin)()
        assert await cache.get_expire("k") == expected


@every_strategy
@pytest.mark.parametrize("jitter", [-0.1, 1.1])
def test_jitter_is_a_share(decorate, jitter):
    with pytest.raises(WrongArgumentError, match="jitter"):
        decorate(Cache(), jitter=jitter)


# --- conditions (guarantee 12)


@every_strategy
@pytest.mark.parametrize("condition", [NOT_NONE, "not_none", "skip_none"])
async def test_none_may_be_left_out(cache, decorate, condition):
    values = iter([None, 0])

    @decorate(cache, condition=condition)
    async def get():
        return next(values)

    assert await get() is None
    assert not await cache.exists("k")
    assert await get() == 0
    assert await cache.exists("k")


@every_strategy
@pytest.mark.parametrize(("answer", "kept"), [(True, 1), (1, 1), ("x", 1), ([0], 1), (False, 0), (0, 0), (None, 0)])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_truthy_stores_and_what_is_falsy_does_not(cache, origin, decorate, answer, kept, asynchronous):  # noqa: PLR0917  they come by name
    """D17."""

    def condition(result, args, kwargs, key):
        assert (result, args, kwargs, key) == (1, ("a",), {"b": 2}, "k")
        return answer

    async def slow_condition(*args, **kwargs):
        await checkpoint()
        return condition(*args, **kwargs)

    cached = decorate(cache, condition=slow_condition if asynchronous else condition)(origin)
    assert await cached("a", b=2) == 1
    assert await cache.exists("k") is bool(kept)


@every_strategy
@pytest.mark.parametrize("takes", [1, 5])
@pytest.mark.parametrize("answer", [False, True])
async def test_condition_and_time_condition_combine(cache, clock, origin, decorate, takes, answer):  # noqa: PLR0917  they come by name
    """D18."""
    origin.takes = takes
    cached = decorate(cache, condition=lambda *_, **__: answer, time_condition="3s")(origin)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(5)
    assert await cache.exists("k") is (answer and takes == 5)


@every_strategy
def test_a_condition_that_is_not_known_is_refused_at_decoration(decorate):
    with pytest.raises(WrongArgumentError, match="condition"):
        decorate(Cache(), condition="not_null")


@each(*REMEMBERING)
@pytest.mark.parametrize("condition", [with_exceptions(LostError), only_exceptions(LostError), with_exceptions()])
async def test_an_exception_may_be_remembered(cache, clock, origin, decorate, condition):
    origin.error = LostError("gone", 7)
    cached = decorate(cache, condition=condition)(origin)
    for _ in range(3):
        with pytest.raises(LostError) as caught:
            await cached()
        assert caught.value.args == ("gone", 7)
    assert origin.runs == 1
    await clock.advance(90)
    await swallow(cached)
    assert origin.runs == 2


@each(*REMEMBERING)
async def test_only_what_is_named_is_remembered(cache, origin, decorate):
    cached = decorate(cache, condition=only_exceptions(KeyError))(origin)
    origin.error = LostError()
    await swallow(cached)
    assert not await cache.exists("k")
    origin.error = None
    await cached()
    assert not await cache.exists("k")
    origin.error = KeyError("k")
    with pytest.raises(KeyError):
        await cached()
    assert await cache.exists("k")


@every_strategy
async def test_what_a_function_raises_is_not_remembered_unasked(cache, origin, decorate):
    origin.error = LostError()
    cached = decorate(cache)(origin)
    for _ in range(2):
        await swallow(cached)
    assert origin.runs == 2
    assert not await cache.exists("k")


@every_strategy
async def test_a_truthy_answer_does_not_store_an_exception(cache, origin, decorate):
    origin.error = LostError()
    await swallow(decorate(cache, condition=lambda *_, **__: True)(origin))
    assert not await cache.exists("k")


@each(*REMEMBERING)
async def test_a_condition_may_turn_a_result_into_an_exception(cache, origin, decorate):
    cached = decorate(cache, condition=lambda *_, **__: LostError("from now on"))(origin)
    assert await cached() == 1
    with pytest.raises(LostError, match="from now on"):
        await cached()


@each(*REMEMBERING)
async def test_a_remembered_exception_is_raised_as_a_fresh_copy(cache, origin, decorate):
    """D20: no traceback grows, no note gathers, no object is shared."""
    origin.error = LostError("gone")
    cached = decorate(cache, condition=with_exceptions())(origin)
    await swallow(cached)
    seen = []
    for _ in range(5):
        with pytest.raises(LostError) as caught:
            await cached()
        seen.append(caught.value)
    lengths = [len(traceback.extract_tb(error.__traceback__)) for error in seen]
    assert len(set(map(id, [*seen, origin.error]))) == 6
    assert len(set(lengths)) == 1


# --- what is common to the options


@every_strategy
async def test_a_load_may_take_no_longer_than_its_hard_timeout(cache, clock, origin, decorate):
    origin.takes = 10
    cached = decorate(cache, hard_timeout="3s")(origin)

    async def call():
        with pytest.raises(LoadTimeoutError, match="'k' took longer than 3 s"):
            await cached()
        assert clock.now() == 3

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(10)
    assert not await cache.exists("k")


@every_strategy
async def test_the_hard_timeout_does_not_concern_a_load_in_time(cache, clock, origin, decorate):
    origin.takes = 2
    cached = decorate(cache, hard_timeout=3)(origin)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(5)
    assert await cached.peek() == 1


@each(*READING)
async def test_upper_keeps_nothing_that_came_from_a_cache_beneath(cache, origin, decorate):
    inner = cache(90, key="inner")(origin)

    @decorate(cache, upper=True)
    async def outer():
        return await inner()

    assert await outer() == 1
    assert await cache.exists("k")
    await cache.delete("k")
    assert await outer() == 1  # this time from the inner cache
    assert not await cache.exists("k")


@every_strategy
async def test_a_lock_against_other_processes_has_a_lease_of_its_own(cache, clock, origin, decorate):
    """D47: a killed process blocks a key for a minute, not for the ttl; D7."""
    origin.takes = 1
    cached = decorate(cache, ttl="10h", lock=True)(origin)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(0.5)
        assert await cache.is_locked("k:lock")
        assert not await cache.set_lock("k:lock", "another", 1)
        await clock.advance(0.5)
    assert not await cache.is_locked("k:lock")
    assert await cached.peek() == 1


@each(*READING)
async def test_under_a_lock_what_another_process_stored_meanwhile_is_served(cache, clock, origin, decorate):
    cached = decorate(cache, lock=True)(origin)
    await cache.set_lock("k:lock", "another process", 60)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(1)
        await cache.set("k", "theirs", 90)
        await cache.unlock("k:lock", "another process")
    assert results == ["theirs"]
    assert origin.runs == 0


@every_strategy
async def test_the_lease_of_a_dead_process_ends(cache, clock, origin, decorate):
    cached = decorate(cache, lock="20s")(origin)
    await cache.set_lock("k:lock", "dead", 60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(59)
        assert origin.runs == 0
        await clock.advance(1)
        assert origin.runs == 1


@every_strategy
async def test_a_disabled_cache_runs_the_function_each_time(cache, origin, decorate):
    """Guarantee 19."""
    cached = decorate(cache)(origin)
    with cache.disabling():
        assert [await cached(), await cached()] == [1, 2]
    assert not await cache.exists("k")


# --- where results came from


def record(name, subject):
    return {"name": {"dynamic": "hit"}.get(name, name), "ttl": 90, "backend": subject.name}


@pytest.mark.parametrize("name", READING)
async def test_served_calls_are_detected_and_runs_are_not(cache, origin, name, subject):
    cached = DECORATORS[name](cache)(origin)
    with cache.detect as detector:
        await cached()
        assert detector.calls == {}
        assert detector.keys == ()
        await cached()
        await cached()
    await cached()
    assert detector.calls == {"k": [record(name, subject)] * 2}
    detector.clear()
    assert detector.calls == {}


@pytest.mark.parametrize("name", DECORATORS)
async def test_callers_who_share_a_load_are_detected(cache, clock, origin, name, subject):
    """D3: all but the one who ran the function."""
    origin.takes = 1
    cached = DECORATORS[name](cache)(origin)
    found = []

    async def call():
        with cache.detect as detector:
            await cached()
        found.append(detector.calls)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(call)
        await clock.advance(1)
    assert sorted(found, key=len) == [{}] + [{"k": [record(name, subject)]}] * 3


async def test_detection_nests_and_keeps_to_its_context(cache, origin):
    cached = cache(90, key="k")(origin)
    await cached()
    with cache.detect as outer:
        await cached()
        with cache.detect as inner:
            await cached()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cached)  # a task of this context
    assert [len(detector.calls["k"]) for detector in (outer, inner)] == [3, 1]
    with cache.detect as other:
        pass
    assert other.calls == {}


async def test_a_record_tells_the_ttl_of_its_call(cache):
    @cache(lambda number: number * 10, key="k:{number}")
    async def get(number):
        return number

    with cache.detect as detector:
        for number in (1, 2, 1, 2):
            await get(number)
    assert {key: [each["ttl"] for each in records] for key, records in detector.calls.items()} == {
        "k:1": [10],
        "k:2": [20],
    }


# --- what a decorated function gains


@every_strategy
async def test_the_key_of_a_call(cache, decorate):
    assert decorate(cache)(origin_of_keys).key(1) == "k"
    assert cache.early(90, key="user:{number}")(origin_of_keys).key(number=1) == "early:user:1"


async def origin_of_keys(number):
    return number


@every_strategy
async def test_invalidate_forgets_one_call(cache, origin, decorate):
    cached = decorate(cache)(origin)
    await cached()
    assert await cached.invalidate() is True
    assert await cached.invalidate() is False
    assert await cached() == 2


@every_strategy
async def test_refresh_runs_the_function_and_remembers(cache, origin, decorate):
    cached = decorate(cache)(origin)
    assert [await cached(), await cached.refresh()] == [1, 2]
    assert await cached.peek() == 2
    origin.error = LostError()
    with pytest.raises(LostError):
        await cached.refresh()
    assert await cached.peek() == 2


@every_strategy
async def test_peek_runs_nothing(cache, origin, decorate):
    cached = decorate(cache)(origin)
    assert await cached.peek() is None
    await cached()
    assert await cached.peek() == 1
    assert origin.runs == 1


@each(*REMEMBERING)
async def test_peek_returns_a_remembered_exception(cache, origin, decorate):
    origin.error = LostError("gone")
    cached = decorate(cache, condition=with_exceptions())(origin)
    await swallow(cached)
    found = await cached.peek()
    assert isinstance(found, LostError)
    assert found is not origin.error


@every_strategy
async def test_a_cached_function_is_still_an_async_function(cache, decorate):
    @decorate(cache)
    async def get(name: str, *, size: int = 1) -> str:
        """Get it."""
        return name * size

    assert inspect.iscoroutinefunction(get)
    assert list(inspect.signature(get).parameters) == ["name", "size"]
    assert (get.__name__, get.__doc__) == ("get", "Get it.")


@every_strategy
async def test_methods_are_cached_by_their_arguments(cache, decorate):
    class Users:
        def __init__(self):
            self.reads = 0

        @noself(partial(decorate, cache))()
        async def get(self, number):
            self.reads += 1
            return number

    users = Users()
    assert await users.get(1) == 1
    assert await Users.get.peek(users, 1) == 1
    assert await Users.get.invalidate(users, 1)


@every_strategy
@pytest.mark.parametrize("function", [len, lambda: None, 7, partial(len)])
def test_other_functions_are_refused_at_decoration(decorate, function):
    """D27."""
    with pytest.raises(NotAsyncError):
        decorate(Cache())(function)


@every_strategy
async def test_parameters_may_have_any_name(cache, decorate):
    """D62."""

    @decorate(cache, ttl=lambda *_, **__: 90)
    async def get(*, template, ttl, result, key, self=1, call=2):
        return template, ttl, result, key, self, call

    assert await get(template=1, ttl=2, result=3, key=4, self=5, call=6) == (1, 2, 3, 4, 5, 6)


async def test_nothing_is_kept_per_call(cache, origin):
    """D6, D7: what a decorator holds does not grow with its calls."""
    cached = cache(90, key="k", lock=True, upper=True)(origin)
    for _ in range(50):
        await cached()
        await cached.invalidate()
    held = cache.statistics().backends[""]
    assert (cache.statistics().loads, held.get("locks", 0), held.get("keys", 0)) == (0, 0, 0)
    assert await cache.get_keys_count() == 0
    assert not await cache.is_locked("k")


def test_decorating_needs_no_backend():
    cache = Cache(clock=VirtualClock())
    for decorate in DECORATORS.values():
        decorate(cache)(origin_of_keys)
