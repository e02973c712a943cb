"""The stores that locks are asked of: the engine, where switches and middlewares stand before them, or one backend."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from cashews.backends.direct import LOCKS_SHUT, DirectLocks
from cashews.backends.interface import Asks, Backend
from cashews.commands import Command
from cashews.engine.coordinator.keeper import HeldLock
from cashews.messages import Message

R = TypeVar("R")


class LockStores(Asks, Protocol):
    """An object that takes the messages of locks, and knows the way of each to its store."""

    __slots__ = ()

    direct_locks: DirectLocks
    """The straight lines to the locks, as they are at the moment."""

    def backend_of(self, key: str) -> Backend:
        """Return the backend of a key."""
        ...

    def is_plain(self, key: str) -> bool:
        """Say whether no middleware stands before the store of a key.

        A middleware may turn a key into another one for each caller, so that no caller may rely on another's watch.
        """
        ...

    def is_off(self, command: Command, key: str) -> bool:
        """Say whether a command is declined for a key, here and now."""
        ...


class OneStore(LockStores):
    """One backend, asked directly."""

    __slots__ = ("_backend", "direct_locks")

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.direct_locks = LOCKS_SHUT

    def ask(self, message: Message[R]) -> Awaitable[R]:
        return self._backend.ask(message)

    def backend_of(self, key: str) -> Backend:
        return self._backend

    def is_plain(self, key: str) -> bool:
        return True

    def is_off(self, command: Command, key: str) -> bool:
        return False


def place_of(lock: HeldLock, stores: LockStores) -> tuple[Backend, str]:
    """Return the store that holds a lock, and the key there."""
    return (stores.backend_of(lock.key), lock.key) if lock.store is None else (lock.store, lock.stored_key)
