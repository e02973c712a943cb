"""The commands of a cache, as users call them: each makes one message and asks the engine."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, overload

from cashews import messages as m
from cashews._arguments import (
    bit_indexes,
    bit_size,
    integer,
    mapping,
    non_negative_duration,
    number,
    positive_duration,
    text,
    texts,
)
from cashews._typing import ABSENT, Duration
from cashews.api.face import Face
from cashews.engine.coordinator.lock_context import LockContext
from cashews.exceptions import WrongArgumentError
from cashews.guards.locked import LEASE
from cashews.keys.tags import tags_of
from cashews.runners.call import Call, answer_of
from cashews.ttl import seconds

T = TypeVar("T")
NO_TAGS: Final[tuple[str, ...]] = ()


class CommandAPI(Face):
    """The commands. Keys are text; every `expire` is a duration (see `cashews.ttl`), `None` for no expiry.

    Each command may raise the errors of `Engine.ask`. A wrong duration is a WrongTTLError, any other wrong argument a
    WrongArgumentError; nothing has happened then.
    """

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        if type(key) is not str:  # spares most calls the check
            text("key", key)
        return await self._engine.ask(m.Get(key, default))

    async def get_raw(self, key: str, default: Any = None) -> Any:
        """Return a value that `set_raw` stored, without decoding it."""
        return await self._engine.ask(m.GetRaw(text("key", key), default))

    async def get_many(self, *keys: str, default: Any = None) -> tuple[Any, ...]:
        """Return the values of several keys, in their order, the default for each key that is absent."""
        return await self._engine.ask(m.GetMany(texts("keys", keys), default)) if keys else ()

    def get_match(self, pattern: str, batch_size: int = 100) -> AsyncIterator[tuple[str, Any]]:
        """Iterate over the pairs whose key matches; `*` stands for any text."""
        return self._engine.pages(m.GetMatch(text("pattern", pattern), integer("batch_size", batch_size, 1)))

    def scan(self, pattern: str, batch_size: int = 100) -> AsyncIterator[str]:
        """Iterate over the keys that match; `*` stands for any text."""
        return self._engine.pages(m.Scan(text("pattern", pattern), integer("batch_size", batch_size, 1)))

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
            found = await self._engine.ask(m.Recall(key, ABSENT))
            if found is not ABSENT:
                return found
            outcome, shared = await self._default_loader.load(Call((default, lifetime, tagging), {}, key))
            return answer_of(outcome, shared=shared)
        finally:
            if inspect.iscoroutine(default):
                default.close()  # nothing to do if it has run

    def _tagging(self, key: str, tags: Iterable[str]) -> m.KnownTags | None:
        if tags is NO_TAGS and not self._tag_rules.rules:  # spares most calls the checks
            return None
        every = (*self._tag_rules.of(key), *tags_of(tags))
        return m.KnownTags(tuple(dict.fromkeys(every))) if every else None

    async def set(
        self,
        key: str,
        value: Any,
        expire: Duration | None = None,
        exist: bool | None = None,  # noqa: FBT001  the specification's signature
        tags: Iterable[str] = NO_TAGS,
    ) -> bool:
        """Store a value; says whether it was stored.

        :param expire: 0 or negative stores nothing, and removes the value of the key
        :param exist: `True` stores only over a live value, `False` only where there is none
        :param tags: the tags by which `delete_tags` finds the value; a value that is stored anew has none but these,
            and those of `register_tag`
        """
        if tags is not NO_TAGS or self._tag_rules.rules:
            tagging = self._tagging(text("key", key), tags)
            if tagging is not None:
                lifetime = seconds(expire, "expire")
                return await self._engine.ask(m.SetTagged(key, value, lifetime, _exist(exist), None, tagging.tags))
        if type(key) is not str:  # each of these spares most calls a check
            text("key", key)
        if expire is not None:
            expire = seconds(expire, "expire")
        if exist is not None:
            exist = _exist(exist)
        return await self._engine.ask(m.Set(key, value, expire, exist))

    async def set_raw(self, key: str, value: Any, expire: Duration | None = None) -> bool:
        """Store a value without encoding it; says whether it was stored."""
        return await self._engine.ask(m.SetRaw(text("key", key), value, seconds(expire, "expire")))

    async def set_many(self, pairs: Mapping[str, Any], expire: Duration | None = None) -> None:
        """Store several values under one time to live; those with tags of `register_tag` one by one."""
        given = {text("key", key): value for key, value in mapping("pairs", pairs).items()}
        lifetime = seconds(expire, "expire")
        for key in tuple(given) if self._tag_rules.rules else ():
            if tags := self._tag_rules.of(key):
                await self._engine.ask(m.SetTagged(key, given.pop(key), lifetime, tags=tags))
        if given:
            await self._engine.ask(m.SetMany(given, lifetime))

    async def incr(self, key: str, value: int = 1, expire: Duration | None = None) -> int:
        """Add to a counter and return it; `expire` counts from its creation.

        :raises WrongTypeError: if the value of the key is no integer
        :raises CounterOverflowError: if the counter would leave the range of a signed 64-bit integer
        """
        return await self._engine.ask(m.Incr(text("key", key), integer("value", value), seconds(expire, "expire")))

    async def exists(self, key: str) -> bool:
        """Say whether a key holds a live value."""
        return await self._engine.ask(m.Exists(text("key", key)))

    async def delete(self, key: str) -> bool:
        """Remove a key; says whether it held a live value."""
        return await self._engine.ask(m.Delete(text("key", key)))

    async def delete_many(self, *keys: str) -> None:
        """Remove several keys."""
        if keys:
            await self._engine.ask(m.DeleteMany(texts("keys", keys)))

    async def delete_match(self, pattern: str) -> None:
        """Remove the keys that match, on every backend that may hold some; `*` stands for any text."""
        await self._engine.ask(m.DeleteMatch(text("pattern", pattern)))

    def register_tag(self, tag: str, key_template: str) -> None:
        """Give a tag to all values whose keys fit a template, if they are stored from now on.

        It concerns `set`, `set_many`, `get_or_set` and the caching decorators.

        :param tag: may have fields of the key template: ``register_tag("user:{id}", "user:{id}:{page}")``
        :param key_template: each of its fields is the shortest text that makes the key fit
        :raises WrongKeyError: if a template cannot be understood
        :raises WrongTagError: if the tag has a field that the key template has not
        """
        self._tag_rules.add(text("tag", tag), text("key_template", key_template))

    async def delete_tags(self, *tags: str) -> None:
        """Remove every value that carries one of the tags, on every backend.

        A value whose load began before is not stored any more, in any process.
        """
        if tags:
            await self._engine.ask(m.DeleteTags(tags_of(tags)))

    async def get_key_tags(self, key: str) -> tuple[str, ...]:
        """Return the tags that the value of a key carries; none if there is no value."""
        return await self._engine.ask(m.GetKeyTags(text("key", key)))

    async def expire(self, key: str, timeout: Duration | None) -> bool:
        """Give a live key another time to live, `None` for ever; says whether there was one."""
        return await self._engine.ask(m.Expire(text("key", key), seconds(timeout, "timeout")))

    async def get_expire(self, key: str) -> int:
        """Return the seconds a key has left, rounded up; -1 without expiry, -2 absent."""
        return await self._engine.ask(m.GetExpire(text("key", key)))

    async def get_size(self, key: str) -> int:
        """Return how many bytes a key takes, roughly; 0 for an absent one."""
        return await self._engine.ask(m.GetSize(text("key", key)))

    async def get_keys_count(self) -> int:
        """Return the number of live keys, on all backends together."""
        return await self._engine.ask(m.GetKeysCount())

    async def ping(self, message: bytes | None = None) -> bytes:
        """Ask whether the store answers: echoes the message, or returns ``b"PONG"``.

        :raises CacheBackendInteractionError: if it cannot be reached, also where failures are suppressed
        """
        if message is not None and not _is_bytes(message):
            raise WrongArgumentError("message", message, "bytes")
        return await self._engine.ask(m.Ping(message))

    async def clear(self) -> None:
        """Remove every value of every backend."""
        await self._engine.ask(m.Clear())

    async def get_bits(self, key: str, *indexes: int, size: int = 1) -> tuple[int, ...]:
        """Return unsigned fields of `size` bits, 1 to 63; a key holds up to 2**30 bits."""
        message = m.GetBits(text("key", key), bit_indexes(indexes, bit_size(size)), bit_size(size))
        return await self._engine.ask(message)

    async def incr_bits(self, key: str, *indexes: int, size: int = 1, by: int = 1) -> tuple[int, ...]:
        """Add to unsigned fields of `size` bits, 1 to 63, and return them; a field stays within its range.

        A key holds up to 2**30 bits (128 MiB), and takes the room up to the last field that was written.
        """
        message = m.IncrBits(text("key", key), bit_indexes(indexes, bit_size(size)), bit_size(size), integer("by", by))
        return await self._engine.ask(message)

    async def slice_incr(
        self, key: str, start: float, end: float, maxvalue: int, expire: Duration | None = None
    ) -> int:
        """Count an event at `end` in the window (`start`, `end`]; `maxvalue` + 1 says that there was no room for it."""
        window = number("start", start), number("end", end), integer("maxvalue", maxvalue)
        return await self._engine.ask(m.SliceIncr(text("key", key), *window, seconds(expire, "expire")))

    async def set_add(self, key: str, *values: str, expire: Duration | None = None) -> None:
        """Add members to a set; it lives at least as long as the longest `expire` it was given."""
        await self._engine.ask(m.SetAdd(text("key", key), texts("values", values), seconds(expire, "expire")))

    async def set_remove(self, key: str, *values: str) -> None:
        """Remove members from a set."""
        await self._engine.ask(m.SetRemove(text("key", key), texts("values", values)))

    async def set_pop(self, key: str, count: int = 100) -> list[str]:
        """Remove and return up to `count` members of a set."""
        return await self._engine.ask(m.SetPop(text("key", key), integer("count", count, 1)))

    # --- locks

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
        if not isinstance(wait, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  users' code
            raise WrongArgumentError("wait", wait, "True or False")
        return LockContext(self._locks, text("key", key), lease, wait=wait, renew=renew, timeout=patience)

    def locks(self, pattern: str = "*", batch_size: int = 100) -> AsyncIterator[tuple[str, float]]:
        """Iterate over the locks that are held, by whichever process: pairs of a key and the seconds it has left.

        They are infinite for a lock without a lease. The locks of transactions are among them.
        """
        return self._engine.pages(m.ListLocks(text("pattern", pattern), integer("batch_size", batch_size, 1)))

    async def break_lock(self, key: str) -> bool:
        """Free a lock, whoever holds it, and wake its first waiter; says whether it was held.

        It is for locks that nobody gives back. A body that runs under the lock is ended when its lease is to be
        renewed.
        """
        broken = await self._engine.ask(m.BreakLock(text("key", key)))
        if broken:
            self._locks.wake(key)
        return broken

    async def set_lock(self, key: str, value: str, expire: Duration | None) -> bool:
        """Take a lock with a token, for `expire`; says whether it was free."""
        message = m.SetLock(text("key", key), text("value", value), seconds(expire, "expire"))
        fence: int = await self._engine.ask(message)
        return fence > 0

    async def unlock(self, key: str, value: str) -> bool:
        """Release a lock that is held with this token; says whether it was."""
        return await self._locks.release(text("key", key), text("value", value))

    async def is_locked(self, key: str, wait: Duration | None = None, step: float = 0.1) -> bool:
        """Say whether a lock is held, still after waiting for it to be released if `wait` says how long."""
        deadline = self._engine.clock.now() + (seconds(wait, "wait") or 0)
        return not await self._locks.until_free(text("key", key), deadline)


def _exist(given: object) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    raise WrongArgumentError("exist", given, "True, False or None")


def _is_bytes(given: object) -> bool:
    return isinstance(given, bytes)
