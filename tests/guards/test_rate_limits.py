"""`rate_limit` and `slice_rate_limit`: how many calls of a key run in a time (reading h)."""

import re
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache, Command, RateLimitError, invalidate_further
from cashews.exceptions import WrongArgumentError, WrongTTLError
from cashews.testing.clock import VirtualClock

KINDS = ["rate_limit", "slice_rate_limit"]


@pytest.fixture(params=KINDS)
def limiting(request, cache):
    """The decorator factories of both kinds; what they have in common is said of both."""
    return getattr(cache, request.param)


async def call(key=1, **_):
    return key


async def passes(function, *args, **kwargs):
    try:
        await function(*args, **kwargs)
    except RateLimitError:
        return False
    return True


async def passing(function, calls):
    """Say which of some calls pass."""
    return [await passes(function) for _ in range(calls)]


# --- both


async def test_so_many_calls_pass_in_a_period_and_no_more(limiting, clock):
    limited = limiting(limit=3, period=10)(call)
    assert await passing(limited, 5) == [True, True, True, False, False]
    await clock.advance(9.9)
    assert await passing(limited, 1) == [False]
    await clock.advance(0.1)
    assert await passing(limited, 4) == [True, True, True, False]


async def test_calls_of_other_keys_have_a_limit_of_their_own(limiting):
    limited = limiting(limit=1, period=10)(call)
    assert [await passes(limited, key) for key in (1, 2, 1)] == [True, True, False]


@pytest.mark.parametrize("period", ["1m", lambda *_, **__: 60], ids=["fixed", "by the call"])
async def test_the_function_gets_its_arguments_whatever_their_names(limiting, period):
    """The text behind a limit has names of its own, and so have the statements that make its key."""

    async def function(key, _wait, *args, message, _function=3, **kwargs):
        return key, _wait, args, message, _function, kwargs

    limited = limiting(9, period, key="{key}:{_wait:lower}:{message.real:hash}:{kwargs}")(function)
    for args, kwargs in [((1, "A"), {"message": 2}), ((1, "A", 5), {"message": 2, "_function": 4, "wait": 6})]:
        assert await limited(*args, **kwargs) == await function(*args, **kwargs)
        assert ":1:a:" in limited.key(*args, **kwargs)
    with pytest.raises(TypeError, match="function"):
        await limited(1)


async def test_stacked_limits_count_apart(cache):
    """Whatever they share: the function, an explicit key, a prefix, a kind, a limit or a period (guarantee 5)."""
    limits = [(kind, limit, period) for kind in KINDS for limit in (6, 100) for period in (60, 3600)]
    for options in ({}, {"key": "k"}, {"key": "k", "prefix": "p"}, {"prefix": ""}):
        limited = call
        for kind, limit, period in limits:
            limited = getattr(cache, kind)(limit=limit, period=period, **options)(limited)
        assert await passing(limited, 7) == [True] * 6 + [False]


@pytest.mark.parametrize("kind", KINDS)
async def test_limits_of_a_period_that_depends_on_the_call_count_apart_by_it(cache, kind):
    limited = getattr(cache, kind)(limit=1, period=lambda key: 60 * key, key="k")(call)
    assert [await passes(limited, key) for key in (1, 2, 1, 2)] == [True, True, False, False]


async def test_a_key_template_says_which_calls_count_together(limiting):
    limited = limiting(limit=1, period=10, key="all", prefix="p")(call)
    assert await passes(limited, 1)
    with pytest.raises(RateLimitError) as refused:
        await limited(2)
    assert refused.value.key == limited.key(2)
    assert re.fullmatch("p:(fixed|sliding):1:10:all", refused.value.key)


async def test_the_error_tells_what_was_passed_and_when_to_try_again(limiting, clock):
    limited = limiting(limit=2, period=10)(call)
    await limited()
    await clock.advance(4)
    await limited()
    with pytest.raises(RateLimitError, match=r"more than 2 calls .* in 10 s: try again in 6 s") as refused:
        await limited()
    assert (refused.value.limit, refused.value.period) == (2, 10)
    assert refused.value.retry_after == pytest.approx(6, abs=0.05)
    await clock.advance(refused.value.retry_after)
    assert await passes(limited)


async def test_the_action_answers_refused_calls(limiting):
    limited = limiting(limit=1, period=10, action=lambda key: f"busy: {key}")(call)
    assert [await limited(1), await limited(1)] == [1, "busy: 1"]


