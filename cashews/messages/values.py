"""Messages about values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cashews.commands import Command, Effect
from cashews.messages.loads import LoadPermit
from cashews.messages.message import OneKey

if TYPE_CHECKING:
    pass
import enum
from typing import TypeAlias


@dataclass(slots=True)
class Get(OneKey[object]):
    """Read a value."""

    default: object = None
    command: ClassVar[Command] = Command.GET
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> object:
        return self.default


@dataclass(slots=True)
class Recall(Get):
    """Read what is remembered of a function's call. It may be old by its nature, so no transaction protects it."""


@dataclass(slots=True)
class GetHit(Recall):
    """Read an entry and count the reading: the reply says how often it has been read."""


@dataclass(slots=True)
class GetRaw(OneKey[object]):
    """Read what `SetRaw` stored, without decoding."""

    default: object = None
    command: ClassVar[Command] = Command.GET_RAW
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> object:
        return self.default


@dataclass(slots=True)
class Set(OneKey[bool]):
    """Store a value; says whether it was stored.

    `expire` is in seconds, `None` for ever. `exist=True` stores only over a live value, `False` only where there is
    none. With a `permit`, nothing is stored once the permit is void.
    """

    value: object
    expire: float | None = None
    exist: bool | None = None
    permit: LoadPermit | None = None
    command: ClassVar[Command] = Command.SET
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class SetRaw(OneKey[bool]):
    """Store a value without encoding it."""

    value: object
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_RAW
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class Incr(OneKey[int]):
    """Add to a counter; `expire` counts from its creation."""

    value: int = 1
    expire: float | None = None
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> int:
        return 0


@dataclass(slots=True)
class Exists(OneKey[bool]):
    """Say whether a key holds a live value."""

    command: ClassVar[Command] = Command.EXISTS
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class Delete(OneKey[bool]):
    """Remove a key; says whether it held a live value."""

    command: ClassVar[Command] = Command.DELETE
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class Expire(OneKey[bool]):
    """Give a live key another time to live, in seconds; `None` for ever. Says whether there was one."""

    timeout: float | None
    command: ClassVar[Command] = Command.EXPIRE
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class GetExpire(OneKey[int]):
    """Read the seconds a key has left, rounded up; -1 for ever, -2 absent."""

    command: ClassVar[Command] = Command.GET_EXPIRE
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return -2


@dataclass(slots=True)
class GetSize(OneKey[int]):
    """Read how many bytes a key takes, roughly; 0 for an absent one."""

    command: ClassVar[Command] = Command.GET_SIZE
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return 0


class Cause(enum.Enum):
    """Why a value left a store."""

    EXPIRED = "expired"
    EVICTED = "evicted"
    REPLACED = "replaced"
    DELETED = "deleted"


OnRemove: TypeAlias = Callable[[str, object, Cause], object]
"""Called with the key, the value and the cause, after the turn that removed it."""
