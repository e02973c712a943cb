"""Checks of the arguments that users give to commands, decorators and `setup()`.

Each check is named after the type that it accepts. It returns the value in that type, or raises a `WrongArgumentError`
that names the argument and the allowed values.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Iterable, Mapping
from operator import index
from types import GeneratorType
from typing import Any, Final, SupportsIndex, TypeAlias, TypeGuard, cast

from cashews._steps import STEP, Steps, slices_of
from cashews.commands import Command
from cashews.exceptions import WrongArgumentError
from cashews.messages import TRANSACTION
from cashews.ttl import seconds

MOST_BITS: Final = 2**30
"""The most bits of one key: 128 MiB. Redis allows four times as many, but blocks while it allocates them."""

MOST_MEMBERS: Final = 2**32 - 1
"""The most members of a set, as in Redis."""

WIDEST_FIELD: Final = 63
"""The most bits of one unsigned field, as in Redis."""


def text(argument: str, value: object) -> str:
    """Return a value that is text.

    :raises WrongArgumentError: if it is not text
    """
    if isinstance(value, str):
        return value
    raise WrongArgumentError(argument, value, "text")


def is_awaitable(value: object) -> TypeGuard[Awaitable[Any]]:
    """Say whether a value can be awaited. Unlike `inspect.isawaitable`, this asks its type alone, as `await` does."""
    kind = type(value)
    return hasattr(kind, "__await__") or (kind is GeneratorType and inspect.isawaitable(value))


def texts(argument: str, values: tuple[object, ...]) -> tuple[str, ...]:
    """Return several values that are text.

    :raises WrongArgumentError: if one of them is not text
    """
    return tuple([text(argument, value) for value in values])


def lock_name(argument: str, value: object) -> str:
    """Return the name of a lock of a user's: text that names no lock of a transaction.

    :raises WrongArgumentError: if it is not text, or the name of a transaction's lock
    """
    name = text(argument, value)
    if name.endswith(TRANSACTION):
        raise WrongArgumentError(argument, value, f"text that does not end in {TRANSACTION!r}")
    return name


def many_texts(argument: str, values: tuple[object, ...]) -> Steps[tuple[str, ...]]:
    """Return very many values that are text, in steps.

    :raises WrongArgumentError: if one of them is not text
    """
    for begin in range(0, len(values), STEP):
        if begin:
            yield
        texts(argument, values[begin : begin + STEP])
    return cast("tuple[str, ...]", values)


def text_pairs(argument: str, value: object) -> Steps[dict[str, Any]]:
    """Return a mapping from text as a dictionary of its own, in steps; keys that are taken out meanwhile are left out.

    :raises WrongArgumentError: if it is no mapping, or a key is not text
    """
    pairs = mapping(argument, value)
    result: dict[str, Any] = {}
    for keys in slices_of(tuple(pairs)):
        if result:
            yield
        result.update([(text("key", key), pairs[key]) for key in keys if key in pairs])
    return result


def integer(
    argument: str, value: object, low: int | None = None, high: int | None = None, *, kind: str = "an integer"
) -> int:
    """Return an integer within its bounds. Any object that Python accepts as an index is one, except for a `bool`.

    :param kind: the allowed type for the error, in front of the bounds
    :raises WrongArgumentError: if the value is no integer, or out of bounds
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
    """Return a finite number within its bounds; a `bool` is not a number here.

    :raises WrongArgumentError: if the value is no finite number, or out of bounds
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _within(value, low, high):
        try:
            if math.isfinite(value):
                return value
        except OverflowError:  # an integer larger than any float
            pass
    raise WrongArgumentError(argument, value, _bounded("a number", low, high))


def positive_duration(argument: str, value: object, allowed: str = "a duration above 0") -> float | None:
    """Return a duration above 0 in seconds; `None` stays `None`.

    :raises WrongTTLError: if the value is no duration
    :raises WrongArgumentError: if the duration is 0 or negative
    """
    result = seconds(value, argument)
    if result is not None and result <= 0:
        raise WrongArgumentError(argument, value, allowed)
    return result


def non_negative_duration(argument: str, value: object) -> float | None:
    """Return a duration of 0 or more in seconds; `None` stays `None`.

    :raises WrongTTLError: if the value is no duration
    :raises WrongArgumentError: if the duration is negative
    """
    result = seconds(value, argument)
    if result is not None and result < 0:
        raise WrongArgumentError(argument, value, "a duration from 0")
    return result


def flag(argument: str, value: object) -> bool:
    """Return a value that is `True` or `False`.

    :raises WrongArgumentError: if it is another one, whose truth may not be meant: the text "no" is true
    """
    if isinstance(value, bool):
        return value
    raise WrongArgumentError(argument, value, "True or False")


def runnable(argument: str, value: object, allowed: str = "a callable") -> Any:
    """Return a value that can be called.

    :raises WrongArgumentError: if it cannot be called
    """
    if callable(value):
        return value
    raise WrongArgumentError(argument, value, allowed)


def runnables(argument: str, values: object) -> tuple[Any, ...]:
    """Return the items of an iterable that can all be called.

    :raises WrongArgumentError: if the value is no iterable, or one of its items cannot be called
    """
    allowed = "several callables"
    return tuple(runnable(argument, each, allowed) for each in several(argument, values, allowed))


def several(argument: str, values: object, allowed: str) -> tuple[Any, ...]:
    """Return the items of an iterable; text does not count as one.

    :raises WrongArgumentError: if the value is text, or no iterable
    """
    if isinstance(values, Iterable) and not isinstance(values, str):
        return tuple(cast("Iterable[object]", values))
    raise WrongArgumentError(argument, values, allowed)


def mapping(argument: str, value: object) -> Mapping[str, Any]:
    """Return a value that is a mapping.

    :raises WrongArgumentError: if it is no mapping
    """
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise WrongArgumentError(argument, value, "a mapping")


def commands_of(given: tuple[object, ...]) -> frozenset[Command]:
    """Return several values that are commands, as a set.

    :raises WrongArgumentError: if one of them is no member of `Command`
    """
    return frozenset([command_of("commands", each) for each in given])


def command_of(argument: str, given: object) -> Command:
    """Return a value that is a command.

    :raises WrongArgumentError: if it is no member of `Command`
    """
    if isinstance(given, Command):
        return given
    raise WrongArgumentError(argument, given, "members of Command")


def bit_indexes(indexes: tuple[object, ...], size: int) -> tuple[int, ...]:
    """Return the indexes of unsigned fields of `size` bits.

    :raises WrongArgumentError: if an index is no integer from 0, or its field ends beyond `MOST_BITS`
    """
    last = MOST_BITS // size - 1
    return tuple([integer("indexes", each, 0, last, kind="integers") for each in indexes])


def bit_size(size: object) -> int:
    """Return the size of a bit field in bits.

    :raises WrongArgumentError: if the size is no integer from 1 to 63
    """
    return integer("size", size, 1, WIDEST_FIELD)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _bounded(kind: str, low: float | None, high: float | None) -> str:
    start = "" if low is None else f" from {low}"
    return kind + start + ("" if high is None else f" to {high}")


Errors: TypeAlias = type[Exception] | Iterable[type[Exception]] | None


def errors_of(given: Errors, default: tuple[type[Exception], ...] = (Exception,)) -> tuple[type[Exception], ...]:
    """Return exception types that were given singly or as an iterable; the default if none were given.

    :raises WrongArgumentError: if one of them is no subclass of `Exception`
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
