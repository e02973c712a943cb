"""Keeps a load from storing what was invalidated while it ran."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cashews.commands import Command
from cashews.engine.chain import Proceed
from cashews.engine.context import AMBIENT
from cashews.keys.pattern import matcher
from cashews.messages import DeleteTags, KnownTags, Lease, Message

R = TypeVar("R")
INVALIDATING = frozenset(
    {Command.DELETE, Command.DELETE_MANY, Command.DELETE_MATCH, Command.DELETE_TAGS, Command.CLEAR}
)


class Fence:
    """The leases of the loads that run: at most one shared by key, and any number for those who load alone.

    An invalidating message voids them before it goes on, and a store refuses to fill under a void one. So
    whichever comes first at the store, the value that was loaded before the invalidation does not stay.
    """

    def __init__(self) -> None:
        self.shared: dict[str, Lease] = {}
        """A void lease is not shared any more: who comes after the invalidation loads anew."""
        self._alone: dict[str, list[Lease]] = {}

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self._alone.values()))

    def take(self, key: str, tagging: KnownTags | None = None) -> Lease:
        """Return a lease for somebody who loads alone."""
        here = AMBIENT.get()
        lease = Lease(key, None if here is None else here.further, tagging)
        self._alone.setdefault(key, []).append(lease)
        return lease

    def keep(self, lease: Lease) -> None:
        """Keep a lease beyond its load, until another `drop`: what was loaded has not reached the store yet."""
        self._alone.setdefault(lease.key, []).append(lease)

    def drop(self, lease: Lease) -> None:
        """Forget the lease of somebody who has loaded alone."""
        leases = self._alone[lease.key]
        leases.remove(lease)
        if not leases:
            del self._alone[lease.key]

    def void(self, keys: Iterable[str], but: object | None = None) -> None:
        """Void the leases of some keys, but for those that were taken in a block."""
        for key in keys:
            shared = self.shared.get(key)
            for lease in (*self._alone.get(key, ()), *((shared,) if shared else ())):
                lease.void = lease.void or but is None or lease.origin is not but
            if shared is not None and shared.void:
                del self.shared[key]

    def void_tagged(self, tags: tuple[str, ...]) -> None:
        """Void the leases of values that will carry one of some tags.

        One whose tags are not all known yet is only not shared any more: whoever comes from now on loads anew, and the
        store sees whether that value may stay.
        """
        for lease in [*self.shared.values(), *(lease for leases in self._alone.values() for lease in leases)]:
            if lease.tagging is None:
                continue
            lease.void = lease.void or not set(tags).isdisjoint(lease.tagging.tags)
            if (lease.void or lease.tagging.more) and self.shared.get(lease.key) is lease:
                del self.shared[lease.key]

    def concerns(self, command: Command) -> bool:
        return command in INVALIDATING

    def refuse(self, message: Message[Any]) -> None:
        """Void the leases of what a message invalidates."""
        if self.shared or self._alone:
            if isinstance(message, DeleteTags):
                self.void_tagged(message.tags)
            else:
                pattern = message.covers
                self.void(message.keys if pattern is None else filter(matcher(pattern), {*self.shared, *self._alone}))

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        self.refuse(message)
        here = AMBIENT.get()
        for transaction in () if here is None else here.transactions:
            transaction.remember(self, message)  # which removes the keys later
        reply: R = await proceed(message)
        return reply
