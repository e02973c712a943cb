"""Errands: the messages to the memory store that take several turns, each of about a millisecond."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias, cast

from cashews import messages as m
from cashews._dataclass import dataclass, replace
from cashews._steps import STEP
from cashews._typing import NOT_NOW
from cashews.actors.mailbox import Letter
from cashews.backends.interface import Turn
from cashews.table.cursors import SoonCursor
from cashews.table.keyspace import Table

PART: Final = 1_000
"""The most keys that one turn serves of a message that names its keys: a millisecond or two."""


class Errand(Letter):
    """A message on its way through the table; it is told, so it goes on when its asker has gone."""

    __slots__ = ("_table",)
    told = True
    pauses: ClassVar[bool] = False
    """Whether the asker pauses after the first turn though it is the last: one that takes a while, however often."""

    def __init__(self, table: Table) -> None:
        self.replies = []
        self._table = table

    @abstractmethod
    def turn(self, now: float) -> bool:
        """Serve a part of the message; says whether that was the last."""

    def reply(self, now: float) -> object:
        """Return the reply, once the last turn is over."""
        return None


class MatchDeletion(Errand):
    """The removal of the keys that match a pattern, among those there were when it began."""

    __slots__ = ("_cursor", "_message")
    pauses = True

    def __init__(self, table: Table, message: m.DeleteMatch) -> None:
        super().__init__(table)
        self._message = message
        self._cursor = table.cursor(message.pattern)

    def turn(self, now: float) -> bool:
        self._table.delete_page(self._message, self._cursor, now)
        return self._cursor.is_over


class TagDeletion(Errand):
    """The removal of the keys that carried one of some tags when it began."""

    __slots__ = ("_doomed",)

    def __init__(self, table: Table, message: m.DeleteTags) -> None:
        super().__init__(table)
        self._doomed = table.doom(message.tags)

    def turn(self, now: float) -> bool:
        removed = self._table.delete_doomed(self._doomed, now)
        if removed and any(self._doomed):
            return False
        self._table.delete_doomed(self._doomed, now)  # forgets the emptied index of the last tag
        return True


class Clearing(Errand):
    """The removal of all values: absent at once, let go of bit by bit."""

    __slots__ = ()

    def __init__(self, table: Table, _: m.Clear) -> None:
        super().__init__(table)
        table.clear()

    def turn(self, now: float) -> bool:
        return not self._table.bury()


class Counting(Errand):
    """The number of live keys, known once all expired ones are removed: what is due, and then what is due soon."""

    __slots__ = ("_soon",)
    told = False

    def __init__(self, table: Table, _: m.GetKeysCount) -> None:
        super().__init__(table)
        self._soon: SoonCursor | None = None

    def turn(self, now: float) -> bool:
        if self._soon is None:
            if self._table.sweep(now) <= now:
                return False
            self._soon = self._table.soon(now)
        self._table.drop_expired(self._soon, now)
        return self._soon.is_over

    def reply(self, now: float) -> int:
        return self._table.count()


class InParts(Errand):
    """A message about more keys than one turn can serve: each turn serves some of them, as a message of its own."""

    __slots__ = ("_keys", "_message", "_serve", "_served")
    pauses = True

    def __init__(self, table: Table, message: Many, serve: Turn) -> None:
        super().__init__(table)
        self._message = message
        self._serve = serve
        self._keys: Sequence[str] = list(message.pairs) if isinstance(message, m.SetMany) else message.keys
        self._served = 0

    def turn(self, now: float) -> bool:
        keys = self._keys[self._served : self._served + PART]
        self._served += PART
        self._take(self._serve(self._part(keys), now))
        return self._served >= len(self._keys)

    def _part(self, keys: Sequence[str]) -> Many:
        """Return the message about some of the keys; pairs that the asker has removed meanwhile are left out."""
        message = self._message
        if isinstance(message, m.SetMany):
            pairs = message.pairs
            return replace(message, pairs={key: pairs[key] for key in keys if key in pairs})
        return replace(message, many=tuple(keys))

    def _take(self, reply: object) -> None:
        """Take the reply to a part."""


class ReadingInParts(InParts):
    """The reading of many keys; nobody wants the rest once its asker has gone."""

    __slots__ = ("_found",)
    told = False

    def __init__(self, table: Table, message: Many, serve: Turn) -> None:
        super().__init__(table, message, serve)
        self._found: list[object] = []

    def _take(self, reply: object) -> None:
        self._found += cast("tuple[object, ...]", reply)

    def reply(self, now: float) -> tuple[object, ...]:
        return tuple(self._found)


Many: TypeAlias = "m.GetMany | m.SetMany | m.DeleteMany"
IN_PARTS: Final[Mapping[type[m.Message[Any]], Callable[[Table, Any, Turn], Errand]]] = {
    m.GetMany: ReadingInParts,
    m.RecallMany: ReadingInParts,
    m.SetMany: InParts,
    m.DeleteMany: InParts,
}
"""The errand of each message about many keys that takes several turns if they are more than one turn can serve."""


def is_long(message: m.Message[Any]) -> bool:
    """Say whether a message is about more keys than one turn can serve, or may be."""
    if isinstance(message, m.Commit):
        return len(message.writes) > STEP or bool(message.tags)
    if isinstance(message, m.SetMany):
        return len(message.pairs) > PART
    return isinstance(message, m.ManyKeys) and len(message.keys) > PART


@dataclass(frozen=True, slots=True)
class Short:
    """A turn in place, unless it would take too long: such a message has to be asked."""

    turn: Turn

    def __call__(self, message: Many | m.Commit, now: float) -> object:
        return NOT_NOW if is_long(message) else self.turn(message, now)


ERRANDS: Final[Mapping[type[m.Message[Any]], Callable[[Table, Any], Errand]]] = {
    m.DeleteMatch: MatchDeletion,
    m.DeleteTags: TagDeletion,
    m.Clear: Clearing,
    m.GetKeysCount: Counting,
}
"""The errand of each message that takes several turns."""
