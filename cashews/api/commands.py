"""The commands of a cache, as users call them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import CoroutineType
from typing import Any, TypeVar, overload

from cashews import messages as m
from cashews._arguments import flag, lock_name, non_negative_duration, positive_duration, text
from cashews._typing import ABSENT, Duration
from cashews.api.face import Face
from cashews.api.filling import Filling
from cashews.backends.commands import NO_TAGS, Commands
from cashews.engine.coordinator.lock_context import LockContext
from cashews.guards.locked import LEASE
from cashews.messages import Message, Paged
from cashews.runners.call import Call, answer_of
from cashews.ttl import seconds

T = TypeVar("T")
R = TypeVar("R")
Item = TypeVar("Item")


class CommandAPI(Face, Commands):
    """The commands of every backend, and those that take more than one message."""

    def _ask(self, message: Message[R]) -> Awaitable[R]:
        return self._engine.ask(message)

    def _pages(self, message: Paged[Item]) -> AsyncIterator[Item]:
        return self._engine.pages(message)

    @overload
    async def get_or_set(
        self,
        key: str,
        default: Callable[[], Awaitable[T]],
        expire: Duration | None = None,
        *,
        tags: Iterable[str] = NO_TAGS,
    ) -> T: ...

    @overload
    async def get_or_set(
        self, key: str, default: Callable[[], T], expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> T: ...

    @overload
    async def get_or_set(
        self, key: str, default: Awaitable[T], expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> T: ...

    @overload
    async def get_or_set(
        self, key: str, default: T, expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> T: ...

    async def get_or_set(
        self, key: str, default: Any, expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> Any:
        """Return the value of a key; if there is none, store and return the default.

        Concurrent callers share one call of the default. If the key is invalidated while the default is worked out, the
        result is returned and not stored.

        :param default: a value, an awaitable, or a callable (plain or async), called only if the key is absent
        :param tags: the tags by which `delete_tags` finds the value, if it is stored
        """
        try:
            lifetime = seconds(expire, "expire")
            tagging = self._tagging(text("key", key), tags)
            counts = self._default_loader.observer.counts
            found = await self._engine.ask(m.Recall(key, ABSENT))
            if found is not ABSENT:
                counts.hits += 1
                return found
            counts.others += 1
            outcome, shared = await self._default_loader.load(Call((default, lifetime, tagging), {}, key))
            counts.shared += shared
            return answer_of(outcome, shared=shared)
        finally:
            if type(default) is CoroutineType:
                default.close()  # nothing to do if it has run

    def filling(self, key: str, *, overtaken_by: Iterable[str] = ()) -> Filling:
        """Return ``async with cache.filling(key) as filling``, the block of a load of your own.

        ``await filling.set(key, value, expire, tags)`` stores in it what the load has brought, unless the key or one of
        the tags was invalidated since the block began.

        :param overtaken_by: tags whose deletion, in whatever process, keeps everything of the load from being stored,
            though no value carries them
        """
        return Filling(self._engine, self._tag_rules, text("key", key), overtaken_by)

    def register_tag(self, tag: str, key_template: str) -> None:
        """Give a tag to all values whose keys fit a template, if they are stored from now on.

        It concerns `set`, `set_many`, `get_or_set` and the caching decorators.

        :param tag: may have fields of the key template: ``register_tag("user:{id}", "user:{id}:{page}")``
        :param key_template: each of its fields is the shortest text that makes the key fit
        :raises WrongKeyError: if a template cannot be understood
        :raises WrongTagError: if the tag has a field that the key template has not
        """
        self._tag_rules.add(text("tag", tag), text("key_template", key_template))

    def lock(
        self,
        key: str,
        expire: Duration | None = None,
        wait: bool = True,  # noqa: FBT001, FBT002  users of cashews 7 give it by position
        *,
        timeout: Duration | None = None,
        renew: bool = True,
        check_interval: float = 0,
    ) -> LockContext:
        """Return ``async with cache.lock(key, expire) as held``: the body runs alone, waiters follow in their order.

        The lease is renewed while the body runs. If it is lost all the same, since the store was out of reach for
        longer, the body is cancelled and the block raises LockedError. `held.fence` grows from one holder to the next.
        While `Command.SET_LOCK` is switched off the body runs without the lock, and `held.fence` is 0. One object may
        be entered by many tasks, each of which takes the lock in its turn.

        :param expire: the lease, 60 seconds if `None`: for how long a process that was killed blocks others
        :param wait: raise instead of waiting, if `False`
        :param timeout: how long entering may take at most, `None` for ever; with 0 the lock is tried once
        :param renew: let others in when the lease has passed, if `False`, whether the body runs or not
        :param check_interval: has no effect: waiters are woken, they do not poll
        :raises WrongArgumentError: if the lease is 0 or negative
        :raises LockedError: on entering, if this task holds the lock already, if another holds it and `wait` is
            `False`, or if it was not free within `timeout`; on leaving, if it was lost
        :raises LockRefusedError: on entering, if the store refuses the lock, or does not answer
        """
        given, patience = positive_duration("expire", expire), non_negative_duration("timeout", timeout)
        lease = LEASE if given is None else given
        waits, renews = flag("wait", wait), flag("renew", renew)
        return LockContext(self._locks_here, lock_name("key", key), lease, wait=waits, renew=renews, timeout=patience)

    async def break_lock(self, key: str) -> bool:
        broken = await super().break_lock(key)
        if broken:
            self._locks_here().wake(key)
        return broken

    async def unlock(self, key: str, value: str) -> bool:
        """Release a lock that is held with this token; says whether it was."""
        return await self._locks_here().release(text("key", key), text("value", value))

    async def is_locked(self, key: str, wait: Duration | None = None, step: float = 0.1) -> bool:
        """Say whether a lock is held, still after waiting for it to be released if `wait` says how long."""
        deadline = self._engine.clock.now() + (seconds(wait, "wait") or 0)
        return not await self._locks_here().until_free(text("key", key), deadline)
