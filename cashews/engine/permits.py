"""Permits of running loads: the value of a load is not stored if its key was written or invalidated meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from cashews.actors.shared import SHARED
from cashews.commands import Command, Effect
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.context import AMBIENT
from cashews.keys.pattern import matcher
from cashews.messages import DeleteTags, KnownTags, LoadPermit, Message, RenewLock, Set, UnwatchLock

R = TypeVar("R")
LATE: Final = (RenewLock, UnwatchLock)


class Permits(Interceptor):
    """The permits of the loads that run; a permit leaves the table when its load has ended, and never before.

    The engine voids the permits of the keys that a message writes or removes before the message goes on, and a store
    refuses a value under a void permit. So a value whose load began before does not stay, whether the value or the
    message comes first at the store.

    As an interceptor it tells transactions of the changes that take effect at their commit.

    The collector may end abandoned loads in the middle of any turn here, in the thread of that turn.
    """

    def __init__(self) -> None:
        self.running: dict[str, LoadPermit] = {}
        """The permit of each key, of loads in any thread; it goes in and out in one step each, which needs no guard."""
        self.beside: dict[str, list[LoadPermit]] = {}
        """Further permits of a key that has one, or had one when they came; `SHARED` guards them."""

    def __len__(self) -> int:
        return len(self.all())

    def __bool__(self) -> bool:
        """Say whether a load runs: engines ask at each message."""
        return bool(self.running or self.beside)

    def take(self, key: str, tagging: KnownTags | None = None) -> LoadPermit:
        """Return a permit for a load that is not shared; it counts until `drop`."""
        here = AMBIENT.get()
        permit = LoadPermit(key, None if here is None else here.invalidating, tagging)
        self.add(permit)
        return permit

    def add(self, permit: LoadPermit) -> None:
        """Have a permit count, or count for longer: until there were as many calls of `drop`."""
        permit.over = False
        if self.running.get(permit.key) is permit or self.running.setdefault(permit.key, permit) is not permit:
            self.add_beside(permit)

    def add_beside(self, permit: LoadPermit) -> None:
        """Have a permit count beside another one of its key."""
        with SHARED:
            mine = [permit]
            while (permits := self.beside.setdefault(permit.key, mine)) is not mine:
                permits.append(permit)
                if self.beside.get(permit.key) is permits:
                    return
                permits.remove(permit)  # the collector had emptied the list meanwhile, and removed it

    def add_all(self, permits: Iterable[LoadPermit]) -> None:
        """Have several new permits count."""
        for permit in permits:
            if self.running.setdefault(permit.key, permit) is not permit:
                self.add_beside(permit)

    def drop_all(self, permits: Iterable[LoadPermit]) -> None:
        """Forget the permits of several loads that have ended."""
        for permit in permits:
            self.drop(permit)

    def drop(self, permit: LoadPermit) -> None:
        """Forget the permit of a load that has ended."""
        if permit.followed or permit.key in self.beside:
            with SHARED:
                self._drop(permit)
        elif self.running.get(permit.key) is permit:
            del self.running[permit.key]
            permit.over = True

    def _drop(self, permit: LoadPermit) -> None:
        key = permit.key
        beside = self.beside.get(key, [])
        if permit in beside:
            beside.remove(permit)
            if not beside and self.beside.get(key) is beside:
                del self.beside[key]
        elif self.running.get(key) is permit:
            del self.running[key]
        if permit in beside or self.running.get(key) is permit:  # it counts once more
            return
        permit.over = True
        if permit.unfollow is not None:
            permit.unfollow()
            permit.unfollow = None

    def has(self, key: str) -> bool:
        """Say whether a load of a key runs."""
        return key in self.running or key in self.beside

    def of(self, key: str) -> list[LoadPermit]:
        """Return the permits of a key."""
        permit, beside = self.running.get(key), self.beside.get(key)
        permits = [] if permit is None else [permit]
        return permits if beside is None else permits + beside

    def keys(self) -> list[str]:
        """Return the keys of the loads that run; one may be there twice."""
        return [*self.running, *self.beside]

    def matching(self, pattern: str) -> Iterable[str]:
        """Return the keys with permits that match a pattern."""
        return filter(matcher(pattern), self.keys())

    def all(self) -> list[LoadPermit]:
        """Return every permit."""
        permits = list(self.running.values())
        if self.beside:
            with SHARED:
                permits += [permit for beside in list(self.beside.values()) for permit in tuple(beside)]
        return permits

    def forget_all(self) -> None:
        """Forget the permits of loads that run elsewhere: in the parent of a fork."""
        self.running.clear()
        self.beside.clear()

    def void(self, keys: Iterable[str], but: tuple[object, ...] = ()) -> None:
        """Void the permits of some keys.

        :param but: the `invalidate_further()` block, or the transactions, whose own permits stay valid
        """
        for key in keys:
            for permit in self.of(key):
                if permit.origin not in but:
                    permit.refuse()

    def overtake(self, keys: Iterable[str]) -> None:
        """Void the permits of keys that are changed here and now.

        A transaction that has stored the result of a load carries out its own later changes upon that.
        """
        here = AMBIENT.get()
        self.void(keys, but=() if here is None else here.transactions)

    def void_tagged(self, tags: tuple[str, ...], but: tuple[object, ...] = ()) -> None:
        """Void the permits of values that will carry one of some tags; `but` is that of `void`.

        If a result may still add tags, its permit stays valid but nobody joins its load any more: later calls load
        anew, and the store decides, by its mark of the load's beginning, whether the value may stay.
        """
        for permit in self.all():
            if permit.tagging is not None and permit.origin not in but:
                permit.void = permit.void or not set(tags).isdisjoint(permit.tagging.tags)
                permit.joinable = permit.joinable and not (permit.void or permit.tagging.may_add(tags))

    def refuse(self, message: Message[Any], but: tuple[object, ...] = ()) -> None:
        """Void the permits of the keys that a message writes or removes.

        :param but: the transactions whose commit it is: their own permits were voided when the message was sent
        """
        if isinstance(message, DeleteTags):
            self.void_tagged(message.tags, but)
            return
        keys = message.keys if message.covers is None else self.matching(message.covers)
        if but:
            self.void(keys, but)
        else:
            self.overtake(keys)

    def concerns(self, command: Command) -> bool:
        here = AMBIENT.get()
        return here is not None and bool(here.transactions)

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        here = AMBIENT.get()
        if here is not None and is_change(message):
            for transaction in here.transactions:
                transaction.note_change(self, message)  # it takes effect at the commit
        reply: R = await proceed(message)
        return reply


class Changes:
    """The writes and removals of a transaction: they void permits once more at the commit, when they take effect."""

    __slots__ = ("_removals", "_written")

    def __init__(self) -> None:
        self._written: set[str] = set()
        """The keys that were written or removed by name."""
        self._removals: list[Message[Any]] = []
        """The removals of keys that they do not name."""

    def note(self, change: Message[Any]) -> None:
        """Add a change."""
        if change.covers is None:
            self._written.update(change.keys)
        else:
            self._removals.append(change)

    def void(self, permits: Permits, but: tuple[object, ...]) -> None:
        """Void the permits of all changes; `but` is that of `Permits.void`."""
        permits.void(self._written, but)
        for removal in self._removals:
            permits.refuse(removal, but)


def is_change(message: Message[Any]) -> bool:
    """Say whether a message writes or removes keys; storing the outcome of a load is none."""
    if isinstance(message, Set):
        return message.permit is None
    return message.effect is Effect.WRITE or message.command is Command.CLEAR


def is_repeatable(message: Message[Any]) -> bool:
    """Say whether a message may be served twice: it reads, or every change in between would void its permit."""
    return message.effect is Effect.READ or (isinstance(message, Set) and message.permit is not None)


def is_late(message: Message[Any]) -> bool:
    """Say whether a message belongs to a load, a lock or a wait that began before: it opens no cache again."""
    return isinstance(message, LATE) or (isinstance(message, Set) and message.permit is not None)


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
