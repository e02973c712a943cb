"""Messages about values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from cashews.commands import Command, Effect
from cashews.messages.message import Lease, ManyKeys, Matching, Message, OneKey, Owner, Paged

if TYPE_CHECKING:
    from cashews._typing import Self


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
class GetMany(ManyKeys["tuple[object, ...]"]):
    """Read several values, in the order of the keys."""

    default: object = None
    command: ClassVar[Command] = Command.GET_MANY
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> tuple[object, ...]:
        return (self.default,) * len(self.keys)

    def merge(self, parts: Sequence[tuple[Message[tuple[object, ...]], tuple[object, ...]]]) -> tuple[object, ...]:
        found = {key: value for part, values in parts for key, value in zip(part.keys, values, strict=True)}
        return tuple(found[key] for key in self.keys)


@dataclass(slots=True)
class RecallMany(GetMany):
    """Read several parts of what is remembered of a function's call; see `Recall`."""


@dataclass(slots=True)
class GetMatch(Paged["tuple[str, object]"]):
    """Read the next page of the pairs whose key matches."""

    command: ClassVar[Command] = Command.GET_MATCH
    effect: ClassVar[Effect] = Effect.READ


@dataclass(slots=True)
class Set(OneKey[bool]):
    """Store a value; says whether it was stored.

    `expire` is in seconds, `None` for ever. `exist=True` stores only over a live value, `False` only where there is
    none. With a `lease`, nothing is stored once the lease is void.
    """

    value: object
    expire: float | None = None
    exist: bool | None = None
    lease: Lease | None = None
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
class SetMany(Message[None]):
    """Store several values under one time to live."""

    pairs: Mapping[str, object]
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_MANY
    effect: ClassVar[Effect] = Effect.WRITE

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.pairs)

    def rename(self, name: Callable[[str], str]) -> Self:
        return replace(self, pairs={name(key): value for key, value in self.pairs.items()})

    def declined(self) -> None:
        return None

    def split(self, owner: Callable[[str], Owner]) -> Mapping[Owner, Self]:
        parts: dict[Owner, dict[str, object]] = {}
        for key, value in self.pairs.items():
            parts.setdefault(owner(key), {})[key] = value
        return {place: replace(self, pairs=pairs) for place, pairs in parts.items()}


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
class DeleteMany(ManyKeys[None]):
    """Remove several keys."""

    command: ClassVar[Command] = Command.DELETE_MANY
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class DeleteMatch(Matching[None]):
    """Remove the keys that match a pattern."""

    command: ClassVar[Command] = Command.DELETE_MATCH
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class Scan(Paged[str]):
    """Read the next page of the keys that match."""

    command: ClassVar[Command] = Command.SCAN
    effect: ClassVar[Effect] = Effect.READ


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