async def test_an_async_action_is_awaited(limiting):
    """D21."""

    async def action(key):
        return f"busy: {key}"

    limited = limiting(limit=1, period=10, action=action)(call)
    assert [await limited(1), await limited(1)] == [1, "busy: 1"]


async def test_what_an_action_raises_is_raised(limiting):
    class BusyError(Exception):
        pass

    def action(key):
        raise BusyError(key)

    limited = limiting(limit=1, period=10, action=action)(call)
    await limited(1)
    with pytest.raises(BusyError):
        await limited(1)


async def test_events_of_the_same_instant_all_count(limiting):
    """D25."""
    limited = limiting(limit=50, period=10)(call)
    assert await passing(limited, 51) == [True] * 50 + [False]


async def test_a_call_that_fails_counts(limiting):
    async def fail():
        raise ValueError("no")

    limited = limiting(limit=1, period=10)(fail)
    with pytest.raises(ValueError, match="no"):
        await limited()
    assert not await passes(limited)


async def test_a_callable_period_is_asked_at_each_call(limiting, clock):
    """D19."""
    limited = limiting(limit=1, period=lambda key=1, seconds=5: f"{key * seconds}s", key="all")(call)
    assert [await passes(limited, seconds=5), await passes(limited, seconds=5)] == [True, False]
    await clock.advance(5)
    assert await passes(limited, seconds=5)


@pytest.mark.parametrize("period", [0, -1, None])
async def test_a_callable_period_without_length_or_end_is_an_error(limiting, period):
    limited = limiting(limit=1, period=lambda key=1: key and period)(call)
    with pytest.raises(WrongArgumentError, match="period"):
        await limited()


async def test_a_flood_of_other_keys_resets_nothing(limiting, cache):
    limited = limiting(limit=1, period=10)(call)
    await limited()
    for number in range(300):
        await cache.set(f"other:{number}", number)
    assert not await passes(limited)


async def test_invalidate_further_does_not_touch_limits(limiting):
    """Guarantee 21; D41."""
    limited = limiting(limit=1, period=10)(call)
    with invalidate_further():
        assert await passing(limited, 10) == [True] + [False] * 9
    assert await passing(limited, 1) == [False]


async def test_a_disabled_cache_limits_nothing_and_counts_nothing(limiting, cache):
    limited = limiting(limit=1, period=10)(call)
    with cache.disabling():
        assert await passing(limited, 3) == [True] * 3
    assert await passing(limited, 2) == [True, False]


async def test_only_the_command_that_counts_switches_a_limit_off(limiting, cache):
    counting = Command.SLICE_INCR if "slice" in limiting.__name__ else Command.INCR
    limited = limiting(limit=1, period=10)(call)
    await limited()
    cache.disable(*set(Command) - {counting})
    assert not await passes(limited)
    cache.enable()
    cache.disable(counting)
    assert await passes(limited)


async def test_nothing_is_left_of_a_limit_that_nobody_uses(limiting, cache, clock):
    limited = limiting(limit=1, period=10)(call)
    await passing(limited, 2)
    assert await cache.get_keys_count() == 1
    await clock.advance(10)
    assert await cache.get_keys_count() == 0


async def test_a_clock_that_is_set_back_shuts_nobody_out_for_longer_than_the_period(limiting, clock):
    limited = limiting(limit=1, period=10)(call)
    await limited()
    clock._epoch_offset -= 3600
    await clock.advance(10)
    assert await passes(limited)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wrong", "argument"),
    [({"limit": 0}, "limit"), ({"period": 0}, "period"), ({"period": None}, "period"), ({"period": "-1s"}, None)],
)
def test_wrong_arguments_are_refused_at_decoration(kind, wrong, argument):
    expected = WrongArgumentError if argument else WrongTTLError
    with pytest.raises(expected) as refused:
        getattr(Cache(), kind)(**{"limit": 1, "period": 1, **wrong})
    assert getattr(refused.value, "argument", None) == argument


# --- the fixed window


async def test_the_period_begins_with_the_first_call(cache, clock):
    limited = cache.rate_limit(limit=2, period=10)(call)
    await clock.advance(7)
    assert await passing(limited, 1) == [True]
    await clock.advance(9)
    assert await passing(limited, 2) == [True, False]
    await clock.advance(1)
    assert await passing(limited, 3) == [True, True, False]


