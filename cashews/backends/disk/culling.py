"""Culling: expired rows are removed, values are evicted at the size limit, one that can never fit is refused."""

from __future__ import annotations

from typing import Final

from cashews.backends.disk.files import Stored
from cashews.backends.disk.shelf import Shelf

EXPIRED: Final = (
    "SELECT rowid, filename FROM Cache WHERE expire_time IS NOT NULL AND expire_time <= ? ORDER BY expire_time LIMIT ?"
)
SWEEP_INTERVAL: Final = 1.0
"""The least seconds between two sweeps of expired structures and locks."""
SWEEPS: Final = (
    "DELETE FROM cashews_kept WHERE rowid IN (SELECT rowid FROM cashews_kept WHERE deadline <= ? LIMIT ?)",
    "DELETE FROM cashews_locks WHERE key IN (SELECT key FROM cashews_locks WHERE deadline <= ? LIMIT ?)",
)
MOST_SWEPT: Final = 1_000
"""The most structures, and the most locks, that one sweep removes; the next batch continues."""
MOST_CULLED: Final = 5_000
"""The most values that one batch culls, however many it has stored: other askers wait for the batch."""


def fits(shelf: Shelf, value: Stored) -> bool:
    """Say whether a value alone would leave the file below `size_limit`."""
    if isinstance(value, bytes):
        return len(value) < shelf.room or not value
    return not isinstance(value, str) or len(value.encode()) < shelf.room or not value


def cull(shelf: Shelf, now: float) -> None:
    """Remove expired rows, and values beyond the size limit: at most `cull_limit` values for each one stored."""
    if now >= shelf.sweep_at or now < shelf.sweep_at - SWEEP_INTERVAL:
        _sweep(shelf, now)
    limit = min(shelf.stored * shelf.settings.cull_limit, MOST_CULLED)
    if not limit:
        return
    expired = shelf.sql(EXPIRED, (now, limit)).fetchall()
    shelf.drop_all("Cache", expired)
    shelf.expired = len(expired)
    _evict(shelf, limit - len(expired))


def _sweep(shelf: Shelf, now: float) -> None:
    swept = [shelf.sql(sweep, (now, MOST_SWEPT)).rowcount for sweep in SWEEPS]
    shelf.sweep_at = now if MOST_SWEPT in swept else now + SWEEP_INTERVAL
    shelf.remove_after_commit(shelf.orphans.find(shelf.sql, now))


def _evict(shelf: Shelf, limit: int) -> None:
    """Evict one value at a time; stop as soon as the file is below `size_limit`."""
    select = shelf.settings.eviction_sql
    while limit > 0 and select is not None and volume(shelf) >= shelf.settings.size_limit:
        evicted = shelf.sql(select.format(fields="rowid, filename", now=0), (1,)).fetchall()
        if not evicted:
            return
        shelf.drop_all("Cache", evicted)
        shelf.evicted += 1
        limit -= 1


def volume(shelf: Shelf) -> int:
    """Return the bytes that a file takes, together with the files of its large values."""
    pages: int = shelf.sql("PRAGMA page_count").fetchone()[0] - shelf.sql("PRAGMA freelist_count").fetchone()[0]
    size: int = shelf.sql("SELECT value FROM Settings WHERE key = 'size'").fetchone()[0]
    return pages * shelf.settings.page_size + size
