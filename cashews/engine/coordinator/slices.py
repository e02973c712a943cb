"""Slices of long work: about a millisecond each, and other tasks run in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

from anyio.lowlevel import checkpoint

T = TypeVar("T")
SLICE: Final = 500
"""How many keys one slice handles."""


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items, and let other tasks run after each slice."""
    for count, item in enumerate(items, start=1):
        yield item
        if not count % SLICE:
            await checkpoint()
