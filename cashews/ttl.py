"""Durations: every form that users may write becomes seconds here, and nowhere else."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache, partial
from typing import Final

from cashews._typing import TTL, AnyFunction
from cashews.exceptions import WrongTTLError

LONGEST: Final = 10_000_000_000.0
"""The longest duration in seconds, about three centuries: every longer one is taken for it, alike on all stores."""

_DIGITS: Final = 9
"""The most digits before the decimal point, and the most after it; this keeps the arithmetic exact and bounded."""

_MILLISECONDS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}

_TEXT: Final = re.compile(
    "(?=[0-9])"
    + "".join(
        rf"(?:([0-9]{{1,{_DIGITS}}})(?:\.([0-9]{{1,{_DIGITS}}}))?{unit}{'(?!s)' if unit == 'm' else ''})?"
        for unit in _MILLISECONDS
    )
)


def seconds(value: object, field: str = "ttl") -> float | None:
    """Return a duration in seconds; `None`, which means no end, stays `None`. The duration may be 0 or negative.

    A duration is a finite number of seconds, a `timedelta`, or text. Text consists of numbers, each with a unit, from
    the largest unit to the smallest, each unit at most once: ``"1d2h3m50s"``, ``"1.5s"``, ``"500ms"``. The units are
    w, d, h, m, s and ms, in lower case. A number without a unit, a sign, or a space is an error. A duration above
    `LONGEST` is taken for that one.

    :param field: the name of the argument, for the error
    :raises WrongTTLError: if the value is no duration
    """
    if value is None:
        return None
    if type(value) is int and -LONGEST < value < LONGEST:  # most callers give such a number
        return float(value)
    result = _number(value)
    if result is None or not math.isfinite(result):
        raise WrongTTLError(value, field)
    return result if result < LONGEST else LONGEST  # noqa: FURB136  `min` takes five times as long


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return _parse(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


@lru_cache(maxsize=256)
def _parse(text: str) -> float | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    groups = match.groups(default="")
    numbers = zip(groups[::2], groups[1::2], _MILLISECONDS.values(), strict=True)
    total = sum(int((whole or "0") + part.ljust(_DIGITS, "0")) * unit for whole, part, unit in numbers)
    return total / (1_000 * 10**_DIGITS)


class TTLRule:
    """A duration that depends on the call: a callable of the user's, with its signature inspected once.

    The callable gets the arguments of the decorated function as they were given. It also gets `result=` if it has a
    parameter of this name, and no argument fills that parameter.
    """

    __slots__ = ("_field", "_function", "_takes_result_until")

    def __init__(self, function: AnyFunction, field: str = "ttl") -> None:
        """:raises WrongTTLError: if the callable is a coroutine function."""
        if _is_async(function):
            raise WrongTTLError(function, field)
        self._function = function
        self._field = field
        self._takes_result_until = _takes_result_until(function)

    def __call__(self, args: tuple[object, ...], kwargs: Mapping[str, object], result: object) -> float | None:
        """Return the seconds for one call, or `None` for no expiry.

        :raises WrongTTLError: if the callable does not return a duration; its own exceptions are not caught
        """
        if len(args) <= self._takes_result_until and "result" not in kwargs:
            return seconds(self._function(*args, **kwargs, result=result), self._field)
        return seconds(self._function(*args, **kwargs), self._field)

    def __repr__(self) -> str:
        return f"TTLRule({self._function!r}, {self._field!r})"


def compile_ttl(value: TTL, field: str = "ttl") -> TTLRule | float | None:
    """Return the compiled form of a decorator's `ttl`: seconds, `None`, or a rule to evaluate at each call.

    :raises WrongTTLError: if the value is neither a duration nor a suitable callable
    """
    if callable(value):
        return TTLRule(value, field)
    return seconds(value, field)


def _is_async(function: AnyFunction) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _takes_result_until(function: AnyFunction) -> float:
    """Return the most positional arguments that leave `result` free; -1 if there is no parameter of this name."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some functions written in C have no signature
        return -1
    for place, parameter in enumerate(parameters.values()):
        if parameter.name == "result" and parameter.kind is parameter.KEYWORD_ONLY:
            return math.inf
        if parameter.name == "result" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            return place
    return -1


def __getattr__(name: str) -> object:
    if name.startswith("__"):  # each import of the module asks for its path
        raise AttributeError(name)
    from cashews._deprecated import deprecated  # noqa: PLC0415  hardly anybody asks

    return deprecated(__name__, name)