async def test_the_ban_counts_from_the_first_refusal(cache, clock):
    limited = cache.rate_limit(limit=1, period=10, ttl=100)(call)
    await limited()
    await clock.advance(5)
    assert await passing(limited, 1) == [False]
    await clock.advance(99)
    assert await passing(limited, 1) == [False]
    await clock.advance(1)
    assert await passing(limited, 2) == [True, False]


async def test_a_banned_call_is_told_when_the_ban_ends(cache, clock):
    limited = cache.rate_limit(limit=1, period=10, ttl=100)(call)
    assert await passing(limited, 2) == [True, False]
    await clock.advance(30)
    with pytest.raises(RateLimitError) as refused:
        await limited()
    assert refused.value.retry_after == pytest.approx(70, abs=0.05)


async def test_without_a_refusal_there_is_no_ban(cache, clock):
    limited = cache.rate_limit(limit=2, period=10, ttl=100)(call)
    assert await passing(limited, 2) == [True, True]
    await clock.advance(10)
    assert await passing(limited, 1) == [True]


async def test_a_ban_shorter_than_the_rest_of_the_period_ends_it(cache, clock):
    limited = cache.rate_limit(limit=1, period=10, ttl=1)(call)
    assert await passing(limited, 2) == [True, False]
    await clock.advance(1)
    assert await passing(limited, 1) == [True]


async def test_a_callable_ban_may_say_that_there_is_none(cache, clock):
    """D19."""
    limited = cache.rate_limit(limit=1, period=10, ttl=lambda key=1, ban=None: key and ban, key="all")(call)
    assert [await passes(limited), await passes(limited, ban=None)] == [True, False]
    await clock.advance(10)
    assert [await passes(limited), await passes(limited, ban=60)] == [True, False]
    await clock.advance(59)
    assert not await passes(limited)
    with pytest.raises(WrongArgumentError, match="ttl"):
        await limited(ban=0)


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_ban_of_no_length_is_refused_at_decoration(ttl):
    with pytest.raises(WrongArgumentError, match="ttl"):
        Cache().rate_limit(limit=1, period=1, ttl=ttl)


# --- the sliding window


async def test_the_window_slides(cache, clock):
    limited = cache.slice_rate_limit(limit=2, period=10)(call)
    assert await passing(limited, 1) == [True]
    await clock.advance(6)
    assert await passing(limited, 2) == [True, False]
    await clock.advance(4)
    assert await passing(limited, 2) == [True, False]
    await clock.advance(6)
    assert await passing(limited, 2) == [True, False]


async def test_refused_calls_do_not_count(cache, clock):
    """Steady overload gets the whole limit, not less."""
    limited = cache.slice_rate_limit(limit=3, period=1)(call)
    passed = 0
    for _ in range(200):
        passed += await passes(limited)
        await clock.advance(0.125)
    assert passed == 75


STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), max_size=60)


@given(steps=STEPS, limit=st.integers(1, 4), period=st.integers(1, 20))
async def test_the_sliding_window_is_that_of_the_definition(steps, limit, period):
    """No more than `limit` calls in any `period`: told from all that ever passed."""
    clock, passed = VirtualClock(), {0: [], 1: []}
    async with Cache.open("mem://", clock=clock) as cache:
        limited = cache.slice_rate_limit(limit=limit, period=period)(call)
        for waited, key in steps:
            await clock.advance(waited)
            recent = [at for at in passed[key] if clock.now() - at < period]
            fits = len(recent) < limit
            assert await passes(limited, key) is fits
            if fits:
                passed[key].append(clock.now())


@given(steps=STEPS, limit=st.integers(1, 4), period=st.integers(1, 20), ban=st.none() | st.integers(1, 30))
async def test_the_fixed_window_is_that_of_the_definition(steps, limit, period, ban):
    clock, windows = VirtualClock(), {0: deque(), 1: deque()}
    async with Cache.open("mem://", clock=clock) as cache:
        limited = cache.rate_limit(limit=limit, period=period, ttl=ban)(call)
        for waited, key in steps:
            await clock.advance(waited)
            now, window = clock.now(), windows[key]
            if window and now >= window[0]:
                window.clear()
            if not window:
                window.append(now + period)  # when it ends, and then its calls
            window.append(now)
            calls = len(window) - 1
            if calls == limit + 1 and ban is not None:
                window[0] = now + ban
            assert await passes(limited, key) is (calls <= limit)
