"""The commands that are one message each, for all that takes messages: a cache, and a backend by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from typing import Any, Final, TypeVar

from cashews import messages as m
from cashews._arguments import (
    MOST_MEMBERS,
    bit_indexes,
    bit_size,
    integer,
    lock_name,
    many_texts,
    number,
    text,
    text_pairs,
    texts,
)
from cashews._typing import ABSENT, NOT_NOW, Duration
from cashews.actors.slices import in_slices, in_steps
from cashews.backends.direct import SHUT, StraightLines
from cashews.exceptions import WrongArgumentError
from cashews.keys.tags import TagRules, tags_of
from cashews.messages import Message, Paged
from cashews.structures.raw import plain
from cashews.ttl import LONGEST, seconds

R = TypeVar("R")
Item = TypeVar("Item")
NO_TAGS: Final[tuple[str, ...]] = ()


class Commands(ABC):
    """The commands. Keys are text; every `expire` is a duration (see `cashews.ttl`), `None` for no expiry.

    Each command may raise the errors of `Engine.ask`. A wrong duration is a WrongTTLError, any other wrong argument a
    WrongArgumentError; nothing has happened then.
    """

    __slots__ = ()

    _tag_rules: TagRules = TagRules()
    """The tags by key; a backend by itself has none."""
    _straight: StraightLines = SHUT
    """The ways of one value without a message; a cache has those of its engine."""

    @abstractmethod
    def _ask(self, message: Message[R]) -> Awaitable[R]:
        """Post a message and return its reply."""

    @abstractmethod
    def _pages(self, message: Paged[Item]) -> AsyncIterator[Item]:
        """Return an iterator over the items of every page."""

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        if type(key) is not str:  # spares most calls the check
            text("key", key)
        look = self._straight.look  # by a name of its own: to call an attribute of an object takes longer
        found = look(key)
        if found is NOT_NOW:
            return await self._ask(m.Get(key, default))
        return default if found is ABSENT else found

    async def get_raw(self, key: str, default: Any = None) -> Any:
        """Return a value that `set_raw` stored, without decoding it."""
        return await self._ask(m.GetRaw(text("key", key), default))

    async def get_many(self, *keys: str, default: Any = None) -> tuple[Any, ...]:
        """Return the values of several keys, in their order, the default for each key that is absent."""
        return await self._ask(m.GetMany(await in_steps(many_texts("keys", keys)), default)) if keys else ()

    def get_match(self, pattern: str, batch_size: int = 100) -> AsyncIterator[tuple[str, Any]]:
        """Iterate over the pairs whose key matches; `*` stands for any text."""
        return self._pages(m.GetMatch(text("pattern", pattern), integer("batch_size", batch_size, 1)))

    def scan(self, pattern: str, batch_size: int = 100) -> AsyncIterator[str]:
        """Iterate over the keys that match; `*` stands for any text."""
        return self._pages(m.Scan(text("pattern", pattern), integer("batch_size", batch_size, 1)))

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
                return await self._ask(m.SetTagged(key, value, lifetime, _exist(exist), None, tagging.tags))
        if type(key) is not str:  # each of these spares most calls a check
            text("key", key)
        if expire is not None and (type(expire) is not int or not 0 < expire < LONGEST):
            expire = seconds(expire, "expire")
        if exist is None:
            put = self._straight.put  # as in `get`
            stored = put(key, value, expire)
            if stored is not NOT_NOW:
                return stored
        return await self._ask(m.Set(key, value, seconds(expire), _exist(exist)))

    async def set_raw(self, key: str, value: Any, expire: Duration | None = None) -> bool:
        """Store bytes, text, an integer of 64 bits or a number but NaN without encoding it; says whether it was stored.

        A value of a subclass of these types is stored as its plain value.
        """
        return await self._ask(m.SetRaw(text("key", key), plain(value), seconds(expire, "expire")))

    async def set_many(self, pairs: Mapping[str, Any], expire: Duration | None = None) -> None:
        """Store several values under one time to live; those with tags of `register_tag` one by one."""
        given = await in_steps(text_pairs("pairs", pairs))
        lifetime = seconds(expire, "expire")
        async for key in in_slices(tuple(given) if self._tag_rules.rules else ()):
            if tags := self._tag_rules.of(key):
                await self._ask(m.SetTagged(key, given.pop(key), lifetime, tags=tags))
        if given:
            await self._ask(m.SetMany(given, lifetime))

    async def incr(
        self, key: str, value: int = 1, expire: Duration | None = None, tags: Iterable[str] = NO_TAGS
    ) -> int:
        """Add to a counter and return it; `expire` counts from its creation.

        :param tags: the tags of a counter that this creates, besides those of `register_tag`
        :raises WrongTypeError: if the value of the key is no integer
        :raises CounterOverflowError: if the counter would leave the range of a signed 64-bit integer
        """
        by, lifetime = integer("value", value), seconds(expire, "expire")
        tagging = self._tagging(text("key", key), tags)
        if tagging is not None:  # it begins at 0, unless it is there
            await self._ask(m.SetTagged(key, 0, lifetime, exist=False, tags=tagging.tags))
        return await self._ask(m.Incr(key, by, lifetime))

    async def exists(self, key: str) -> bool:
        """Say whether a key holds a live value."""
        return await self._ask(m.Exists(text("key", key)))

    async def delete(self, key: str) -> bool:
        """Remove a key; says whether it held a live value."""
        return await self._ask(m.Delete(text("key", key)))

    async def delete_many(self, *keys: str) -> None:
        """Remove several keys."""
        if keys:
            await self._ask(m.DeleteMany(await in_steps(many_texts("keys", keys))))

    async def delete_match(self, pattern: str) -> None:
        """Remove the keys that match, on every backend that may hold some; `*` stands for any text."""
        await self._ask(m.DeleteMatch(text("pattern", pattern)))

    async def delete_tags(self, *tags: str) -> None:
        """Remove every value that carries one of the tags, on every backend.

        A value whose load began before is not stored any more, in any process.
        """
        if tags:
            await self._ask(m.DeleteTags(tags_of(tags)))

    async def get_key_tags(self, key: str) -> tuple[str, ...]:
        """Return the tags that the value of a key carries; none if there is no value."""
        return await self._ask(m.GetKeyTags(text("key", key)))

    async def expire(self, key: str, timeout: Duration | None) -> bool:
        """Give a live key another time to live, `None` for ever; says whether there was one."""
        return await self._ask(m.Expire(text("key", key), seconds(timeout, "timeout")))

    async def get_expire(self, key: str) -> int:
        """Return the seconds a key has left, rounded up; -1 without expiry, -2 absent."""
        return await self._ask(m.GetExpire(text("key", key)))

    async def get_size(self, key: str) -> int:
        """Return how many bytes a key takes, roughly; 0 for an absent one."""
        return await self._ask(m.GetSize(text("key", key)))

    async def get_keys_count(self) -> int:
        """Return the number of live keys, on all backends together."""
        return await self._ask(m.GetKeysCount())

    async def ping(self, message: bytes | None = None) -> bytes:
        """Ask whether the store answers: echoes the message, or returns ``b"PONG"``.

        :raises CacheBackendInteractionError: if it cannot be reached, also where failures are suppressed
        """
        if message is not None and not _is_bytes(message):
            raise WrongArgumentError("message", message, "bytes")
        return await self._ask(m.Ping(message))

    async def clear(self) -> None:
        """Remove every value of every backend."""
        await self._ask(m.Clear())

    async def get_bits(self, key: str, *indexes: int, size: int = 1) -> tuple[int, ...]:
        """Return unsigned fields of `size` bits, 1 to 63; a key holds up to 2**30 bits."""
        message = m.GetBits(text("key", key), bit_indexes(indexes, bit_size(size)), bit_size(size))
        return await self._ask(message)

    async def incr_bits(self, key: str, *indexes: int, size: int = 1, by: int = 1) -> tuple[int, ...]:
        """Add to unsigned fields of `size` bits, 1 to 63, and return them; a field stays within its range.

        A key holds up to 2**30 bits (128 MiB), and takes the room up to the last field that was written.
        """
        message = m.IncrBits(text("key", key), bit_indexes(indexes, bit_size(size)), bit_size(size), integer("by", by))
        return await self._ask(message)

    async def slice_incr(
        self, key: str, start: float, end: float, maxvalue: int, expire: Duration | None = None
    ) -> int:
        """Count an event at `end` in the window (`start`, `end`]; `maxvalue` + 1 says that there was no room for it."""
        window = number("start", start), number("end", end), integer("maxvalue", maxvalue)
        return await self._ask(m.SliceIncr(text("key", key), *window, seconds(expire, "expire")))

    async def set_add(self, key: str, *values: str, expire: Duration | None = None) -> None:
        """Add members to a set; it lives at least as long as the longest `expire` it was given."""
        await self._ask(m.SetAdd(text("key", key), texts("values", values), seconds(expire, "expire")))

    async def set_remove(self, key: str, *values: str) -> None:
        """Remove members from a set."""
        await self._ask(m.SetRemove(text("key", key), texts("values", values)))

    async def set_pop(self, key: str, count: int = 100) -> list[str]:
        """Remove and return up to `count` members of a set."""
        return await self._ask(m.SetPop(text("key", key), min(integer("count", count, 1), MOST_MEMBERS)))

    def locks(self, pattern: str = "*", batch_size: int = 100) -> AsyncIterator[tuple[str, float]]:
        """Iterate over the locks that are held, by whichever process: pairs of a key and the seconds it has left.

        They are infinite for a lock without a lease. The locks of transactions are among them where other processes may
        use the store, too; on memory a transaction has none.
        """
        return self._pages(m.ListLocks(text("pattern", pattern), integer("batch_size", batch_size, 1)))

    async def set_lock(self, key: str, value: str, expire: Duration | None) -> bool:
        """Take a lock with a token, for `expire`; says whether it was free."""
        message = m.SetLock(lock_name("key", key), text("value", value), seconds(expire, "expire"))
        fence: int = await self._ask(message)
        return fence > 0

    async def break_lock(self, key: str) -> bool:
        """Free a lock, whoever holds it; says whether it was held.

        It is for locks that nobody gives back. A body that runs under the lock is ended when its lease is to be
        renewed.
        """
        return await self._ask(m.BreakLock(text("key", key)))

    async def unlock(self, key: str, value: str) -> bool:
        """Release a lock that is held with this token; says whether it was."""
        return await self._ask(m.Unlock(text("key", key), text("value", value)))

    async def is_locked(self, key: str) -> bool:
        """Say whether a lock is held."""
        return await self._ask(m.LockTimeLeft(text("key", key))) is not None


def _exist(given: object) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    raise WrongArgumentError("exist", given, "True, False or None")


def _is_bytes(given: object) -> bool:
    return isinstance(given, bytes)
