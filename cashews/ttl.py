"""Durations in every form that users may write, turned into seconds; the one place that understands them."""

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

_DIGITS: Final = 9
"""How many digits may stand before the point, and how many after it; it keeps the arithmetic exact and bounded."""

_MILLISECONDS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}

_TEXT: Final = re.compile(
    "(?=[0-9])"
    + "".join(
        rf"(?:([0-9]{{1,{_DIGITS}}})(?:\.([0-9]{{1,{_DIGITS}}}))?{unit}{'(?!s)' if unit == 'm' else ''})?"
        for unit in _MILLISECONDS
    )
)


def seconds(value: object, field: str = "ttl") -> float | None:
    """Return a duration as seconds; `None` stays `None`, and what is not above 0 is returned as it is.

    Text is written as in Go: numbers, each with its unit, the larger unit first, each unit once: ``"1d2h3m50s"``,
    ``"1.5s"``, ``"500ms"``. The units are w, d, h, m, s, ms, in lower case. A number without a unit, a sign and a space
    are errors. So are numbers that are not finite: "for ever" is `None`.

    :param field: the name of the argument, for the error
    :raises WrongTTLError: if the value is none of these
    """
    if value is None:
        return None
    result = _number(value)
    if result is None or not math.isfinite(result):
        raise WrongTTLError(value, field)
    return result


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
    """A duration that depends on the call: the user's callable, inspected once.

    The callable receives the arguments of the decorated function as they were given, and `result=` if it has a
    parameter of that name (or ``**kwargs``) that the arguments leave free.
    """

    __slots__ = ("_field", "_function", "_takes_result_until")

    def __init__(self, function: AnyFunction, field: str = "ttl") -> None:
        """:raises WrongTTLError: if it is a coroutine function."""
        if _is_async(function):
            raise WrongTTLError(function, field)
        self._function = function
        self._field = field
        self._takes_result_until = _takes_result_until(function)

    def __call__(self, args: tuple[object, ...], kwargs: Mapping[str, object], result: object) -> float | None:
        """Return the seconds for one call, or `None` for no expiry.

        :raises WrongTTLError: if the callable returns what is not a duration; its own errors are left as they are
        """
        if len(args) <= self._takes_result_until and "result" not in kwargs:
            return seconds(self._function(*args, **kwargs, result=result), self._field)
        return seconds(self._function(*args, **kwargs), self._field)

    def __repr__(self) -> str:
        return f"TTLRule({self._function!r}, {self._field!r})"


def compile_ttl(value: TTL, field: str = "ttl") -> TTLRule | float | None:
    """Return what a decorator keeps of its duration: seconds, `None`, or a rule to ask at each call.

    :raises WrongTTLError: if the value is neither a duration nor a callable that can give one
    """
    if callable(value):
        return TTLRule(value, field)
    return seconds(value, field)


def _is_async(function: AnyFunction) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _takes_result_until(function: AnyFunction) -> float:
    """Return the number of positional arguments up to which `result=` is free; -1 if there is no such parameter."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some functions written in C do not tell
        return -1
    for place, parameter in enumerate(parameters.values()):
        if parameter.kind is parameter.VAR_KEYWORD:
            return math.inf
        if parameter.name == "result" and parameter.kind is parameter.KEYWORD_ONLY:
            return math.inf
        if parameter.name == "result" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            return place
    return -1
