"""Keeps a load from storing what was invalidated while it ran."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from cashews.commands import Command
from cashews.compose import Proceed
from cashews.messages import Lease, Message
from cashews.pattern import matcher

R = TypeVar("R")
INVALIDATING = frozenset({Command.DELETE, Command.DELETE_MANY, Command.DELETE_MATCH, Command.CLEAR})


class Fence:
    """The leases of the loads that run.

    An invalidating message voids them before it goes on, and a store refuses to fill under a void one. So
    whichever comes first at the store, the value that was loaded before the invalidation does not stay.
    """

    def __init__(self) -> None:
        self._leases: dict[str, list[Lease]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._leases.values()))

    def take(self, key: str) -> Lease:
        """Return a lease for a load that begins now."""
        lease = Lease(key)
        self._leases.setdefault(key, []).append(lease)
        return lease

    def drop(self, lease: Lease) -> None:
        """Forget a lease whose load has ended."""
        leases = self._leases[lease.key]
        leases.remove(lease)
        if not leases:
            del self._leases[lease.key]

    def void(self, keys: Iterable[str]) -> None:
        """Void the leases of some keys."""
        for key in keys:
            for lease in self._leases.get(key, ()):
                lease.void = True

    def concerns(self, command: Command) -> bool:
        return command in INVALIDATING

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        if self._leases:
            pattern = message.covers
            self.void(message.keys if pattern is None else filter(matcher(pattern), self._leases))
        reply: R = await proceed(message)
        return reply
