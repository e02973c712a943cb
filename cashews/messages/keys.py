"""Messages about several keys, about patterns, and about the whole store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from cashews._dataclass import dataclass, field, replace
from cashews._steps import Steps, finished, slices_of
from cashews.commands import Command, Effect
from cashews.messages.message import ManyKeys, Matching, Message, Owner, Paged, WholeStore

if TYPE_CHECKING:
    from cashews._typing import Self


@dataclass(slots=True)
class GetKeysCount(WholeStore[int]):
    """Count the live keys."""

    command: ClassVar[Command] = Command.GET_KEYS_COUNT
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return 0

    def merge(self, parts: Sequence[tuple[Message[int], int]]) -> Steps[int]:
        yield from ()
        return sum(count for _, count in parts)


@dataclass(slots=True)
class Ping(WholeStore[bytes]):
    """Test the connection to a store; the reply echoes the message, or is ``PONG``."""

    message: bytes | None = field(default=None, repr=False)
    command: ClassVar[Command] = Command.PING
    effect: ClassVar[Effect] = Effect.ADMIN

    def declined(self) -> bytes:
        return b""


@dataclass(slots=True)
class Clear(WholeStore[None]):
    """Remove all values and structures; locks stay with their holders."""

    command: ClassVar[Command] = Command.CLEAR
    effect: ClassVar[Effect] = Effect.ADMIN

    def declined(self) -> None:
        return None


@dataclass(slots=True)
class GetMany(ManyKeys["tuple[object, ...]"]):
    """Read several values; the reply has the order of the keys."""

    default: object = field(default=None, repr=False)
    command: ClassVar[Command] = Command.GET_MANY
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> tuple[object, ...]:
        return (self.default,) * len(self.keys)

    def merge(
        self, parts: Sequence[tuple[Message[tuple[object, ...]], tuple[object, ...]]]
    ) -> Steps[tuple[object, ...]]:
        found: dict[str, object] = {}
        for part, values in parts:
            for pairs in zip(slices_of(part.keys), slices_of(values), strict=True):
                if found:
                    yield
                found.update(zip(*pairs, strict=True))
        reply: list[object] = []
        for keys in slices_of(self.keys):
            if reply:
                yield
            reply += map(found.__getitem__, keys)
        return tuple(reply)


@dataclass(slots=True)
class RecallMany(GetMany):
    """Read several parts of a function's remembered outcome; see `Recall`."""


@dataclass(slots=True)
class GetMatch(Paged["tuple[str, object]"]):
    """Read the next page of the keys and values with a matching key."""

    command: ClassVar[Command] = Command.GET_MATCH
    effect: ClassVar[Effect] = Effect.READ


@dataclass(slots=True)
class SetMany(Message[None]):
    """Store several values under one time to live."""

    pairs: Mapping[str, object] = field(repr=False)
    expire: float | None = None
    command: ClassVar[Command] = Command.SET_MANY
    effect: ClassVar[Effect] = Effect.WRITE

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.pairs)

    def rename(self, name: Callable[[str], str]) -> Self:
        return finished(self.renaming(name))

    def renaming(self, name: Callable[[str], str]) -> Steps[Self]:
        renamed: dict[str, object] = {}
        pairs = self.pairs
        for keys in slices_of(self.keys):
            if renamed:
                yield
            renamed.update([(name(key), pairs[key]) for key in keys if key in pairs])  # not taken out meanwhile
        return replace(self, pairs=renamed)

    def declined(self) -> None:
        return None

    def split(self, owner: Callable[[str], Owner]) -> Steps[Mapping[Owner, Self]]:
        parts: dict[Owner, dict[str, object]] = {}
        pairs = self.pairs
        for keys in slices_of(self.keys):
            if parts:
                yield
            for key in keys:
                if key in pairs:  # and was not taken out meanwhile
                    parts.setdefault(owner(key), {})[key] = pairs[key]
        return {place: replace(self, pairs=pairs) for place, pairs in parts.items()}


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
    """Read the next page of the matching keys."""

    command: ClassVar[Command] = Command.SCAN
    effect: ClassVar[Effect] = Effect.READ
