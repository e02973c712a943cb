"""Durations in every form that users may write."""

import enum
import functools
import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews.exceptions import WrongTTLError
from cashews.ttl import LONGEST, TTLRule, compile_ttl, seconds

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Period(enum.IntEnum):
    MINUTE = 60


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, None),
        (10, 10),
        (0, 0),
        (-1, -1),
        (-0.5, -0.5),
        (0.005, 0.005),
        (Period.MINUTE, 60),
        (timedelta(hours=3), 10_800),
        (timedelta(milliseconds=-5), -0.005),
        ("1h30m", 5_400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2w", 1_209_600),
        ("1d2h3m50s", 93_830),
        ("2h5m", 7_500),
        ("20h", 72_000),
        ("1m1ms", 60.001),
        ("1s1ms", 1.001),
        ("1.5h30m", 7_200),
        ("0s", 0),
        ("0.1s", 0.1),
        ("2.3s", 2.3),
        ("90m", 5_400),
        ("007s", 7),
    ],
)
def test_a_duration_is_understood(written, expected):
    """Guarantee 7, and every form that the specification shows."""
    assert seconds(written) == expected


WRONG_TEXT = [
    *("", " ", "1h30", "10m5", "10", "0", "h", "1", "ms", "1hm", "h1"),  # a number and its unit, both of them
    *("1x", "1y", "1us", "1M", "1H", "1 h", "1h 30m", " 1h", "1h ", "1h\n", "1h,30m"),  # nothing else
    *("-1h", "+1h", "1.h", ".5h", "1..5h", "1.5.5h", "1e3s", "inf", "nan", "infs", "1_0s"),  # no other numbers
    *("30m1h", "1m1h", "1ms1s", "1h1h", "1s2s"),  # the larger unit first, each once
    *("\u0661h", "1\uff48", "1\u00b5s"),  # Arabic and full-width look like digits and letters
    "1234567890s",  # nine digits at most
    "9" * 5_000 + "s",
]


@pytest.mark.parametrize("written", WRONG_TEXT, ids=lambda text: ascii(text)[:20])
def test_text_is_understood_in_full_or_refused(written):
    """Guarantee 7."""
    with pytest.raises(WrongTTLError, match=r"allowed: .*'1h30m'"):
        seconds(written)


@pytest.mark.parametrize(
    "written",
    [True, False, math.nan, math.inf, -math.inf, 10**400, 1j, b"1h", [], {}, object(), int, lambda: 1],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(WrongTTLError, match=r"^period is .*; allowed: "):
        seconds(written, "period")


@given(st.dictionaries(st.sampled_from([*UNITS, "ms"]), st.integers(0, 999_999_999), min_size=1))
def test_what_is_written_is_what_is_read(amounts):
    """Any choice of units, each with any number, is the sum of its parts, exactly."""
    in_milliseconds = {**{unit: 1_000 * size for unit, size in UNITS.items()}, "ms": 1}
    text = "".join(f"{amounts[unit]}{unit}" for unit in in_milliseconds if unit in amounts)
    total = sum(amount * in_milliseconds[unit] for unit, amount in amounts.items())
    assert seconds(text) == min(total / 1_000, LONGEST)


@given(st.integers(0, 999_999_999), st.integers(0, 999))
def test_decimals_are_read_as_python_reads_them(whole, thousandths):
    assert seconds(f"{whole}.{thousandths:03}s") == float(f"{whole}.{thousandths:03}")


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=999_999)))
def test_a_timedelta_and_its_text_agree(duration):
    text = f"{duration.days}d{duration.seconds}.{duration.microseconds:06}s"
    assert seconds(text) == seconds(duration) == min(duration.total_seconds(), LONGEST)


@pytest.mark.parametrize("given", [1e10, 1e10 + 1, 1e17, 1.7e308, 10**300, "999999999w", timedelta.max], ids=repr)
def test_a_duration_that_nobody_sees_the_end_of_is_the_longest(given):
    assert seconds(given) == LONGEST == 1e10


