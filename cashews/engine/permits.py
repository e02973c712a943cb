"""Keeps a load from storing what was invalidated while it ran."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cashews.commands import Command
from cashews.engine.chain import Proceed
from cashews.engine.context import AMBIENT
from cashews.keys.pattern import matcher
from cashews.messages import DeleteTags, KnownTags, LoadPermit, Message

R = TypeVar("R")
INVALIDATING = frozenset(
    {Command.DELETE, Command.DELETE_MANY, Command.DELETE_MATCH, Command.DELETE_TAGS, Command.CLEAR}
)


class Permits:
    """The permits of the loads that run: at most one shared by key, and any number for those who load alone.

    An invalidating message voids them before it goes on, and a store refuses to fill under a void one. So
    whichever comes first at the store, the value that was loaded before the invalidation does not stay.
    """

    def __init__(self) -> None:
        self.shared: dict[str, LoadPermit] = {}
        """A void permit is not shared any more: who comes after the invalidation loads anew."""
        self._alone: dict[str, list[LoadPermit]] = {}

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self._alone.values()))

    def take(self, key: str, tagging: KnownTags | None = None) -> LoadPermit:
        """Return a permit for somebody who loads alone."""
        here = AMBIENT.get()
        permit = LoadPermit(key, None if here is None else here.invalidating, tagging)
        self._alone.setdefault(key, []).append(permit)
        return permit

    def keep(self, permit: LoadPermit) -> None:
        """Keep a permit beyond its load, until another `drop`: what was loaded has not reached the store yet."""
        self._alone.setdefault(permit.key, []).append(permit)

    def drop(self, permit: LoadPermit) -> None:
        """Forget the permit of somebody who has loaded alone."""
        permits = self._alone[permit.key]
        permits.remove(permit)
        if not permits:
            del self._alone[permit.key]

    def void(self, keys: Iterable[str], but: object | None = None) -> None:
        """Void the permits of some keys, but for those that were taken in a block."""
        for key in keys:
            shared = self.shared.get(key)
            for permit in (*self._alone.get(key, ()), *((shared,) if shared else ())):
                permit.void = permit.void or but is None or permit.origin is not but
            if shared is not None and shared.void:
                del self.shared[key]

    def void_tagged(self, tags: tuple[str, ...]) -> None:
        """Void the permits of values that will carry one of some tags.

        One whose tags are not all known yet is only not shared any more: whoever comes from now on loads anew, and the
        store sees whether that value may stay.
        """
        for permit in [*self.shared.values(), *(permit for permits in self._alone.values() for permit in permits)]:
            if permit.tagging is None:
                continue
            permit.void = permit.void or not set(tags).isdisjoint(permit.tagging.tags)
            if (permit.void or permit.tagging.more) and self.shared.get(permit.key) is permit:
                del self.shared[permit.key]

    def concerns(self, command: Command) -> bool:
        return command in INVALIDATING

    def refuse(self, message: Message[Any]) -> None:
        """Void the permits of what a message invalidates."""
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
            transaction.note_invalidation(self, message)  # which removes the keys later
        reply: R = await proceed(message)
        return reply
