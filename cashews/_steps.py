"""Steps of long work: a generator that pauses after each step of about a millisecond, and returns the result."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

R = TypeVar("R")
Item = TypeVar("Item")

STEP: Final = 500
"""How many items one step handles."""

Steps: TypeAlias = Generator[None, None, R]
"""Long work that pauses between its steps; others may run in the pauses."""


def finished(steps: Steps[R]) -> R:
    """Take all steps of some work at once, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: R = end.value
            return result


def slices_of(items: Sequence[Item], size: int = STEP) -> Iterator[Sequence[Item]]:
    """Yield consecutive items, some at a time."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
