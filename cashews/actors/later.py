"""Tasks whose coroutine is made at their first step: nothing is said of one that its loop never runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyio.abc import TaskGroup


class Later(Coroutine[Any, Any, None]):
    """A coroutine that is made when it is awaited. One that never is makes no warning."""

    def __init__(self, function: Callable[..., Coroutine[Any, Any, None]], arguments: tuple[Any, ...]) -> None:
        self._make: Callable[[], Coroutine[Any, Any, None]] | None = partial(function, *arguments)
        self._made: Coroutine[Any, Any, None] | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        return self._coroutine.__await__()

    @property
    def _coroutine(self) -> Coroutine[Any, Any, None]:
        if self._made is None:
            assert self._make is not None
            self._made, self._make = self._make(), None  # a task that has ended keeps its coroutine, and no arguments
        return self._made

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


def start_soon(group: TaskGroup, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Start a task in a group; nothing is said of one that its loop cancels before its first step.

    From anyio 4.14 on, a task awaits its coroutine from another one. If that is cancelled before its first step, as at
    the end of `asyncio.run`, Python would warn of a coroutine that was never awaited.
    """
    protected = getattr(sys.modules.get("trio.lowlevel"), "enable_ki_protection", None)
    if protected is not None:
        # An interrupt at the keyboard goes to the main task of trio: here, it would end the engine, and in a task of
        # the loop's own the whole run, as an internal error of trio.
        function = protected(function)
    if hasattr(group, "create_task"):
        group.create_task(Later(function, arguments), name=function.__qualname__)
    else:  # before 4.14
        group.start_soon(function, *arguments)
