"""Messages about values that are changed in place: bit fields, windows, tallies, sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from cashews.commands import Command, Effect
from cashews.messages.message import OneKey

UNCOUNTED: Final = -math.inf
"""When a call entered that no circuit counts: at no time."""


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
    """Add to unsigned fields of `size` bits; a field stays within its range."""

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
    """Count an event at `end` in the window (`start`, `end`], unless it holds `maxvalue` already.

    Answers how many events the window holds with this one; `maxvalue` + 1 says that it was refused.
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
class Admit(OneKey[bool]):
    """Count a call in a window of `period` seconds from its first call; says whether it is within the limit.

    The first refusal lets the window last for another `ban` seconds, if that is given.
    """

    limit: int
    period: float
    ban: float | None = None
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens, and for how long; durations in seconds.

    It opens when, of at least `min_calls` calls that ended in a window of `period` from the first call, `errors_rate`
    percent or more have failed. It is open for `ttl`, then half open for `half_open_ttl`, if that is given.
    """

    errors_rate: float
    period: float
    ttl: float
    half_open_ttl: float | None = None
    min_calls: int = 1


@dataclass(slots=True)
class EnterCircuit(OneKey["float | None"]):
    """Ask whether a call may run: answers at which instant of the store's clock it entered, `None` if it may not."""

    rules: CircuitRules
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> float | None:
        return UNCOUNTED


@dataclass(slots=True)
class ReportCircuit(OneKey[None]):
    """Say how a call ended that entered a circuit at an instant."""

    rules: CircuitRules
    entered: float
    failed: bool
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class SetAdd(OneKey[None]):
    """Add members to a set; with `expire` the set lives at least that long."""

    values: tuple[str, ...]
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_ADD
    effect: ClassVar[Effect] = Effect.WRITE
    spread: ClassVar[str] = "values"

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class SetRemove(OneKey[None]):
    """Remove members from a set; a set without members is absent."""

    values: tuple[str, ...]
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
