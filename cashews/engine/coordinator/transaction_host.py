"""The contract between transactions and the engine of their cache."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cashews.actors.loop import Loop
from cashews.clock import Clock
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.permits import Permits
from cashews.engine.routes import Route


class TransactionHost(ABC):
    """The engine of transactions, as they see it."""

    __slots__ = ()
    clock: Clock
    permits: Permits

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether the cache has been closed."""

    @abstractmethod
    def loop(self) -> Loop:
        """Return the event loop that the caller runs in."""

    @abstractmethod
    def route_of(self, key: str) -> Route:
        """Return the route of a key."""

    @abstractmethod
    def locks_of(self, route: Route) -> StoreLocks:
        """Return the locks in the store of a route, for the tasks of the calling event loop."""
