"""The commands of transactions: the state of a key, and many writes in one script. `command(remote, message)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.actors.slices import in_slices
from cashews.backends.encoding import UNREADABLE, one_by_one
from cashews.backends.redis.layout import bare, headed, lock_key, raw
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.scripts import COMMIT, PEEK
from cashews.backends.redis.servers import Place
from cashews.backends.redis.wire import Word, array, blob, integer, lifetime


async def peek(remote: Remote, message: m.Peek) -> m.State:
    key = message.key
    kind, found, left, tags = array(await PEEK.ask(remote.at(key), (key,)), 4)
    remaining = None if integer(left) < 0 else left / 1000
    if kind == b"none":
        return m.State()
    if kind == b"set":
        return m.State(members=frozenset(remote.texts(array(found))), left=remaining)
    if kind != b"string":
        return m.State(foreign=blob(kind).decode("utf-8", "replace"), left=remaining)
    value = await remote.values.decode(key, bare(blob(found)), ABSENT)
    foreign = UNREADABLE if value is ABSENT else ""
    return m.State(value, foreign=foreign, left=remaining, tags=tuple(remote.texts(array(tags))))


async def commit(remote: Remote, message: m.Commit) -> m.CommitOutcome:
    servers = remote.servers
    place = _place_of(remote, message) if servers.is_cluster else servers.first
    await servers.flush()
    keys: list[Word] = []
    words: list[Word] = [len(message.locks)]
    async for name, token in in_slices(message.locks):
        keys.append(lock_key(name, place.anchor))
        words.append(token)
    words += (len(message.tags), *message.tags)
    written = await one_by_one(_words_of(remote, write) for write in message.writes)
    async for write, its in in_slices(zip(message.writes, written, strict=True)):
        keys.append(write.key)
        words += (len(its), *its)
    reply = integer(await COMMIT.ask(place, tuple(keys), *words))
    return m.CommitOutcome.COMMITTED if reply else m.CommitOutcome.LOST


def _place_of(remote: Remote, message: m.Commit) -> Place:
    """Return the place of all keys and locks of a commit on a cluster.

    :raises CrossSlotError: if there is none
    """
    locked = (name.partition(m.TRANSACTION)[0] for name, _ in message.locks)
    return remote.servers.together(chain((write.key for write in message.writes), locked))


async def _words_of(remote: Remote, write: m.Write) -> tuple[Word, ...]:
    """Return a write in the words of the script; no words if its permit is void."""
    if isinstance(write, m.SetRaw):
        value = raw(write.value)
        return _set(write, value) if remote.fits(value) else _delete(remote, write)
    if not isinstance(write, m.Set):
        return WORDS[write.__class__](remote, write)
    if write.permit is not None and write.permit.void:
        return ()
    value = await remote.values.encode(write.key, write.value, write.expire)
    if not remote.fits(value):
        return _delete(remote, write)
    if not isinstance(write, m.SetTagged):
        return _set(write, value)
    since = "" if write.since is None else write.since
    stored = headed(value, write.tags) if write.tags else value
    return "set", write.key, stored, lifetime(write.expire), since, len(write.tags), *write.overtaking


def _set(write: m.Set | m.SetRaw, value: Word) -> tuple[Word, ...]:
    return "set", write.key, value, lifetime(write.expire), "", 0


def _delete(remote: Remote, write: m.Set | m.SetRaw | m.Delete) -> tuple[Word, ...]:
    return "del", write.key, remote.at(write.key).tells


def _incr(_: Remote, write: m.Incr) -> tuple[Word, ...]:
    return "incr", write.key, write.value, lifetime(write.expire)


def _expire(_: Remote, write: m.Expire) -> tuple[Word, ...]:
    return "expire", write.key, lifetime(write.timeout)


def _set_add(_: Remote, write: m.SetAdd) -> tuple[Word, ...]:
    return "sadd", write.key, lifetime(write.expire), *write.values


def _set_remove(_: Remote, write: m.SetRemove) -> tuple[Word, ...]:
    return "srem", write.key, *write.values


WORDS: Final[Mapping[type[m.Write], Callable[[Remote, Any], tuple[Word, ...]]]] = {
    m.Delete: _delete,
    m.Incr: _incr,
    m.Expire: _expire,
    m.SetAdd: _set_add,
    m.SetRemove: _set_remove,
}
"""The writes that need no encoding, in the words of the script."""
