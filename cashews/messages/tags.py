"""Messages about tags: what a value carries, and the removal of every value that carries one.

A store keeps its bookkeeping beside the values and changes both in one turn. So that a load which a deletion overtakes
is not stored, even where the two are in different processes, a store also remembers when a tag was deleted: in *marks*
of its own, which only it can compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from cashews.commands import Command, Effect
from cashews.messages.message import OneKey, WholeStore
from cashews.messages.values import Set

if TYPE_CHECKING:
    from cashews._typing import Self

BEFORE_ALL: Final = -1
"""The mark of an instant before every deletion: what was loaded since then is not stored under a tag."""


@dataclass(slots=True)
class SetTagged(Set):
    """Store a value that carries tags, and no others; says whether it was stored.

    With `since`, the mark that was read before the load began, nothing is stored if one of the tags was deleted after
    it, or if the store cannot tell any more.
    """

    tags: tuple[str, ...] = ()
    since: int | None = None
    hidden: ClassVar[frozenset[str]] = frozenset({"permit", "tags", "since"})

    def rename(self, name: Callable[[str], str]) -> Self:
        return replace(self, key=name(self.key), tags=tuple(map(name, self.tags)))


@dataclass(slots=True)
class GetKeyTags(OneKey["tuple[str, ...]"]):
    """Read which tags a live value carries."""

    command: ClassVar[Command] = Command.GET_KEY_TAGS
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> tuple[str, ...]:
        return ()


@dataclass(slots=True)
class MarkLoad(OneKey[int]):
    """Read the mark of this instant, for the load of a key that is about to begin."""

    command: ClassVar[Command] = Command.GET_KEY_TAGS
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return BEFORE_ALL


@dataclass(slots=True)
class DeleteTags(WholeStore[None]):
    """Remove every value that carries one of the tags."""

    tags: tuple[str, ...]
    command: ClassVar[Command] = Command.DELETE_TAGS
    effect: ClassVar[Effect] = Effect.WRITE
    spread: ClassVar[str] = "tags"

    def rename(self, name: Callable[[str], str]) -> Self:
        return replace(self, tags=tuple(map(name, self.tags)))

    def declined(self) -> None:
        return None
