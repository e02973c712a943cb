"""Long work of a task in slices: about a millisecond each, and other tasks run in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from anyio.lowlevel import checkpoint

from cashews._steps import STEP, Steps
from cashews._typing import Self

R = TypeVar("R")
T = TypeVar("T")


async def in_steps(steps: Steps[R]) -> R:
    """Take the steps of some work, and let other tasks run after each of them but the last; return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: R = end.value
            return result
        await checkpoint()


class in_slices(Generic[T]):  # noqa: N801  it reads like a function
    """``async for item in in_slices(items)`` lets other tasks run after each slice.

    Unlike a generator, it needs no closing if it is left early.
    """

    __slots__ = ("_items", "_left")

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._left = STEP

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._left:
            self._left = STEP
            await checkpoint()
        self._left -= 1
        for item in self._items:
            return item
        raise StopAsyncIteration
