"""Conditions: which outcomes of a function are stored.

A condition is called as ``condition(result, args, kwargs, key=key)``, with the exception in the place of the result if
the function raised one. A falsy answer means "do not store", a truthy one "store", and an exception "store this
exception". A raised exception is stored only if the condition answers with an exception.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from cashews._dataclass import dataclass
from cashews.exceptions import WrongArgumentError
from cashews.strategies.copying import copied
from cashews.strategies.entry import Outcome, Raised, Returned

Condition: TypeAlias = Callable[..., object | Awaitable[object]]


def not_none(result: object, args: object = (), kwargs: object = None, key: str | None = None) -> bool:  # noqa: ARG001  a condition's signature
    """Store everything but `None`."""
    return result is not None


NOT_NONE = not_none

_NAMED: dict[str, Condition] = {"not_none": not_none, "skip_none": not_none}


@dataclass(frozen=True, slots=True)
class WithExceptions:
    """A condition that stores results, and exceptions of the given types."""

    errors: tuple[type[Exception], ...]

    def __call__(self, result: object, args: object = (), kwargs: object = None, key: str | None = None) -> object:
        kind = type(result)
        return not issubclass(kind, Exception) or (issubclass(kind, self.errors) and result)


@dataclass(frozen=True, slots=True)
class OnlyExceptions:
    """A condition that stores exceptions of the given types, and no results."""

    errors: tuple[type[Exception], ...]

    def __call__(self, result: object, args: object = (), kwargs: object = None, key: str | None = None) -> object:
        return issubclass(type(result), self.errors) and result


def with_exceptions(*errors: type[Exception]) -> Condition:
    """Return a condition that stores results, and exceptions of the given types (of all types, if none is given)."""
    return WithExceptions(errors or (Exception,))


def only_exceptions(*errors: type[Exception]) -> Condition:
    """Return a condition that stores exceptions of the given types (of all types, if none is given), and no results."""
    return OnlyExceptions(errors or (Exception,))


def parse_condition(given: object) -> Condition | None:
    """Return the condition for a `condition=` option: a callable as it is, or the condition of a name.

    :raises WrongArgumentError: if the option is neither callable nor a known name
    """
    if given is None or callable(given):
        return given
    if isinstance(given, str) and given in _NAMED:
        return _NAMED[given]
    raise WrongArgumentError("condition", given, "a callable, " + ", ".join(map(repr, _NAMED)))


def content_of(outcome: Outcome) -> Any:
    """Return the value or the exception of an outcome: the first argument of a condition."""
    return outcome.error if isinstance(outcome, Raised) else outcome.value


def worth(outcome: Outcome, answer: object) -> Outcome | None:
    """Return the outcome to store after a condition's answer, `None` for nothing."""
    if issubclass(type(answer), Exception):
        return Raised(copied(cast("Exception", answer)))
    return outcome if answer and isinstance(outcome, Returned) else None
