"""Messages about locks, whose keys have a name space of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from cashews._dataclass import dataclass, field
from cashews.commands import Command, Effect
from cashews.messages.message import OneKey, Paged

HELD: Final = -1
"""The reply to `SetLock` if another token holds the lock."""


class LockHolder(Protocol):
    """The holder of a lock in its store: the token that gives the lock back, and the instant up to which it is held."""

    __slots__ = ()
    token: str
    until: float


class LockPlace(Protocol):
    """The store that a lock was asked of, and the key of the lock there: middlewares may have renamed it.

    The end of the chain notes them. A lock is given back there even if the chain does not let its `Unlock` through.
    """

    __slots__ = ()

    def note_place(self, store: Any, key: str) -> None:
        """Note the backend, and the key there."""
        ...


UNCERTAIN: Final = -3
"""The reply to `SetLock` if the connection broke meanwhile: the lock may have been taken."""

TRANSACTION: Final = "\0transaction"
"""The end of the name of a transaction's lock, after the key that it protects; no lock of a user's has such a name."""


@dataclass(slots=True)
class SetLock(OneKey[int]):
    """Take a lock for `expire` seconds with the token `value`.

    The reply is a fencing number above 0, `HELD`, or 0 if the store refused. The fencing numbers of a key grow from one
    holder to the next.
    """

    value: str = field(repr=False)
    expire: float | None = None
    place: LockPlace | None = field(default=None, compare=False, repr=False)
    command: ClassVar[Command] = Command.SET_LOCK
    effect: ClassVar[Effect] = Effect.LOCK
    hidden: ClassVar[frozenset[str]] = frozenset({"place"})

    def declined(self) -> int:
        return 0

    def left_open(self) -> int:
        return UNCERTAIN


@dataclass(slots=True)
class RenewLock(OneKey["bool | None"]):
    """Let a lock last for `expire` seconds from now; the reply says whether the token held it, `None` for unknown."""

    value: str = field(repr=False)
    expire: float
    command: ClassVar[Command] = Command.SET_LOCK
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> bool | None:
        return None


@dataclass(slots=True)
class Unlock(OneKey[bool]):
    """Release a lock, if the token `value` holds it; the reply says whether it did."""

    value: str = field(repr=False)
    command: ClassVar[Command] = Command.UNLOCK
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class LockTimeLeft(OneKey["float | None"]):
    """Read for how many seconds a lock is still held; the reply is `None` for a free lock."""

    command: ClassVar[Command] = Command.IS_LOCKED
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> float | None:
        return None


@dataclass(slots=True)
class WatchLock(OneKey[bool]):
    """Have `wake` called at each release of a lock by another process.

    The reply says whether the store reports such releases; if not, the asker has to look from time to time.
    """

    wake: Callable[[], object]
    command: ClassVar[Command] = Command.IS_LOCKED
    effect: ClassVar[Effect] = Effect.LOCK
    hidden: ClassVar[frozenset[str]] = frozenset({"wake"})

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class UnwatchLock(OneKey[None]):
    """End a `WatchLock`, also one that has failed."""

    wake: Callable[[], object]
    command: ClassVar[Command] = Command.IS_LOCKED
    effect: ClassVar[Effect] = Effect.LOCK
    hidden: ClassVar[frozenset[str]] = frozenset({"wake"})

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class ListLocks(Paged["tuple[str, float]"]):
    """Read the next page of the locks that are held: their keys, and for how many seconds they still are."""

    command: ClassVar[Command] = Command.LOCKS
    effect: ClassVar[Effect] = Effect.LOCK


@dataclass(slots=True)
class BreakLock(OneKey[bool]):
    """Free a lock, whichever token holds it; the reply says whether one did."""

    command: ClassVar[Command] = Command.BREAK_LOCK
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> bool:
        return False
