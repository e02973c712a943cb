"""Observing: each thing that happens is one event, from which statistics, the log, detectors and callbacks are fed.

The events of calls are told by the observer of their function (`runners.observer`), those of commands by the watcher.
A decorated hit that is served by the straight line is counted, and becomes an event only while there are listeners:
then every read passes the chain of interceptors.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from weakref import ref

from cashews._dataclass import dataclass
from cashews._log import logger
from cashews.commands import Command
from cashews.engine.counts import CallCounts, CallStatistics
from cashews.engine.tracing import LoadTracer
from cashews.messages import DeleteTags, GetMany, Message

INVALIDATING: Final = frozenset(
    {
        Command.DELETE,
        Command.DELETE_MANY,
        Command.DELETE_MATCH,
        Command.DELETE_TAGS,
        Command.CLEAR,
    }
)
NAMED: Final = 3
"""How many keys a line of the log names."""


class Source(enum.Enum):
    """The source of an answer that did not cost its call a load."""

    HIT = "hit"
    STALE = "stale"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """A thing that happened to a call of a function, or to a load of it."""

    function: str
    key: str


@dataclass(frozen=True, slots=True)
class ValueEvent(CallEvent):
    """A thing that happened to the value of a call.

    `deadline` is the wall time at which the strategy wants a new value; `None` if it has none, or if it is not known.
    """

    strategy: str
    ttl: float | None
    backend: str
    deadline: float | None

    def record(self) -> dict[str, Any]:
        """Return the record that `detect` collects."""
        return {"name": self.strategy, "ttl": self.ttl, "backend": self.backend}


@dataclass(frozen=True, slots=True)
class Answered(ValueEvent):
    """A call was answered without a load of its own; `error` is the exception that the answer stands in for."""

    source: Source
    error: BaseException | None

    def __str__(self) -> str:
        return f"{self.source.value}: {self.key!r}, of {self.function}"

    def record(self) -> dict[str, Any]:
        record = ValueEvent.record(self)
        return record if self.error is None else {**record, "exc": type(self.error)}


@dataclass(frozen=True, slots=True)
class Stored(ValueEvent):
    """The outcome of a load was stored."""

    def __str__(self) -> str:
        lifetime = "for ever" if self.ttl is None else f"for {self.ttl:g} s"
        return f"stored: {self.key!r}, of {self.function}, {lifetime}"


@dataclass(frozen=True, slots=True)
class Missed(CallEvent):
    """A call found nothing that may be served."""

    def __str__(self) -> str:
        return f"miss: {self.key!r}, of {self.function}"


@dataclass(frozen=True, slots=True)
class LoadEnded(CallEvent):
    """A load has ended, after so many seconds; `error` is the exception that its function raised."""

    seconds: float
    error: BaseException | None

    def __str__(self) -> str:
        failure = "" if self.error is None else f", failed: {type(self.error).__name__}"
        return f"load: {self.key!r}, of {self.function}, {self.seconds:.3f} s{failure}"


@dataclass(frozen=True, slots=True)
class ResultRefused(CallEvent):
    """A result was not stored, because the options of its decorator say so."""

    def __str__(self) -> str:
        return f"not stored: {self.key!r}, of {self.function}, by its condition, time_condition or upper"


@dataclass(frozen=True, slots=True)
class RefreshAsked(CallEvent):
    """A load was asked for behind the back of a call."""

    def __str__(self) -> str:
        return f"refresh: {self.key!r}, of {self.function}"


@dataclass(frozen=True, slots=True)
class CallUncached(CallEvent):
    """A part of the cache's work for a call has failed; the call lost its caching, and kept its answer."""

    reason: str

    def __str__(self) -> str:
        return f"uncached: {self.key!r}, of {self.function}, {self.reason}"


@dataclass(frozen=True, slots=True)
class CommandServed:
    """A command was served: its message, and the reply."""

    message: Message[Any]
    reply: Any

    def results(self) -> Sequence[tuple[str, object]]:
        """Return the result of each key, pattern or tag."""
        message, reply = self.message, self.reply
        if isinstance(message, GetMany):
            return list(zip(message.keys, reply, strict=True))
        if isinstance(message, DeleteTags):
            return [(tag, reply) for tag in message.tags]
        if message.covers is not None:
            return [(message.covers, reply)]
        return [(key, reply) for key in message.keys]

    def __str__(self) -> str:
        message = self.message
        keys: Sequence[str] = message.keys
        if isinstance(message, DeleteTags):
            keys = message.tags
        elif message.covers is not None:
            keys = (message.covers,)
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        kind = "invalidation" if message.command in INVALIDATING else "command"
        return f"{kind}: {message.command.value} {', '.join(map(repr, keys[:NAMED]))}{more}"


Event: TypeAlias = (
    "Answered | Stored | Missed | LoadEnded | ResultRefused | RefreshAsked | CallUncached | CommandServed"
)
Listener: TypeAlias = Callable[[Event], object]
"""Called with each event, in the task in which it happens; it must not wait."""


class Observing:
    """The listeners of an engine, its tracer, and the counts of its functions.

    :param changed: called when a listener or a tracer comes or goes
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.listeners: tuple[Listener, ...] = ()
        self.tracer: LoadTracer | None = None
        """Stands around the loads; `follow_loads` attaches it."""
        self._live: dict[ref[object], CallCounts] = {}
        """The counts of the functions that there are; a function that is gone leaves its counts to the others."""
        self._past = CallCounts()

    def tell(self, event: Event) -> None:
        """Give an event to all listeners."""
        for listener in self.listeners:
            listener(event)

    def set_listening(self, listener: Listener, on: bool) -> None:  # noqa: FBT001  a setter
        """Have a listener told of every event, or of none any more."""
        others = tuple(each for each in self.listeners if each is not listener)
        self.listeners = (*others, listener) if on else others
        self._changed()

    def follow_loads(self, tracer: LoadTracer | None) -> None:
        """Have a tracer stand around the loads, or none any more."""
        self.tracer = tracer
        self._changed()

    def attend_log(self) -> None:
        """Take note of the level of the log: it is looked at once in a while, not at each hit."""
        wanted = logger.isEnabledFor(logging.DEBUG)
        if wanted is not (log in self.listeners):
            self.set_listening(log, wanted)

    def counts_of(self, owner: object) -> CallCounts:
        """Return new counts, which are part of the sum as long as their owner lives and afterwards."""
        counts = CallCounts()
        self._live[ref(owner, self._fold)] = counts
        return counts

    def _fold(self, owner: ref[object]) -> None:
        self._past.add(self._live.pop(owner))

    def statistics(self) -> CallStatistics:
        """Return the sum over all functions."""
        total = CallCounts()
        for counts in (self._past, *self._live.values()):
            total.add(counts)
        return total.statistics()


def log(event: Event) -> None:
    """Write a line of the log about an event; commands have one if they invalidate."""
    if not isinstance(event, CommandServed) or event.message.command in INVALIDATING:
        logger.debug("%s", event)
