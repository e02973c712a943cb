"""The contract of a tracer: it stands around the loads of an engine while it is attached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from cashews.engine.refresher import Run

T = TypeVar("T")


class LoadTracer(Protocol):
    """Follows the runs of cached functions."""

    __slots__ = ()

    def load(self, function: Callable[..., Any], key: str, run: Awaitable[T]) -> Awaitable[T]:
        """Await a run of a function and return its result; `key` is empty if it is a run for several keys."""
        ...

    def behind(self, run: Run) -> Run:
        """Return a refresh that knows, wherever it runs, from where it was asked for."""
        ...
