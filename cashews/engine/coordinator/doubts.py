"""Commits of unknown outcome: the store is told to refuse those that have yet to come."""

from __future__ import annotations

from typing import Final

from cashews.backends.interface import Backend
from cashews.engine.coordinator.tokens import random_token
from cashews.messages import TRANSACTION, SetLock

REFUSED_FOR: Final = 3600.0
"""The seconds for which a store refuses a commit: longer than a network keeps bytes."""


class Doubts:
    """The commits to one store of which nobody knows whether the store has served them, or will.

    A commit that holds locks in the store is refused once they are given back. One that holds none has a name of its
    own among the locks that nobody may hold. Nobody does while the connection is broken; afterwards that lock is taken,
    and what comes late is refused. No transaction of this process commits before that.
    """

    __slots__ = ("_letters",)

    def __init__(self) -> None:
        self._letters: dict[str, None] = {}

    @staticmethod
    def name_beside(key: str) -> str:
        """Return the name of a new commit; its lock lies beside that of a key."""
        return key + TRANSACTION + random_token()

    def add(self, letter: str) -> None:
        """Note a commit of unknown outcome."""
        self._letters[letter] = None

    async def end(self, store: Backend) -> None:
        """Have the store refuse the commits from now on; those that it has served by then stay.

        :raises CacheBackendInteractionError: if the store does not answer; they are in doubt yet
        """
        for letter in tuple(self._letters):
            await store.ask(SetLock(letter, letter, REFUSED_FOR), strict=True)
            self._letters.pop(letter, None)
