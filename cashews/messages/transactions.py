"""Messages of transactions: the whole state of a key, and the commit."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from cashews._dataclass import dataclass, field, replace
from cashews._typing import ABSENT
from cashews.commands import Command, Effect
from cashews.messages.message import Message, OneKey
from cashews.messages.structures import SetAdd, SetRemove
from cashews.messages.values import Delete, Expire, Incr, Set, SetRaw

if TYPE_CHECKING:
    from cashews._typing import Self

Write: TypeAlias = "Set | SetRaw | Incr | Expire | Delete | SetAdd | SetRemove"
"""The writes that a commit may contain."""


@dataclass(slots=True)
class State:
    """The state of a key: a value, or the members of a set, or another kind of structure, named by `foreign`."""

    value: object = field(default=ABSENT, repr=False)
    members: frozenset[str] | None = field(default=None, repr=False)
    foreign: str = ""
    left: float | None = None
    """The seconds until the key expires; `None` for never."""
    tags: tuple[str, ...] = ()

    @property
    def absent(self) -> bool:
        """True if the key holds nothing."""
        return self.value is ABSENT and self.members is None and not self.foreign


@dataclass(slots=True)
class Peek(OneKey[State]):
    """Read the whole state of a key."""

    command: ClassVar[Command] = Command.GET
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> State:
        return State()


class CommitOutcome(enum.Enum):
    """The outcome of a transaction, or of its part on one store."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"
    """Nothing was applied."""
    LOST = "lost"
    """Nothing was applied: another holds a lock, or nobody holds one that was this transaction's."""
    UNKNOWN = "unknown"
    """The connection broke during the commit: everything was applied, or nothing."""


@dataclass(slots=True)
class Commit(Message[CommitOutcome]):
    """Apply all writes in one turn and release the locks; apply nothing unless each lock is still held with its token.

    A lock with an empty token is one that nobody may hold, nor is it released.

    The tags are deleted before the writes are applied.
    """

    locks: tuple[tuple[str, str], ...] = field(repr=False)
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
