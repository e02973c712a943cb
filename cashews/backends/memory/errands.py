"""Errands: the messages to the memory store that take several turns, each of about a millisecond."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from cashews import messages as m
from cashews.actors.mailbox import Letter
from cashews.table.keyspace import Table


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
        self._cursor = table.cursor()

    def turn(self, now: float) -> bool:
        self._table.delete_page(self._message, self._cursor, now)
        return not self._cursor.keys


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
    """The number of live keys, known once all expired ones are swept."""

    __slots__ = ()
    told = False

    def __init__(self, table: Table, _: m.GetKeysCount) -> None:
        super().__init__(table)

    def turn(self, now: float) -> bool:
        return self._table.sweep(now) > now

    def reply(self, now: float) -> int:
        return self._table.count(now)


ERRANDS: Final[Mapping[type[m.Message[Any]], Callable[[Table, Any], Errand]]] = {
    m.DeleteMatch: MatchDeletion,
    m.DeleteTags: TagDeletion,
    m.Clear: Clearing,
    m.GetKeysCount: Counting,
}
"""The errand of each message that takes several turns."""
