"""Messages about tags: the tags of a value, and the removal of every value that carries a tag.

A store has its index of tags beside the values and changes both in one turn. It also remembers the deletions of tags as
*marks*, which only the store itself can compare: a load that a deletion has overtaken is not stored, even if the two
ran in different processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from cashews._dataclass import dataclass, field, replace
from cashews._typing import ABSENT
from cashews.commands import Command, Effect
from cashews.messages.loads import LoadPermit
from cashews.messages.message import OneKey, WholeStore
from cashews.messages.values import Set

if TYPE_CHECKING:
    from cashews._typing import Self

BEFORE_ALL: Final = -1
"""The mark of an instant before every deletion: with it, nothing is stored under a tag that was ever deleted."""


@dataclass(slots=True)
class SetTagged(Set):
    """Store a value with exactly these tags; the reply says whether it was stored.

    `since` is the mark from the beginning of the load: nothing is stored if one of the tags, or of those in `beside`,
    was deleted after it, or if the store does not remember so far back. With `instead_of` nothing is stored unless the
    key still holds this raw value.
    """

    tags: tuple[str, ...] = ()
    since: int | None = None
    beside: tuple[str, ...] = ()
    """Tags that the value does not carry."""
    instead_of: object = field(default=ABSENT, repr=False)
    hidden: ClassVar[frozenset[str]] = frozenset({"permit", "tags", "since", "beside", "instead_of"})

    @property
    def overtaking(self) -> tuple[str, ...]:
        """The tags whose deletion since the beginning of the load keeps the value from being stored."""
        return (*self.tags, *self.beside)

    def rename(self, name: Callable[[str], str]) -> Self:
        return replace(self, key=name(self.key), tags=tuple(map(name, self.tags)), beside=tuple(map(name, self.beside)))


def storing(
    permit: LoadPermit,
    key: str,
    value: object,
    ttl: float | None,
    tags: tuple[str, ...] = (),
    *,
    beside: tuple[str, ...] = (),
) -> Set:
    """Return the message that stores the value of a load under some tags, if the load's permit is valid by then."""
    if not (tags or beside):
        return Set(key, value, ttl, None, permit)
    return SetTagged(key, value, ttl, None, permit, tuple(dict.fromkeys(tags)), permit.since, beside)


@dataclass(slots=True)
class GetKeyTags(OneKey["tuple[str, ...]"]):
    """Read the tags of a live value."""

    command: ClassVar[Command] = Command.GET_KEY_TAGS
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> tuple[str, ...]:
        return ()


@dataclass(slots=True)
class MarkLoad(OneKey[int]):
    """Read the mark of this instant; sent before the load of a tagged key begins."""

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
