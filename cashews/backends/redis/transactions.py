"""Transactions on a server: the state of a key, and many writes in one script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.encoding import UNREADABLE, Values, in_slices
from cashews.backends.redis.commands import FENCE, LOCKS, lifetime, member, raw
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.scripts import COMMIT, PEEK
from cashews.backends.redis.tagged import bare, headed
from cashews.backends.redis.wire import Word

OUTCOMES: Final = {1: m.CommitOutcome.COMMITTED, 0: m.CommitOutcome.LOST}


class Commits:
    """The messages of transactions; each takes one round trip.

    `flush` has everything carried out that was sent before on other connections: a load's value may be on its way.
    """

    def __init__(self, at: Callable[[str], Connection], values: Values, flush: Callable[[], Awaitable[None]]) -> None:
        self._at = at
        self._values = values
        self._flush = flush

    @property
    def table(self) -> Mapping[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]]:
        """What serves each type of message."""
        return {m.Peek: self.peek, m.Commit: self.commit}

    async def peek(self, message: m.Peek) -> m.State:
        key = message.key
        kind, found, left, tags = await PEEK.ask(self._at(key), (key,))
        remaining = None if left < 0 else left / 1000
        if kind == b"none":
            return m.State()
        if kind == b"set":
            return m.State(members=frozenset(map(member, found)), left=remaining)
        if kind != b"string":
            return m.State(foreign=kind.decode(), left=remaining)
        value = await self._values.decode(key, bare(found), ABSENT)
        foreign = UNREADABLE if value is ABSENT else ""
        return m.State(value, foreign=foreign, left=remaining, tags=tuple(map(member, tags)))

    async def commit(self, message: m.Commit) -> m.CommitOutcome:
        await self._flush()
        words: list[Word] = [len(message.locks), *(token for _, token in message.locks)]
        words += (len(message.tags), *message.tags)
        for command in await in_slices(self._command(write) for write in message.writes):
            words += (len(command), *command)
        locks = tuple(LOCKS + name for name, _ in message.locks)
        return OUTCOMES[await COMMIT.ask(self._at(""), (FENCE, *locks, *message.keys), *words)]

    async def _command(self, write: m.Write) -> tuple[Word, ...]:
        """Return a write in the language of the script; nothing for one whose permit is void."""
        if not isinstance(write, m.Set):
            return WORDS[write.__class__](write)
        if write.permit is not None and write.permit.void:
            return ()
        value = await self._values.encode(write.key, write.value, write.expire)
        if not isinstance(write, m.SetTagged):
            return "set", write.key, value, lifetime(write.expire), ""
        since = "" if write.since is None else write.since
        return "set", write.key, headed(value, write.tags), lifetime(write.expire), since, *write.tags


def _set_raw(write: m.SetRaw) -> tuple[Word, ...]:
    return "set", write.key, raw(write.value), lifetime(write.expire), ""


def _delete(write: m.Delete) -> tuple[Word, ...]:
    return "del", write.key


def _incr(write: m.Incr) -> tuple[Word, ...]:
    return "incr", write.key, write.value, lifetime(write.expire)


def _expire(write: m.Expire) -> tuple[Word, ...]:
    return "expire", write.key, lifetime(write.timeout)


def _set_add(write: m.SetAdd) -> tuple[Word, ...]:
    return "sadd", write.key, lifetime(write.expire), *write.values


def _set_remove(write: m.SetRemove) -> tuple[Word, ...]:
    return "srem", write.key, *write.values


WORDS: Final[Mapping[type[m.Write], Callable[[Any], tuple[Word, ...]]]] = {
    m.SetRaw: _set_raw,
    m.Delete: _delete,
    m.Incr: _incr,
    m.Expire: _expire,
    m.SetAdd: _set_add,
    m.SetRemove: _set_remove,
}
"""The writes that need no encoding, in the language of the script."""
