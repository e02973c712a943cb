"""Blocks that hold in a context, and decorators that hold while a function runs."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import wraps
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Block(ABC, Generic[T]):
    """``with block:`` holds until the block is left, in whatever order and context; ``@block`` while a function runs.

    One object may be entered several times, by several tasks, too. Each time it makes an entry of its own, and leaving
    takes that entry back. In another context than the one it was entered in, there is nothing to take back.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[Any] = []

    @abstractmethod
    def begin(self) -> tuple[Any, T]:
        """Begin to hold: returns the entry, and the value of ``as``."""

    @abstractmethod
    def end(self, entry: Any) -> None:
        """Take an entry back."""

    def __enter__(self) -> T:
        entry, value = self.begin()
        self._entries.append(entry)
        return value

    def __exit__(self, *_: object) -> None:
        self.end(self._entries.pop())

    def __call__(self, function: F) -> F:
        """Decorate a function, async or not, or an async generator function."""
        if inspect.iscoroutinefunction(function):
            return cast("F", _around_coroutine(self, function))
        if inspect.isasyncgenfunction(function):
            return cast("F", _around_generator(self, function))

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            entry, _ = self.begin()
            try:
                return function(*args, **kwargs)
            finally:
                self.end(entry)

        return cast("F", run)


def _around_coroutine(block: Block[T], function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        entry, _ = block.begin()
        try:
            return await function(*args, **kwargs)
        finally:
            block.end(entry)

    return run


def _around_generator(block: Block[T], function: Callable[..., Any]) -> Callable[..., Any]:
    """Hold while the generator runs, and not while its consumer does."""

    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(function(*args, **kwargs)) as items:
            step = _around_coroutine(block, items.__anext__)
            while True:
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
                yield item

    return run
