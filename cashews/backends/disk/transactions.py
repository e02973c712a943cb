"""The turns of transactions on one shelf: the whole state of a key, and commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cashews import messages as m
from cashews._dataclass import replace
from cashews._typing import ABSENT
from cashews.backends.disk import structures as s
from cashews.backends.disk import values as v
from cashews.backends.disk.files import shard_of
from cashews.backends.disk.locks import is_held, release, time_left
from cashews.backends.disk.rows import ValueRow
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.tags import delete_tags, not_overtaken, set_tagged


def peek(shelf: Shelf, message: m.Peek, now: float) -> m.State:
    found = shelf.find(message.key, now)
    if found is None:
        return m.State()
    left = None if found.deadline is None else found.deadline - now
    if isinstance(found, ValueRow):
        value = v.read(shelf, found, now)
        tags = shelf.tags(message.key)
        return m.State(value, tags=tags, foreign="a value without its file" if value is ABSENT else "", left=left)
    if found.kind == s.MEMBERS:
        return m.State(members=frozenset(s.members(shelf, message.key)), left=left)
    return m.State(foreign=found.kind, left=left)


def commit(shelf: Shelf, message: m.Commit, now: float) -> m.CommitOutcome:
    """Apply all writes of a commit, or none of them if one raises.

    :raises WrongTypeError: if a write does not fit the type that its key holds
    :raises CounterOverflowError: if a write would take its counter out of range
    """
    if not are_locks_held(shelf, message, now):
        return m.CommitOutcome.LOST
    with shelf.savepoint():
        apply(shelf, message, now)
    return m.CommitOutcome.COMMITTED


def split(message: m.Commit, shards: int) -> Mapping[int, m.Commit]:
    """Return the parts of a commit by the number of their file."""
    everywhere = range(shards if message.tags else 0)  # any file may have values that carry the tags
    writes: dict[int, list[m.Write]] = {}
    locks: dict[int, list[tuple[str, str]]] = {}
    for write in message.writes:
        if isinstance(write, m.Set) and write.permit is not None and write.permit.void:
            continue
        writes.setdefault(shard_of(write.key, shards), []).append(write)
    for key, token in message.locks:
        locks.setdefault(shard_of(key, shards), []).append((key, token))
    return {
        shard: m.Commit(tuple(locks.get(shard, ())), tuple(writes.get(shard, ())), message.tags)
        for shard in sorted({*writes, *locks, *everywhere} or {0})
    }


def are_locks_held(shelf: Shelf, message: m.Commit, now: float) -> bool:
    """Say whether a commit still holds all its locks, and nobody those that have no token."""
    return all(
        is_held(shelf, key, token, now) if token else time_left(shelf, key, now) is None for key, token in message.locks
    )


def apply(shelf: Shelf, message: m.Commit, now: float) -> m.Commit:
    """Apply a commit and release its locks; returns the commit without the writes that had no effect."""
    writes = not_overtaken(shelf, message.writes) if message.tags else message.writes
    delete_tags(shelf, message.tags)
    effective = [write for write in writes if _apply_write(shelf, write, now)]
    for key, token in message.locks:
        if token:
            release(shelf, key, token, now)
    return replace(message, writes=tuple(effective))


def _apply_write(shelf: Shelf, write: m.Write, now: float) -> bool:
    """Apply a write; returns whether it had an effect. A value is refused if its tags were deleted during its load."""
    stored = WRITES[write.__class__](shelf, write, now)
    return bool(stored) or not isinstance(write, m.Set) or (write.expire is not None and write.expire <= 0)


WRITES: Final[Mapping[type[m.Write], Callable[[Shelf, Any, float], object]]] = {
    m.Set: v.set_,
    m.SetTagged: set_tagged,
    m.SetRaw: v.set_raw,
    m.Incr: v.incr,
    m.Expire: v.expire,
    m.Delete: v.delete,
    m.SetAdd: s.set_add,
    m.SetRemove: s.set_remove,
}
"""The turn of each kind of write."""
