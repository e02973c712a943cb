"""Messages about locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from cashews.commands import Command, Effect
from cashews.messages.message import OneKey

HELD: Final = -1
"""What `SetLock` answers if another holds the lock."""


@dataclass(slots=True)
class SetLock(OneKey[int]):
    """Take a lock for `expire` seconds with a token; answers a fencing number above 0, `HELD`, or 0 if it is refused.

    The numbers of a key grow from one holder to the next.
    """

    value: str
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_LOCK
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> int:
        return 0


@dataclass(slots=True)
class RenewLock(OneKey["bool | None"]):
    """Hold a lock for `expire` seconds from now; says whether the token held it, `None` if nobody knows."""

    value: str
    expire: float
    command: ClassVar[Command] = Command.SET_LOCK
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> bool | None:
        return None


@dataclass(slots=True)
class Unlock(OneKey[bool]):
    """Release a lock that is held with this token; says whether it was."""

    value: str
    command: ClassVar[Command] = Command.UNLOCK
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class LockTimeLeft(OneKey["float | None"]):
    """Read how many seconds a lock is still held; `None` when it is free."""

    command: ClassVar[Command] = Command.IS_LOCKED
    effect: ClassVar[Effect] = Effect.LOCK

    def declined(self) -> float | None:
        return None


@dataclass(slots=True)
class WatchLock(OneKey[bool]):
    """Have `wake` called at each release of a lock by another process; says whether the store can tell."""

    wake: Callable[[], object]
    command: ClassVar[Command] = Command.IS_LOCKED
    effect: ClassVar[Effect] = Effect.LOCK
    hidden: ClassVar[frozenset[str]] = frozenset({"wake"})

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class UnwatchLock(OneKey[None]):
    """End a `WatchLock`, also one that never came to pass."""

    wake: Callable[[], object]
    command: ClassVar[Command] = Command.IS_LOCKED
    effect: ClassVar[Effect] = Effect.LOCK
    hidden: ClassVar[frozenset[str]] = frozenset({"wake"})

    def declined(self) -> None:
        return None
