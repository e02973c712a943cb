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
        self.running: dict[str, list[LoadPermit]] = {}
        """The permits by key, of loads in any thread. Engines look whether there are any, at each message."""

    def __len__(self) -> int:
        return len(self.all())

    def take(self, key: str, tagging: KnownTags | None = None) -> LoadPermit:
        """Return a permit for a load that is not shared; it counts until `drop`."""
        here = AMBIENT.get()
        permit = LoadPermit(key, None if here is None else here.invalidating, tagging)
        self.add(permit)
        return permit

    def add(self, permit: LoadPermit) -> None:
        """Have a permit count, or count for longer: until there were as many calls of `drop`."""
        running, key = self.running, permit.key
        if permit.over:
            permit.over = False
        first = [permit]
        if running.setdefault(key, first) is first:  # one step, which needs no guard: there was none
            return
        with SHARED:
            while (permits := running.setdefault(key, first)) is not first:
                permits.append(permit)
                if running.get(key) is permits:
                    return
                permits.remove(permit)  # the collector had emptied the list meanwhile, and removed it

    def add_all(self, permits: Iterable[LoadPermit]) -> None:
        """Have several new permits count."""
        with SHARED:
            for permit in permits:
                first = [permit]
                if self.running.setdefault(permit.key, first) is not first:  # in one step, as in `add`
                    self.add(permit)

    def drop_all(self, permits: Iterable[LoadPermit]) -> None:
        """Forget the permits of several loads that have ended."""
        with SHARED:
            for permit in permits:
                self._drop(permit)

    def drop(self, permit: LoadPermit) -> None:
        """Forget the permit of a load that has ended."""
        with SHARED:
            permits = self.running.get(permit.key)
            if permits is None or permits != [permit] or permit.unfollow is not None:
                self._drop(permit)
                return
            permits.clear()  # for a turn that has the list in hand, and in which the collector runs this
            del self.running[permit.key]
            permit.over = True

    def _drop(self, permit: LoadPermit) -> None:
        permits = self.running.get(permit.key, [])
        if permit in permits:  # unless they were all forgotten
            permits.remove(permit)
        if not permits:
            self.running.pop(permit.key, None)
        elif permit in permits:  # it counts once more
            return
        permit.over = True
        if permit.unfollow is not None:
            permit.unfollow()
            permit.unfollow = None

    def of(self, key: str) -> list[LoadPermit]:
        """Return the permits of a key."""
        with SHARED:
            return list(self.running.get(key, ()))

    def matching(self, pattern: str) -> Iterable[str]:
        """Return the keys with permits that match a pattern."""
        return filter(matcher(pattern), list(self.running))

    def all(self) -> list[LoadPermit]:
        """Return every permit."""
        with SHARED:
            return [permit for permits in list(self.running.values()) for permit in tuple(permits)]

    def forget_all(self) -> None:
        """Forget the permits of loads that run elsewhere: in the parent of a fork."""
        self.running.clear()

    def void(self, keys: Iterable[str], but: tuple[object, ...] = ()) -> None:
        """Void the permits of some keys.

        :param but: the `invalidate_further()` block, or the transactions, whose own permits stay valid
        """
        with SHARED:
            for key in keys:
                for permit in tuple(self.running.get(key, ())):
                    if permit.origin not in but:
                        permit.refuse()

    def overtake(self, keys: Iterable[str]) -> None:
        """Void the permits of keys that are changed here and now.

        A transaction that has stored the result of a load carries out its own later changes upon that.
        """
        here = AMBIENT.get()
        self.void(keys, but=() if here is None else here.transactions)

    def void_tagged(self, tags: tuple[str, ...]) -> None:
        """Void the permits of values that will carry one of some tags.

        If a result may still add tags, its permit stays valid but nobody joins its load any more: later calls load
        anew, and the store decides, by its mark of the load's beginning, whether the value may stay.
        """
        for permit in self.all():
            if permit.tagging is not None:
                permit.void = permit.void or not set(tags).isdisjoint(permit.tagging.tags)
                permit.joinable = permit.joinable and not (permit.void or permit.tagging.may_add(tags))

    def refuse(self, message: Message[Any]) -> None:
        """Void the permits of the keys that a message writes or removes."""
        if isinstance(message, DeleteTags):
            self.void_tagged(message.tags)
        else:
            self.overtake(message.keys if message.covers is None else self.matching(message.covers))

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

    def void(self, permits: Permits) -> None:
        """Void the permits of all changes."""
        permits.void(self._written)
        for removal in self._removals:
            permits.refuse(removal)


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
