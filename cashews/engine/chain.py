"""Interceptors, and the chain in which each message passes them on its way to a store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from cashews.commands import Command
from cashews.messages import Message

R = TypeVar("R")

Proceed: TypeAlias = Callable[[Any], Awaitable[Any]]
"""The rest of a chain: takes a message and answers it."""


class Interceptor(Protocol):
    """A wrapper around messages: `await proceed(message)` goes on to the store.

    An interceptor that a command does not concern is left out of the chain of its messages.
    """

    __slots__ = ()

    def concerns(self, command: Command) -> bool:
        """Say whether messages of this command have to pass."""
        ...

    def __call__(self, message: Message[R], proceed: Proceed) -> Awaitable[R]: ...


class BoundInterceptor(Interceptor):
    """An interceptor with a function for each type of message: a part of its work is done when a chain is composed."""

    __slots__ = ()

    @abstractmethod
    def bound(self, kind: type[Message[Any]], proceed: Proceed) -> Proceed:
        """Return the function that passes messages of a type."""

    def __call__(self, message: Message[R], proceed: Proceed) -> Awaitable[R]:
        return self.bound(type(message), proceed)(message)


def compose(interceptors: Iterable[Interceptor], kind: type[Message[Any]], core: Proceed) -> Proceed:
    """Return a function that passes messages of a type through interceptors, the first one outermost, to the core."""
    for interceptor in reversed(tuple(interceptors)):
        if isinstance(interceptor, BoundInterceptor):
            core = interceptor.bound(kind, core)
        else:
            core = partial(interceptor.__call__, proceed=core)
    return core
