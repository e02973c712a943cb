"""What users give to commands, decorators and `setup()`, checked where it comes in: each check returns what it lets in.

A wrong value is one WrongArgumentError that names the argument and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import index
from typing import Any, Final, SupportsIndex, TypeAlias, cast

from cashews.commands import Command
from cashews.exceptions import WrongArgumentError
from cashews.ttl import seconds

MOST_BITS: Final = 2**30
"""How many bits one key may hold: 128 MiB. Redis takes four times as many, and stands still while it finds the room."""

WIDEST_FIELD: Final = 63
"""The widest unsigned field that every store can count in, as in Redis."""


def text(argument: str, value: object) -> str:
    """Return text.

    :raises WrongArgumentError: if it is not
    """
    if isinstance(value, str):
        return value
    raise WrongArgumentError(argument, value, "text")


def texts(argument: str, values: tuple[object, ...]) -> tuple[str, ...]:
    """Return what is all text.

    :raises WrongArgumentError: if something in it is not
    """
    return tuple([text(argument, value) for value in values])


def integer(
    argument: str, value: object, low: int | None = None, high: int | None = None, *, kind: str = "an integer"
) -> int:
    """Return an integer within its bounds; what Python can use as an index is one, but for `True` and `False`.

    :param kind: what is allowed, before its bounds are named
    :raises WrongArgumentError: if it is not
    """
    result = value if type(value) is int else _index(value)
    if result is not None and _within(result, low, high):
        return result
    raise WrongArgumentError(argument, value, _bounded(kind, low, high))


def _index(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return index(cast("SupportsIndex", value))
    except TypeError:
        return None


def number(argument: str, value: object, low: float | None = None, high: float | None = None) -> float:
    """Return a finite number within its bounds; `True` and `False` are none.

    :raises WrongArgumentError: if it is not
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _within(value, low, high):
        try:
            if math.isfinite(value):
                return value
        except OverflowError:  # an integer larger than any float
            pass
    raise WrongArgumentError(argument, value, _bounded("a number", low, high))


def positive_duration(argument: str, value: object, allowed: str = "a duration above 0") -> float | None:
    """Return the seconds of a duration that has a length; `None` stays `None`.

    :raises WrongTTLError: if it is no duration
    :raises WrongArgumentError: if it is 0 or negative
    """
    result = seconds(value, argument)
    if result is not None and result <= 0:
        raise WrongArgumentError(argument, value, allowed)
    return result


def not_negative(argument: str, value: object) -> float | None:
    """Return the seconds of a duration that may be 0; `None` stays `None`.

    :raises WrongTTLError: if it is no duration
    :raises WrongArgumentError: if it is negative
    """
    result = seconds(value, argument)
    if result is not None and result < 0:
        raise WrongArgumentError(argument, value, "a duration from 0")
    return result


def runnable(argument: str, value: object, allowed: str = "a callable") -> Any:
    """Return what can be called.

    :raises WrongArgumentError: if it cannot
    """
    if callable(value):
        return value
    raise WrongArgumentError(argument, value, allowed)


def runnables(argument: str, values: object) -> tuple[Any, ...]:
    """Return what can all be called.

    :raises WrongArgumentError: if something in it cannot, or if it is not several things
    """
    allowed = "several callables"
    return tuple(runnable(argument, each, allowed) for each in several(argument, values, allowed))


def several(argument: str, values: object, allowed: str) -> tuple[Any, ...]:
    """Return things that were given as one iterable, which text is not.

    :raises WrongArgumentError: if they were not
    """
    if isinstance(values, Iterable) and not isinstance(values, str):
        return tuple(cast("Iterable[object]", values))
    raise WrongArgumentError(argument, values, allowed)


def mapping(argument: str, value: object) -> Mapping[str, Any]:
    """Return a mapping.

    :raises WrongArgumentError: if it is not
    """
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise WrongArgumentError(argument, value, "a mapping")


def commands_of(given: tuple[object, ...]) -> frozenset[Command]:
    """Return commands.

    :raises WrongArgumentError: if one is not
    """
    return frozenset([command_of("commands", each) for each in given])


def command_of(argument: str, given: object) -> Command:
    """Return a command.

    :raises WrongArgumentError: if it is not
    """
    if isinstance(given, Command):
        return given
    raise WrongArgumentError(argument, given, "members of Command")


def fields(indexes: tuple[object, ...], size: int) -> tuple[int, ...]:
    """Return the indexes of unsigned fields of `size` bits.

    :raises WrongArgumentError: if one is no integer from 0, or its field ends beyond `MOST_BITS`
    """
    last = MOST_BITS // size - 1
    return tuple([integer("indexes", each, 0, last, kind="integers") for each in indexes])


def width(size: object) -> int:
    """Return the size of a bit field.

    :raises WrongArgumentError: if it is no integer from 1 to 63
    """
    return integer("size", size, 1, WIDEST_FIELD)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _bounded(kind: str, low: float | None, high: float | None) -> str:
    start = "" if low is None else f" from {low}"
    return kind + start + ("" if high is None else f" to {high}")


Errors: TypeAlias = type[Exception] | Iterable[type[Exception]] | None


def errors_of(given: Errors, default: tuple[type[Exception], ...] = (Exception,)) -> tuple[type[Exception], ...]:
    """Return exception types that were given as one, as several, or not at all.

    :raises WrongArgumentError: if one is not an exception type
    """
    if given is None:
        return default
    allowed = "subclasses of Exception"
    errors = (given,) if isinstance(given, type) else several("exceptions", given, allowed)
    for error in errors:
        if not _is_error(error):
            raise WrongArgumentError("exceptions", error, allowed)
    return errors


def _is_error(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Exception)
