"""The turns of locks on one shelf. Locks have a table of their own, so they are never evicted, scanned or cleared."""

from __future__ import annotations

import math

from cashews import messages as m
from cashews.backends.disk.escaping import unescape
from cashews.backends.disk.keys import PAGE, FileCursor
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.values import deadline_in
from cashews.keys.pattern import matcher

MICRO = 1_000_000
NEXT = "SELECT key, deadline FROM cashews_locks WHERE key > ? ORDER BY key LIMIT ?"
FENCE = "fence"
"""The name of the mark that holds the last fencing number."""


def set_lock(shelf: Shelf, message: m.SetLock, now: float) -> int:
    if time_left(shelf, message.key, now) is not None:
        return m.HELD
    if message.expire is not None and message.expire <= 0:
        return 0
    lock = (message.key, message.value, deadline_in(message.expire, now))
    shelf.sql("INSERT OR REPLACE INTO cashews_locks (key, token, deadline) VALUES (?, ?, ?)", lock)
    return _next_fence(shelf, now)


def _next_fence(shelf: Shelf, now: float) -> int:
    """Return the next fencing number: the time in microseconds, or the last number plus one if that is greater."""
    fence = max(int(now * MICRO), shelf.mark(FENCE) + 1)
    shelf.set_mark(FENCE, fence)
    return fence


def renew_lock(shelf: Shelf, message: m.RenewLock, now: float) -> bool:
    if not is_held(shelf, message.key, message.value, now):
        return False
    deadline = deadline_in(message.expire, now)
    shelf.sql("UPDATE cashews_locks SET deadline = ? WHERE key = ?", (deadline, message.key))
    return True


def unlock(shelf: Shelf, message: m.Unlock, now: float) -> bool:
    return release(shelf, message.key, message.value, now)


def release(shelf: Shelf, key: str, token: str, now: float) -> bool:
    """Release a lock and return whether the token held it."""
    was_held = is_held(shelf, key, token, now)
    shelf.sql("DELETE FROM cashews_locks WHERE key = ? AND token = ?", (key, token))
    return was_held


def is_held(shelf: Shelf, key: str, token: str, now: float) -> bool:
    """Say whether a token holds a lock."""
    held = "SELECT 1 FROM cashews_locks WHERE key = ? AND token = ? AND (deadline IS NULL OR deadline > ?)"
    return shelf.sql(held, (key, token, now)).fetchone() is not None


def lock_time_left(shelf: Shelf, message: m.LockTimeLeft, now: float) -> float | None:
    return time_left(shelf, message.key, now)


def time_left(shelf: Shelf, key: str, now: float) -> float | None:
    """Return the seconds until a lock is free, `None` if it is free now."""
    found = shelf.sql("SELECT deadline FROM cashews_locks WHERE key = ?", (key,)).fetchone()
    if found is None:
        return None
    (deadline,) = found
    if deadline is None:
        return math.inf
    return deadline - now if deadline > now else None


def break_lock(shelf: Shelf, message: m.BreakLock, now: float) -> bool:
    was_held = time_left(shelf, message.key, now) is not None
    shelf.sql("DELETE FROM cashews_locks WHERE key = ?", (message.key,))
    return was_held


def list_locks(shelf: Shelf, message: m.ListLocks, now: float) -> m.Page[tuple[str, float]]:
    cursor = message.cursor if isinstance(message.cursor, FileCursor) else FileCursor()
    rows = shelf.sql(NEXT, (cursor.after or "", PAGE)).fetchall()
    matches = matcher(message.pattern)
    held = [
        (key, math.inf if deadline is None else deadline - now)
        for key, deadline in rows
        if matches(unescape(key)) and (deadline is None or deadline > now)
    ]
    return m.Page(held, FileCursor(cursor.shard, after=rows[-1][0]) if len(rows) == PAGE else None)
