"""The one place of the tests that knows the inside of a cache: where its engine keeps what an invariant is about.

A test asks `cache.statistics()` where that has the figure. `inside(cache)` is for the rest: messages without a public
method, and states that no figure tells. When the engine is cut anew, this module alone follows.
"""

from __future__ import annotations

from typing import Any

from cashews import Cache
from cashews.messages import TRANSACTION, KnownTags, LoadPermit


class Internals:
    """The inside of one cache."""

    def __init__(self, cache: Cache) -> None:
        self._engine: Any = cache._engine
        self._tags: Any = cache._tag_rules

    # --- asking

    async def ask(self, message: Any) -> Any:
        """Send a message the way of every command, and return its reply."""
        return await self._engine.ask(message)

    def in_place(self, message: Any) -> Any:
        """Serve a message in the caller's task; `NOT_NOW` if it has to take the longer way."""
        return self._engine.in_place(message)

    async def mark(self, key: str) -> float:
        """Return the instant at which a load of a key with tags begins, as its store counts."""
        permit = LoadPermit(key, tagging=KnownTags(()))
        await self._engine.announce(permit)
        return permit.since

    # --- the parts

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def _site(self) -> Any:
        """The part of the engine that belongs to its first event loop."""
        return self._engine._lifetime.sites.first

    @property
    def stores(self) -> list[Any]:
        """The mounted stores, one per route."""
        return [route.backend.store for route in self._engine.routes]

    def store(self, prefix: str = "") -> Any:
        """Return the store mounted under a prefix."""
        return self._engine.backend_at(prefix).store

    def backend(self, prefix: str = "") -> Any:
        """Return the backend mounted under a prefix: the store behind its gate."""
        return self._engine.backend_at(prefix)

    def table(self, prefix: str = "") -> Any:
        """Return the table of a memory store."""
        return self.store(prefix)._table

    def stored(self, prefix: str = "") -> list[str]:
        """Return the keys that a table holds, expired or not."""
        table = self.table(prefix)
        return [*table.values.rows, *table.structures.rows]

    def turns_in_place(self, key: str) -> set[str]:
        """Return the names of the messages about a key that are served in place."""
        return {kind.__name__ for kind in self._engine.routes.of(key).turns}

    @property
    def connections(self) -> list[Any]:
        """The connections of a Redis store."""
        return self.store()._servers.connections

    @property
    def locks(self) -> Any:
        """The locks of `cache.lock()`."""
        return self._site.locks

    @property
    def coordinator(self) -> Any:
        """The actor that owns who waits for a lock."""
        return self._site.coordinator

    def wait_graph(self, prefix: str = "") -> Any:
        """Return the keys that transactions hold and wait for, on the store under a prefix."""
        return self._engine.routes.at(prefix).graph

    def tags_of(self, key: str) -> tuple[str, ...]:
        """Return the tags that registered templates give a key."""
        return self._tags.of(key)

    # --- how much is held

    @property
    def chains(self) -> int:
        """How many composed chains of interceptors the routes remember."""
        return sum(len(chains) for route in self._engine.routes for chains in route._chains)

    @property
    def tag_rules(self) -> int:
        """How many rules are registered for tags."""
        return len(self._tags.rules)

    @property
    def rests(self) -> int:
        """How many keys the refresher leaves alone for a while."""
        return len(self._site.refresher._backoffs)

    @property
    def transaction_locks(self) -> int:
        """How many locks transactions hold in this process."""
        return sum(len(route.graph) for route in self._engine.routes)

    @property
    def refused_commits(self) -> int:
        """How many locks in a memory store refuse a commit whose outcome is unknown."""
        return sum(TRANSACTION in name and not name.endswith(TRANSACTION) for name in self.table().locks.keys())  # noqa: SIM118  no dict

    def held(self) -> dict[str, int]:
        """Return how much is held, waited for or under way, by where it is; empty if there is nothing."""
        coordinator = self.coordinator
        places = {
            "waiters for locks": coordinator.waiting,
            "leases": coordinator.leases,
            "watches of locks": sum(bool(locks.watching) for locks in coordinator._stores),
            "refreshes": len(self._site.refresher._letters),
        }
        for route in self._engine.routes:
            places[f"transaction locks of {route.prefix!r}"] = len(route.graph)
        return {place: there for place, there in places.items() if there}


def inside(cache: Cache) -> Internals:
    """Return the inside of a cache."""
    return Internals(cache)
