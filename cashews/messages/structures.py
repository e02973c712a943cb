"""Messages about structures, which are changed in place: bit fields, windows, tallies, circuits, sets."""

from __future__ import annotations

import math
from typing import ClassVar, Final

from cashews._dataclass import dataclass, field
from cashews.commands import Command, Effect
from cashews.messages.message import OneKey

UNCOUNTED: Final = -math.inf
"""The reply to `EnterCircuit` for a call that may run, but is counted by no circuit."""


@dataclass(slots=True)
class GetBits(OneKey["tuple[int, ...]"]):
    """Read unsigned fields of `size` bits at the given indexes."""

    indexes: tuple[int, ...]
    size: int = 1
    command: ClassVar[Command] = Command.GET_BITS
    effect: ClassVar[Effect] = Effect.READ
    spread: ClassVar[str] = "indexes"

    def declined(self) -> tuple[int, ...]:
        return (0,) * len(self.indexes)


@dataclass(slots=True)
class IncrBits(OneKey["tuple[int, ...]"]):
    """Add to unsigned fields of `size` bits, each clamped to its range; the reply has their new values."""

    indexes: tuple[int, ...]
    size: int = 1
    by: int = 1
    command: ClassVar[Command] = Command.INCR_BITS
    effect: ClassVar[Effect] = Effect.WRITE
    spread: ClassVar[str] = "indexes"

    def declined(self) -> tuple[int, ...]:
        return (0,) * len(self.indexes)


@dataclass(slots=True)
class SliceIncr(OneKey[int]):
    """Count an event at `end` in the window (`start`, `end`], unless that holds `maxvalue` events already.

    The reply is the number of events with this one; `maxvalue` + 1 means that it was refused.
    """

    start: float
    end: float
    maxvalue: int
    expire: float | None = None
    command: ClassVar[Command] = Command.SLICE_INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> int:
        return 0


@dataclass(slots=True)
class AdmitSlice(OneKey[float]):
    """Count a call like `SliceIncr`; the reply is 0, or the seconds until the window has room if it was refused."""

    start: float
    end: float
    maxvalue: int
    expire: float | None = None
    command: ClassVar[Command] = Command.SLICE_INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> float:
        return 0.0


@dataclass(slots=True)
class Admit(OneKey[float]):
    """Count a call in a window of `period` seconds from its first call.

    The reply is 0 for a call within the limit, and the seconds until the end of the window for another one. With `ban`,
    the window lasts for another `ban` seconds from the first refusal.
    """

    limit: int
    period: float
    ban: float | None = None
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """The conditions on which a circuit opens, and for how long; durations in seconds.

    A window of `period` begins with its first call. The circuit opens when at least `min_calls` calls have ended in the
    window and `errors_rate` percent of them or more have failed. It is open for `ttl`, then half open for
    `half_open_ttl`, if that is given.
    """

    errors_rate: float
    period: float
    ttl: float
    half_open_ttl: float | None = None
    min_calls: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of a call by a circuit, which may let calls through again after so many seconds."""

    retry_after: float


@dataclass(slots=True)
class EnterCircuit(OneKey["float | Refusal"]):
    """Ask a circuit to let a call run; the reply is the instant of entry by the store's clock, or a refusal."""

    rules: CircuitRules
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> float | Refusal:
        return UNCOUNTED


@dataclass(slots=True)
class ReportCircuit(OneKey[None]):
    """Report the end of a call that entered a circuit at the instant `entered`."""

    rules: CircuitRules
    entered: float
    failed: bool
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class SetAdd(OneKey[None]):
    """Add members to a set; with `expire` the set lives for at least as many seconds."""

    values: tuple[str, ...] = field(repr=False)
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_ADD
    effect: ClassVar[Effect] = Effect.WRITE
    spread: ClassVar[str] = "values"

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class SetRemove(OneKey[None]):
    """Remove members from a set; a set that loses its last member is removed."""

    values: tuple[str, ...] = field(repr=False)
    command: ClassVar[Command] = Command.SET_REMOVE
    effect: ClassVar[Effect] = Effect.WRITE
    spread: ClassVar[str] = "values"

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class SetPop(OneKey["list[str]"]):
    """Remove and return up to `count` members of a set."""

    count: int = 100
    command: ClassVar[Command] = Command.SET_POP
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> list[str]:
        return []
