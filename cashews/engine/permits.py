"""Permits of running loads: the value of a load is not stored if its key was invalidated while the load ran."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cashews.commands import Command
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.context import AMBIENT
from cashews.keys.pattern import matcher
from cashews.messages import DeleteTags, KnownTags, LoadPermit, Message

R = TypeVar("R")
INVALIDATING = frozenset(
    {Command.DELETE, Command.DELETE_MANY, Command.DELETE_MATCH, Command.DELETE_TAGS, Command.CLEAR}
)


class Permits(Interceptor):
    """The permits of the loads that run: for each key at most one that is shared, and any number that are not.

    As an interceptor it voids the permits of the keys that a message invalidates, before the message goes on; a store
    refuses a value under a void permit. So a value whose load began before the invalidation does not stay, whether the
    value or the invalidation comes first at the store.
    """

    def __init__(self) -> None:
        self.shared: dict[str, LoadPermit] = {}
        """Never a void one: a call that comes after the invalidation loads anew."""
        self._alone: dict[str, list[LoadPermit]] = {}

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self._alone.values()))

    def take(self, key: str, tagging: KnownTags | None = None) -> LoadPermit:
        """Return a permit for a load that is not shared; it counts until `drop`."""
        here = AMBIENT.get()
        permit = LoadPermit(key, None if here is None else here.invalidating, tagging)
        self._alone.setdefault(key, []).append(permit)
        return permit

    def keep(self, permit: LoadPermit) -> None:
        """Have a permit count beyond its load, until another `drop`: its value has not reached the store yet."""
        self._alone.setdefault(permit.key, []).append(permit)

    def drop(self, permit: LoadPermit) -> None:
        """Forget the permit of a load that was not shared."""
        permits = self._alone[permit.key]
        permits.remove(permit)
        if not permits:
            del self._alone[permit.key]

    def void(self, keys: Iterable[str], but: object | None = None) -> None:
        """Void the permits of some keys.

        :param but: the `invalidate_further()` block whose own permits stay valid
        """
        for key in keys:
            shared = self.shared.get(key)
            for permit in (*self._alone.get(key, ()), *((shared,) if shared else ())):
                permit.void = permit.void or but is None or permit.origin is not but
            if shared is not None and shared.void:
                del self.shared[key]

    def void_tagged(self, tags: tuple[str, ...]) -> None:
        """Void the permits of values that will carry one of some tags.

        If a result may still add tags, its permit stays valid but is no longer shared: later calls load anew, and the
        store decides, by its mark of the load's beginning, whether the value may stay.
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
        """Void the permits of the keys that a message invalidates."""
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
            transaction.note_invalidation(self, message)  # its removal takes effect at the commit
        reply: R = await proceed(message)
        return reply


class TakenPermit:
    """The block of a load that is not shared: its permit counts until the end of the block."""

    __slots__ = ("_permit", "_permits")

    def __init__(self, permits: Permits, permit: LoadPermit) -> None:
        self._permits = permits
        self._permit = permit

    def __enter__(self) -> LoadPermit:
        return self._permit

    def __exit__(self, *_: object) -> None:
        self._permits.drop(self._permit)
