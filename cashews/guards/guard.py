"""The guards of functions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Protocol

from cashews.exceptions import WrongArgumentError
from cashews.runners.call import Call, Compiled, Target, resolve
from cashews.ttl import TTLRule


class Guard(Protocol):
    """Decides whether, when and how often a function runs."""

    __slots__ = ()

    @abstractmethod
    def bound(self, target: Target) -> Callable[..., Awaitable[Any]]:
        """Return the function behind the guard."""

    @property
    def label(self) -> str:
        """The part of its keys that tells its counts from those of another guard with the same key; may be empty."""
        return ""

    def for_function(self) -> Guard:
        """Return the guard for one more function: another one, if functions must not share its state."""
        return self


class AroundCall(Guard, Protocol):
    """A guard that is around each call: `await proceed(call)` runs the function."""

    __slots__ = ()

    @abstractmethod
    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        """Answer a call, running the function or not."""

    def bound(self, target: Target) -> Callable[..., Awaitable[Any]]:
        key_of, proceed, answer = target.key, target.invoke, self.__call__

        @wraps(target.function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            return await answer(Call(args, kwargs, key_of(*args, **kwargs)), proceed)

        return run


def label_of(kind: str, *figures: Compiled) -> str:
    """Return the label of a guard: its kind and its figures, without the durations that depend on the call."""
    return ":".join([kind, *(f"{figure:.12g}" for figure in figures if isinstance(figure, (int, float)))])


def require_positive(argument: str, duration: float | None) -> float:
    """Return a duration that has a length and an end.

    :raises WrongArgumentError: if it does not
    """
    if duration is None or duration <= 0:
        raise WrongArgumentError(argument, duration, "a duration above 0")
    return duration


def check_positive(argument: str, duration: Compiled) -> Compiled:
    """Return a duration that has a length and an end, or depends on the call and is checked then.

    :raises WrongArgumentError: if it is neither
    """
    return duration if isinstance(duration, TTLRule) else require_positive(argument, duration)


def resolve_positive(argument: str, duration: Compiled, call: Call) -> float:
    """Return the seconds of a duration for one call.

    :raises WrongArgumentError: if it has no length or no end
    """
    if isinstance(duration, float):  # checked when the function was decorated
        return duration
    return require_positive(argument, resolve(duration, call, None))
