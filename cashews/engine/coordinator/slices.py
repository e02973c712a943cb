"""Slices of long work: about a millisecond each, and other tasks run in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from anyio.lowlevel import checkpoint

from cashews._typing import Self

T = TypeVar("T")
SLICE: Final = 500
"""How many keys one slice handles."""


class in_slices(Generic[T]):  # noqa: N801  it reads like a function
    """``async for item in in_slices(items)`` lets other tasks run after each slice.

    Unlike a generator, it needs no closing if it is left early.
    """

    __slots__ = ("_items", "_left")

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._left = SLICE

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._left:
            self._left = SLICE
            await checkpoint()
        self._left -= 1
        for item in self._items:
            return item
        raise StopAsyncIteration
