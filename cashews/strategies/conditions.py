"""What is worth remembering: conditions on the result of a function, or on the exception it raised.

A condition is called as ``condition(result, args, kwargs, key=key)``. Falsy: do not store; truthy: store; an
exception: remember the exception. What a function raised is remembered only if the condition answers an exception.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from cashews.exceptions import WrongArgumentError
from cashews.strategies.entry import Outcome, Raised, Returned, copied

Condition: TypeAlias = Callable[..., object | Awaitable[object]]


def not_none(result: object, args: object = (), kwargs: object = None, key: str | None = None) -> bool:  # noqa: ARG001  a condition's signature
    """Store everything but `None`."""
    return result is not None


NOT_NONE = not_none

_NAMED: dict[str, Condition] = {"not_none": not_none, "skip_none": not_none}


@dataclass(frozen=True, slots=True)
class WithExceptions:
    """Remember results, and exceptions of the given types."""

    errors: tuple[type[Exception], ...]

    def __call__(self, result: object, args: object = (), kwargs: object = None, key: str | None = None) -> object:
        return not isinstance(result, Exception) or (isinstance(result, self.errors) and result)


@dataclass(frozen=True, slots=True)
class OnlyExceptions:
    """Remember exceptions of the given types, and no results."""

    errors: tuple[type[Exception], ...]

    def __call__(self, result: object, args: object = (), kwargs: object = None, key: str | None = None) -> object:
        return isinstance(result, self.errors) and result


def with_exceptions(*errors: type[Exception]) -> Condition:
    """Return a condition that remembers results, and exceptions of the given types (of all, if none is given)."""
    return WithExceptions(errors or (Exception,))


def only_exceptions(*errors: type[Exception]) -> Condition:
    """Return a condition that remembers exceptions of the given types (of all, if none is given), and no results."""
    return OnlyExceptions(errors or (Exception,))


def named_condition(given: Condition | str | None) -> Condition | None:
    """Return the condition that was given, by itself or by name.

    :raises WrongArgumentError: if it is neither callable nor a known name
    """
    if given is None or callable(given):
        return given
    if given in _NAMED:
        return _NAMED[given]
    raise WrongArgumentError("condition", given, "a callable, " + ", ".join(map(repr, _NAMED)))


def content_of(outcome: Outcome) -> Any:
    """Return what a condition is asked about."""
    return outcome.error if isinstance(outcome, Raised) else outcome.value


def worth(outcome: Outcome, answer: object) -> Outcome | None:
    """Return what is to be remembered after a condition's answer."""
    if isinstance(answer, Exception):
        return Raised(copied(answer))
    return outcome if answer and isinstance(outcome, Returned) else None


def parse_condition(given: object) -> Condition | None:
    """Return the condition that was given, by itself or by name.

    :raises WrongArgumentError: if it is neither callable nor a known name
    """
    if given is None or callable(given) or isinstance(given, str):
        return named_condition(given)
    raise WrongArgumentError("condition", given, "a callable, or the name of a condition such as 'not_none'")
