"""Messages about single values, and the causes for which values leave a store."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from cashews._dataclass import dataclass, field
from cashews.commands import Command, Effect
from cashews.messages.loads import LoadPermit
from cashews.messages.message import OneKey


@dataclass(slots=True)
class Get(OneKey[object]):
    """Read a value; the reply for an absent one is `default`."""

    default: object = field(default=None, repr=False)
    command: ClassVar[Command] = Command.GET
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> object:
        return self.default


@dataclass(slots=True)
class Recall(Get):
    """Read the remembered outcome of a function. It may be old by its nature, so no transaction locks it."""


@dataclass(slots=True)
class GetHit(Recall):
    """Read an entry and count this read; the reply's `hits` includes it."""


@dataclass(slots=True)
class GetRaw(OneKey[object]):
    """Read a value as it is stored, without decoding; the reply for an absent one is `default`."""

    default: object = field(default=None, repr=False)
    command: ClassVar[Command] = Command.GET_RAW
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> object:
        return self.default


@dataclass(slots=True)
class Set(OneKey[bool]):
    """Store a value; the reply says whether it was stored.

    `expire` is in seconds, `None` for ever. `exist=True` stores only over a live value, `False` only under an absent
    key. With a `permit`, nothing is stored once the permit is void.
    """

    value: object = field(repr=False)
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

    value: object = field(repr=False)
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_RAW
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class Incr(OneKey[int]):
    """Add to a counter; `expire` is used only if this creates the counter. The reply is its new value."""

    value: int = field(default=1, repr=False)
    expire: float | None = None
    command: ClassVar[Command] = Command.INCR
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> int:
        return 0


@dataclass(slots=True)
class Exists(OneKey[bool]):
    """Ask whether a key holds a live value."""

    command: ClassVar[Command] = Command.EXISTS
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class Delete(OneKey[bool]):
    """Remove a key; the reply says whether it held a live value."""

    command: ClassVar[Command] = Command.DELETE
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class Expire(OneKey[bool]):
    """Give a live key another time to live, in seconds, `None` for ever; the reply says whether the key was live."""

    timeout: float | None
    command: ClassVar[Command] = Command.EXPIRE
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> bool:
        return False


@dataclass(slots=True)
class GetExpire(OneKey[int]):
    """Read the seconds until a key expires, rounded up; the reply is -1 for never, -2 for an absent key."""

    command: ClassVar[Command] = Command.GET_EXPIRE
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return -2


@dataclass(slots=True)
class GetSize(OneKey[int]):
    """Read roughly how many bytes a key takes; the reply is 0 for an absent key."""

    command: ClassVar[Command] = Command.GET_SIZE
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return 0


class Cause(enum.Enum):
    """The cause for which a value left a store."""

    EXPIRED = "expired"
    EVICTED = "evicted"
    REPLACED = "replaced"
    DELETED = "deleted"


OnRemove: TypeAlias = Callable[[str, object, Cause], object]
"""A listener: called with the key, the value and the cause, after the turn that removed the value."""
