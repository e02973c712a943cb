"""The ambient of a context: switches, detectors, invalidation and transactions that hold for every message in it.

It is one value in one context variable, read once a call, and `None` in the common case.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from cashews.commands import Command
from cashews.messages import Message


@dataclass(frozen=True, slots=True)
class Off:
    """Commands of one engine that are switched off here, on the route under `prefix` or, if it is `None`, on all."""

    engine: object
    commands: frozenset[Command]
    prefix: str | None


class AmbientTransaction(Protocol):
    """A transaction, as its context sees it."""

    __slots__ = ()
    engine: Any
    """The engine that the transaction belongs to."""

    def note_change(self, permits: object, change: Message[Any]) -> None:
        """Note a change that takes effect at the commit: `permits` have to be voided once more then."""
        ...

    def in_place(self, message: Message[Any], route: Any) -> Any:
        """Serve a message to the store of a route in place, if nothing has to be waited for."""
        ...


SWITCHED_OFF, INVALIDATING, IN_TRANSACTION = 1, 2, 4
CONCERNS = 8
"""The number of combinations of these bits."""


@dataclass(slots=True)
class Ambient:
    """The settings of one context, for all caches. It is a value: a change makes a new one."""

    off: tuple[Off, ...] = ()
    detectors: tuple[Detector, ...] = ()
    invalidating: object | None = None
    """The `invalidate_further()` block we are in: reads of cached values remove them and find nothing."""
    transactions: tuple[AmbientTransaction, ...] = ()
    """The transaction of each cache that has one here."""
    sole: AmbientTransaction | None = field(init=False)
    """The context's only transaction; `None` if a switch or `invalidate_further()` is active too.

    Messages may go straight to it.
    """
    concerns: int = field(init=False)
    """Which parts are there, as bits: they decide which interceptors a message has to pass."""

    def __post_init__(self) -> None:
        plain = len(self.transactions) == 1 and not self.off and self.invalidating is None
        self.sole = self.transactions[0] if plain else None
        self.concerns = (
            (SWITCHED_OFF if self.off else 0)
            | (INVALIDATING if self.invalidating is not None else 0)
            | (IN_TRANSACTION if self.transactions else 0)
        )


AMBIENT: ContextVar[Ambient | None] = ContextVar("cashews_ambient", default=None)

NOTHING = Ambient()


@contextmanager
def ambient(**changes: Any) -> Generator[None]:
    """Change the ambient of this context until the block ends, then restore what it was."""
    token = AMBIENT.set(replace(AMBIENT.get() or NOTHING, **changes))
    try:
        yield
    finally:
        AMBIENT.reset(token)


@contextmanager
def invalidate_further() -> Generator[None]:
    """Until the block ends, have reads of cached values in this context remove them and find nothing.

    The cached functions that are called in the block run anew, and their results are stored. Counters, locks, rate
    limits and circuit breakers are left alone.
    """
    with ambient(invalidating=object()):
        yield


class Detector:
    """Collects, key by key, one record for every answer that came from a cache."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[str, list[dict[str, Any]]] = {}

    def record(self, key: str, record: Mapping[str, Any]) -> None:
        """Add the record of an answer; it has at least `name`, `ttl` and `backend`."""
        self._calls.setdefault(key, []).append(dict(record))

    @property
    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """The records by key, in the order of the calls."""
        return {key: list(records) for key, records in self._calls.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that were answered from a cache."""
        return tuple(self._calls)

    def clear(self) -> None:
        """Forget all records."""
        self._calls.clear()
