"""The turns about locks: `turn(table, message, now)`."""

from __future__ import annotations

from cashews import messages as m
from cashews.keys.pattern import matcher
from cashews.table.cursors import KeyCursor, TableCursor
from cashews.table.keyspace import PAGE, Table


def set_lock(table: Table, message: m.SetLock, now: float) -> int:
    return table.locks.take(message.key, message.value, message.expire, now)


def renew_lock(table: Table, message: m.RenewLock, now: float) -> bool:
    return table.locks.renew(message.key, message.value, message.expire, now)


def unlock(table: Table, message: m.Unlock, now: float) -> bool:
    return table.locks.release(message.key, message.value, now)


def lock_time_left(table: Table, message: m.LockTimeLeft, now: float) -> float | None:
    return table.locks.seconds_left(message.key, now)


def watch_lock(table: Table, message: m.WatchLock, now: float) -> bool:
    """Answer that every release is told: no other process has these locks, so there is nothing to do."""
    return True


def unwatch_lock(table: Table, message: m.UnwatchLock, now: float) -> None:
    return None


def break_lock(table: Table, message: m.BreakLock, now: float) -> bool:
    return table.locks.force(message.key, now)


def list_locks(table: Table, message: m.ListLocks, now: float) -> m.Page[tuple[str, float]]:
    cursor = message.cursor if isinstance(message.cursor, TableCursor) else KeyCursor(table.locks.keys())
    keys = filter(matcher(message.pattern), cursor.take(PAGE))
    held = [(key, left) for key in keys if (left := table.locks.seconds_left(key, now)) is not None]
    return m.Page(held, None if cursor.is_over else cursor)