@given(st.text(alphabet="0123456789.wdhms -", max_size=12))
def test_no_text_gives_anything_but_seconds_or_our_error(text):
    try:
        value = seconds(text)
    except WrongTTLError:
        return
    assert isinstance(value, float)
    assert value >= 0
    assert text[-1] in "wdhms"


def test_a_constant_is_worked_out_at_decoration():
    assert compile_ttl("1h30m") == 5_400
    assert compile_ttl(None) is None
    with pytest.raises(WrongTTLError, match=r"^soft_ttl is '1h30'"):
        compile_ttl("1h30", "soft_ttl")


def test_a_callable_receives_the_arguments_of_the_decorated_function():
    """The specification's example."""
    rule = compile_ttl(lambda item_id: "2h" if item_id > 10 else "1h")
    assert rule((11,), {}, "result") == 7_200
    assert rule((), {"item_id": 1}, "result") == 3_600


class Waiting:
    async def __call__(self):
        return 10


async def waiting():
    return 10


def by_name(item, *, result):
    return item + result


def by_name_or_place(item, result=0):
    return item + result


def by_keywords(*args, **kwargs):
    return args[0] + kwargs.get("result", 0)


def without(item):
    return item


def by_place_only(item, result=0, /):
    return item + result


class OnInstances:
    def method(self, item, result):
        return item + result

    def __call__(self, item, result):
        return item + result


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (by_name, 105),
        (by_name_or_place, 105),
        (by_keywords, 5),
        (without, 5),
        (by_place_only, 5),
        (OnInstances().method, 105),
        (OnInstances(), 105),
        (functools.partial(by_name_or_place, 5), 105),
        (functools.partial(by_name, result=1), 105),
        (abs, 5),
        (int, 5),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_callable_is_given_the_result_if_it_has_a_place_for_it(function, expected):
    args = () if isinstance(function, functools.partial) and function.args else (5,)
    assert compile_ttl(function)(args, {}, 100) == expected


def test_an_argument_named_result_is_the_functions_own():
    rule = compile_ttl(by_name_or_place)
    assert rule((5,), {"result": 1}, 100) == 6
    assert rule((5, 1), {}, 100) == 6
    assert compile_ttl(by_keywords)((5,), {"result": 1}, 100) == 6


@pytest.mark.parametrize("given", ["1h30", True, math.inf, print, "", b"1"], ids=repr)
def test_what_a_callable_returns_is_checked(given):
    rule = compile_ttl(lambda: given, "early_ttl")
    with pytest.raises(WrongTTLError, match=r"^early_ttl is "):
        rule((), {}, None)


@pytest.mark.parametrize(
    "function", [waiting, Waiting(), functools.partial(waiting)], ids=lambda value: type(value).__name__
)
def test_a_coroutine_function_is_refused_at_decoration(function):
    with pytest.raises(WrongTTLError):
        compile_ttl(function)


def test_a_type_error_in_a_callable_is_its_own_and_it_is_called_once():
    """The original called such a function a second time, without the result."""
    calls = []

    def broken(item, **kwargs):
        calls.append((item, kwargs))
        return item + 1

    with pytest.raises(TypeError, match="can only concatenate str"):
        compile_ttl(broken)(("text",), {}, None)
    assert calls == [("text", {})]


def test_a_callable_is_inspected_at_decoration_only():
    class Counted:
        inspected = 0

        @property
        def __signature__(self):
            type(self).inspected += 1

        def __call__(self, *, result):
            return result

    rule = compile_ttl(Counted())
    before = Counted.inspected
    assert [rule((), {}, number) for number in range(3)] == [0, 1, 2]
    assert Counted.inspected == before > 0


def test_a_rule_tells_what_it_is():
    assert repr(TTLRule(abs, "period")) == "TTLRule(<built-in function abs>, 'period')"
