"""The ambient of a context: switches, detectors, invalidation and transactions that hold for every message in it.

It is one value in one context variable, read once a call, and `None` in the common case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from cashews._dataclass import dataclass
from cashews.backends.direct import TransactionLines
from cashews.commands import Command
from cashews.engine.blocks import Block
from cashews.engine.observing import Stored, ValueEvent
from cashews.messages import Message

T = TypeVar("T")
Part: TypeAlias = Literal["off", "detectors", "further", "transactions"]
"""The parts of an ambient, each a tuple of entries."""


@dataclass(frozen=True, slots=True)
class Off:
    """Commands of one engine that are switched off here, on the route under `prefix` or, if it is `None`, on all."""

    engine: object
    commands: frozenset[Command]
    prefix: str | None


class AmbientTransaction(TransactionLines, Protocol):
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


class Ambient:
    """The settings of one context, for all caches. It is a value: a change makes a new one."""

    __slots__ = ("concerns", "detectors", "further", "invalidating", "off", "sole", "transactions")

    def __init__(
        self,
        off: tuple[Off, ...] = (),
        detectors: tuple[Detector, ...] = (),
        further: tuple[object, ...] = (),
        transactions: tuple[AmbientTransaction, ...] = (),
    ) -> None:
        self.off = off
        self.detectors = detectors
        self.further = further
        """The `invalidate_further()` blocks that we are in."""
        self.transactions = transactions
        """The transaction of each cache that has one here."""
        self.invalidating = further[-1] if further else None
        """The innermost `invalidate_further()` block: reads of cached values remove them and find nothing."""
        is_plain = len(transactions) == 1 and not (off or detectors or further)
        self.sole = transactions[0] if is_plain else None
        """The context's only transaction; `None` if a switch, a detector or `invalidate_further()` is active too.

        Messages may go straight to it.
        """
        self.concerns = (
            (SWITCHED_OFF if off else 0) | (INVALIDATING if further else 0) | (IN_TRANSACTION if transactions else 0)
        )
        """Which parts are there, as bits: they decide which interceptors a message has to pass."""

    def changed(self, part: Part, entries: tuple[Any, ...]) -> Ambient:
        """Return an ambient with other entries in one part. Every block makes two, so it is spelled out."""
        return Ambient(
            entries if part == "off" else self.off,
            entries if part == "detectors" else self.detectors,
            entries if part == "further" else self.further,
            entries if part == "transactions" else self.transactions,
        )


AMBIENT: ContextVar[Ambient | None] = ContextVar("cashews_ambient", default=None)

NOTHING = Ambient()


def add(part: Part, entry: Any) -> Ambient:
    """Add an entry to a part of this context's ambient, and return the new one."""
    here = AMBIENT.get() or NOTHING
    changed = here.changed(part, (*getattr(here, part), entry))
    AMBIENT.set(changed)
    return changed


def take_back(part: Part, entry: Any) -> None:
    """Take an entry back, wherever it stands among others; in a context without it nothing happens."""
    here = AMBIENT.get()
    if here is None:
        return
    if here.sole is entry:  # nothing is left
        AMBIENT.set(None)
        return
    entries: tuple[Any, ...] = getattr(here, part)
    rest = tuple([each for each in entries if each is not entry])
    if len(rest) < len(entries):
        left = here.changed(part, rest)
        AMBIENT.set(left if left.off or left.detectors or left.further or left.transactions else None)


class AmbientBlock(Block[T]):
    """A block that adds an entry to a part of its context's ambient.

    :param make: makes the entry, and the value of ``as``, each time that the block is entered
    """

    __slots__ = ("_make", "_part")

    def __init__(self, part: Part, make: Callable[[], tuple[object, T]]) -> None:
        super().__init__()
        self._part: Part = part
        self._make = make

    def begin(self) -> tuple[object, T]:
        entry, value = self._make()
        add(self._part, entry)
        return entry, value

    def end(self, entry: Any) -> None:
        take_back(self._part, entry)


class undisturbed:  # noqa: N801  a block, as `suppress` is one
    """``with undisturbed():`` the block asks past transactions, detectors and `invalidate_further()`.

    Switches hold in it. It is left in the context in which it was entered.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        here = AMBIENT.get()
        self._token = AMBIENT.set(None if here is None or not here.off else Ambient(off=here.off))

    def __exit__(self, *_: object) -> None:
        AMBIENT.reset(self._token)


def invalidate_further() -> AmbientBlock[None]:
    """Until the block ends, have reads of cached values in this context remove them and find nothing.

    The cached functions that are called in the block run anew, and their results are stored. Counters, locks, rate
    limits and circuit breakers are left alone. It is also a decorator: ``@invalidate_further()`` holds while an async
    function runs.
    """
    return AmbientBlock("further", lambda: (object(), None))


class Detector:
    """Collects, key by key, one record for every answer that came from a cache.

    :param engine: the engine of the cache whose answers count; those of every cache, if it is `None`
    """

    __slots__ = ("_calls", "_deadlines", "_engine", "_stored")

    def __init__(self, engine: object | None = None) -> None:
        self._engine = engine
        self._calls: dict[str, list[dict[str, Any]]] = {}
        self._stored: dict[str, dict[str, Any]] = {}
        self._deadlines: dict[str, float] = {}

    def counts(self, engine: object) -> bool:
        """Say whether the answers of an engine's cache are collected."""
        return self._engine is None or self._engine is engine

    def record(self, key: str, record: Mapping[str, Any]) -> None:
        """Add the record of an answer; it has at least `name`, `ttl` and `backend`."""
        self._calls.setdefault(key, []).append(dict(record))

    def latest(self) -> dict[str, dict[str, Any]]:
        """Return the last record of each key, of an answer or, if there is none, of what was stored."""
        found = dict(self._stored)
        for key, records in self._calls.items():
            found[key] = records[-1]
        return found

    def deadline_of(self, key: str) -> float | None:
        """Return the wall time at which the strategy of a key wants a new value, if it wants one early."""
        return self._deadlines.get(key)

    def has_answers(self) -> bool:
        """Say whether a key was answered from a cache."""
        return bool(self._calls)

    def has_stored(self) -> bool:
        """Say whether a result was stored."""
        return bool(self._stored)

    def take(self, function: object, call: Any, event: ValueEvent) -> None:
        """Take note of an event of a call of a decorated function."""
        if isinstance(event, Stored):
            self._stored[event.key] = event.record()
        else:
            self._calls.setdefault(event.key, []).append(event.record())
        if event.deadline is not None:
            self._deadlines[event.key] = event.deadline

    @property
    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """The records by key, in the order of the calls."""
        return {key: list(records) for key, records in self._calls.items()}

    @property
    def stored(self) -> dict[str, dict[str, Any]]:
        """The last record of each key whose result was stored."""
        return {key: dict(record) for key, record in self._stored.items()}

    @property
    def deadlines(self) -> dict[str, float]:
        """The wall times at which strategies want new values, by key; only of strategies that want them early."""
        return dict(self._deadlines)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that were answered from a cache."""
        return tuple(self._calls)

    def clear(self) -> None:
        """Forget all records."""
        self._calls.clear()
        self._stored.clear()
        self._deadlines.clear()
