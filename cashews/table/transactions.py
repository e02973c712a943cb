"""The turns of transactions: `turn(table, message, now)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from cashews import messages as m
from cashews._dataclass import replace
from cashews._steps import Steps, finished, slices_of
from cashews._typing import ABSENT
from cashews.structures.kinds import Foreign, Members, counter, integer
from cashews.table.keyspace import Table
from cashews.table.structures import find_structure, set_add, set_remove
from cashews.table.tags import set_tagged
from cashews.table.values import delete, expire, incr, require_storable, set_, set_raw
from cashews.table.wheel import NEVER


def peek(table: Table, message: m.Peek, now: float) -> m.State:
    place = table.find(message.key, now)
    if place is None:
        return m.State()
    columns, row = place
    content, deadline = columns.contents[row], columns.deadlines[row]
    left = None if deadline == NEVER else deadline - now
    if columns is table.values:
        return m.State(content, left=left, tags=table.tag_index.of(message.key))
    if isinstance(content, Members):
        return m.State(members=frozenset(content), left=left)
    return m.State(foreign=type(content).__name__, left=left)


def restore(table: Table, key: str, state: m.State, now: float) -> None:
    """Give an absent key a state that was peeked at in another store."""
    if state.value is not ABSENT:
        table.store(None, key, state.value, state.left, now)
        if state.tags:
            table.tag_index.put(key, state.tags)
    elif not state.absent:
        structure = Foreign(state.foreign) if state.members is None else Members(state.members)
        table.set_deadline(table.structures, table.structures.add(key, structure), state.left, now)


def commit(table: Table, message: m.Commit, now: float) -> m.CommitOutcome:
    """Apply all writes or none.

    :raises WrongTypeError: if one does not fit the stored type
    :raises CounterOverflowError: if one would take its counter out of range
    :raises EncodeError: if a value can be used only once
    """
    if message.locks and not _holds(table, message.locks, now):
        return m.CommitOutcome.LOST
    writes = message.writes
    _check(table, writes, now, {}, set())
    if message.tags:
        writes = tuple(_not_overtaken(table, writes))
        finished(_delete_tagged(table, message.tags, now))
    _apply(table, writes, now)
    if message.locks:
        _release(table, message.locks, now)
    return m.CommitOutcome.COMMITTED


def commit_in_steps(table: Table, message: m.Commit, now: float) -> Steps[m.CommitOutcome]:
    """Apply all writes or none, as `commit` does, with a pause after every step of a millisecond.

    The caller keeps others from the table during a pause: they would see half of the writes.
    """
    if not _holds(table, message.locks, now):
        return m.CommitOutcome.LOST
    counters, removed = dict[str, int](), set[str]()
    kept: list[m.Write] = []
    for writes in slices_of(message.writes):
        _check(table, writes, now, counters, removed)
        kept += _not_overtaken(table, writes) if message.tags else writes
        yield
    if message.tags:
        yield from _delete_tagged(table, message.tags, now)
    for writes in slices_of(kept):
        _apply(table, writes, now)
        yield
    _release(table, message.locks, now)
    return m.CommitOutcome.COMMITTED


def _holds(table: Table, locks: Iterable[tuple[str, str]], now: float) -> bool:
    """Say whether every lock is still held under its token, and nobody holds those without one."""
    held = table.locks
    return all(held.is_held(key, token, now) if token else held.seconds_left(key, now) is None for key, token in locks)


def _release(table: Table, locks: Iterable[tuple[str, str]], now: float) -> None:
    for key, token in locks:
        table.locks.release(key, token, now)


def _delete_tagged(table: Table, tags: tuple[str, ...], now: float) -> Steps[None]:
    doomed = table.doom(tags)
    while table.delete_doomed(doomed, now):
        yield


def _not_overtaken(table: Table, writes: Iterable[m.Write]) -> Iterator[m.Write]:
    """Yield the writes without results of loads that a deletion of tags has overtaken.

    That is told before the commit deletes tags itself, which comes before its writes and overtakes none of them.
    """
    for write in writes:
        if not isinstance(write, m.SetTagged) or write.since is None:
            yield write
        elif not table.tag_index.overtaken(write.overtaking, write.since):
            yield replace(write, since=None)


def _apply(table: Table, writes: Iterable[m.Write], now: float) -> None:
    for write in writes:
        WRITES[write.__class__](table, write, now)


def _check(table: Table, writes: Iterable[m.Write], now: float, counters: dict[str, int], removed: set[str]) -> None:
    """Raise the error that the writes would raise, one after the other, and change nothing.

    :param counters: the values of the counters after the writes that were looked at before
    :param removed: the keys that those removed
    """
    for write in writes:
        if isinstance(write, (m.Set, m.SetRaw)):
            require_storable(write.key, write.value)
        elif isinstance(write, m.Delete):
            removed.add(write.key)
        elif isinstance(write, m.Incr):
            counter(write.key, write.value)
            place = table.find(write.key, now)
            stored = 0 if place is None else integer(write.key, place[0].contents[place[1]])
            before = counters.get(write.key, stored)
            counters[write.key] = counter(write.key, before + write.value)
        elif isinstance(write, (m.SetAdd, m.SetRemove)) and write.key not in removed:
            find_structure(table, write.key, Members, now)


WRITES: Final[Mapping[type[m.Write], Callable[[Table, Any, float], Any]]] = {
    m.Set: set_,
    m.SetTagged: set_tagged,
    m.SetRaw: set_raw,
    m.Incr: incr,
    m.Expire: expire,
    m.Delete: delete,
    m.SetAdd: set_add,
    m.SetRemove: set_remove,
}
"""The turn of each message that a commit may contain."""
