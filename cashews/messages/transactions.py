"""Messages of transactions: what a key holds, and everything that is to be written at once."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from cashews._typing import ABSENT
from cashews.commands import Command, Effect
from cashews.messages.message import Message, OneKey
from cashews.messages.structures import SetAdd, SetRemove
from cashews.messages.values import Delete, Expire, Incr, Set, SetRaw

if TYPE_CHECKING:
    from cashews._typing import Self

Write: TypeAlias = "Set | SetRaw | Incr | Expire | Delete | SetAdd | SetRemove"
"""What a transaction keeps of its commands."""


@dataclass(slots=True)
class State:
    """All that a store knows of a key: a value, or the members of a set, or something else that is `foreign` here."""

    value: object = ABSENT
    members: frozenset[str] | None = None
    foreign: str = ""
    left: float | None = None
    """The seconds until it expires; `None` for never."""
    tags: tuple[str, ...] = ()

    @property
    def absent(self) -> bool:
        """Whether there is nothing."""
        return self.value is ABSENT and self.members is None and not self.foreign


@dataclass(slots=True)
class Peek(OneKey[State]):
    """Read the whole state of a key."""

    command: ClassVar[Command] = Command.GET
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> State:
        return State()


class CommitOutcome(enum.Enum):
    """What became of a transaction, or of its part on one store."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"
    """Nothing was applied."""
    LOST = "lost"
    """Nothing was applied, since a lock was another's by then."""
    UNKNOWN = "unknown"
    """The connection broke during the commit: everything was applied, or nothing."""


@dataclass(slots=True)
class Commit(Message[CommitOutcome]):
    """Apply everything at once and release the locks, if each is still held with its token; else apply nothing.

    The tags are deleted before the writes.
    """

    locks: tuple[tuple[str, str], ...]
    writes: tuple[Write, ...]
    tags: tuple[str, ...] = ()
    command: ClassVar[Command] = Command.SET_MANY
    effect: ClassVar[Effect] = Effect.WRITE

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(write.key for write in self.writes))

    def rename(self, name: Callable[[str], str]) -> Self:
        locks = tuple((name(key), token) for key, token in self.locks)
        writes = tuple(write.rename(name) for write in self.writes)
        return replace(self, locks=locks, writes=writes, tags=tuple(map(name, self.tags)))

    def declined(self) -> CommitOutcome:
        return CommitOutcome.ABORTED

    def left_open(self) -> CommitOutcome:
        return CommitOutcome.UNKNOWN
