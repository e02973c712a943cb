"""Wrapping what is done with what stands before it: interceptors around messages, guards around calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Protocol, TypeAlias

Proceed: TypeAlias = Callable[[Any], Awaitable[Any]]


class Wrap(Protocol):
    """An interceptor or a guard."""

    def __call__(self, item: Any, /, proceed: Proceed) -> Awaitable[Any]:
        """Do something before and after `await proceed(item)`."""
        ...


def compose(wraps: Iterable[Wrap], core: Proceed) -> Proceed:
    """Return a function that passes its argument through the wraps, the first one outermost, to the core.

    Each wrap is called as `wrap(x, proceed)` and goes on with `await proceed(x)`.
    """
    for wrap in reversed(tuple(wraps)):
        core = partial(wrap, proceed=core)
    return core
