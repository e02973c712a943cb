"""The turns about values on one shelf: `turn(shelf, message, now)`. What is stored has been encoded before."""

from __future__ import annotations

import math
from typing import Final

from cashews import messages as m
from cashews._typing import ABSENT, Absent
from cashews.backends.disk.files import BINARY, Stored
from cashews.backends.disk.shelf import Kept, Row, Shelf
from cashews.exceptions import CounterOverflowError, WrongTypeError
from cashews.serialize import HITS, HITS_PREFIX, next_hits
from cashews.structures.kinds import counter


def get(shelf: Shelf, message: m.Get | m.GetRaw, now: float) -> object:
    row = shelf.row(message.key, now)
    if row is None:
        return ABSENT
    return read(shelf, row, now)


def read(shelf: Shelf, row: Row, now: float) -> Stored | Absent:
    """Return the value of a row, and take note of the reading for the eviction policy.

    :raises GoneError: if its file has gone, and it is worth looking again
    """
    if shelf.settings.touch is not None:
        shelf.file.touched.append((row.rowid, now))
    return shelf.value(row)


def get_many(shelf: Shelf, message: m.GetMany, now: float) -> tuple[object, ...]:
    return tuple([get(shelf, m.Get(key), now) for key in message.keys])


def get_hit(shelf: Shelf, message: m.GetHit, now: float) -> object:
    row = shelf.row(message.key, now)
    if row is None:
        return ABSENT
    stored = read(shelf, row, now)
    if not (isinstance(stored, bytes) and stored.startswith(HITS_PREFIX)):
        return stored
    hits = next_hits(stored)
    counted = stored[: HITS.start] + hits + stored[HITS.stop :]
    if row.filename is None:
        shelf.change(row, counted)
    else:  # beside the transaction: a hit more or less is no matter
        shelf.file.overwrite(row.filename, HITS.start, hits)
    return counted


def deadline_in(expire: float | None, now: float) -> float | None:
    """Return when what lives for some seconds expires."""
    return None if expire is None or expire == math.inf else now + expire


def store(shelf: Shelf, key: str, value: object, expire: float | None, now: float) -> bool:
    """Store a value, or remove what the key holds if it has no time to live."""
    if expire is not None and expire <= 0:
        delete(shelf, m.Delete(key), now)
        return False
    assert isinstance(value, (bytes, str, int, float))
    shelf.put(key, value, deadline_in(expire, now), now)
    return True


def set_(shelf: Shelf, message: m.Set, now: float) -> bool:
    if message.exist is not None and message.exist is (shelf.find(message.key, now) is None):
        return False
    if message.permit is not None and message.permit.void:
        return False
    return store(shelf, message.key, message.value, message.expire, now)


def set_raw(shelf: Shelf, message: m.SetRaw, now: float) -> bool:
    return store(shelf, message.key, message.value, message.expire, now)


def set_many(shelf: Shelf, message: m.SetMany, now: float) -> None:
    for key, value in message.pairs.items():
        store(shelf, key, value, message.expire, now)


def incr(shelf: Shelf, message: m.Incr, now: float) -> int:
    found = shelf.find(message.key, now)
    if found is None:
        value = counter(message.key, message.value)
        store(shelf, message.key, value, message.expire, now)
        return value
    value = counter(message.key, integer(message.key, found) + message.value)
    assert isinstance(found, Row)
    shelf.change(found, value)
    return value


def integer(key: str, found: object) -> int:
    """Return the number that a counter has.

    :raises WrongTypeError: if it is none
    :raises CounterOverflowError: if it is an integer that none can have
    """
    if not isinstance(found, Row):
        raise WrongTypeError(key, getattr(found, "kind", "nothing"), "an integer")
    if type(found.value) is int:
        return found.value
    if isinstance(found.value, bytes) and found.value.removeprefix(b"-").isdigit():
        raise CounterOverflowError(key)
    raise WrongTypeError(key, "bytes" if found.mode == BINARY else "another value", "an integer")


def exists(shelf: Shelf, message: m.Exists, now: float) -> bool:
    return shelf.find(message.key, now) is not None


def delete(shelf: Shelf, message: m.Delete, now: float) -> bool:
    """Remove what a key holds, dead or unreadable as it may be; says whether it was there for us."""
    found = shelf.find(message.key, now)
    row = found if isinstance(found, Row) else shelf.any_row(message.key)
    if row is not None:
        shelf.drop(row)
    if isinstance(found, Kept):
        shelf.drop_kept(found)
    return found is not None


def delete_many(shelf: Shelf, message: m.DeleteMany, now: float) -> None:
    for key in message.keys:
        delete(shelf, m.Delete(key), now)


def expire(shelf: Shelf, message: m.Expire, now: float) -> bool:
    if message.timeout is not None and message.timeout <= 0:
        return delete(shelf, m.Delete(message.key), now)
    found = shelf.find(message.key, now)
    if found is not None:
        shelf.set_deadline(found, deadline_in(message.timeout, now))
    return found is not None


def get_expire(shelf: Shelf, message: m.GetExpire, now: float) -> int:
    found = shelf.find(message.key, now)
    if found is None:
        return -2
    if found.deadline is None or found.deadline == math.inf:  # the latter is of diskcache
        return -1
    return max(1, math.ceil(found.deadline - now - 1e-6))


def get_size(shelf: Shelf, message: m.GetSize, now: float) -> int:
    found = shelf.find(message.key, now)
    if found is None:
        return 0
    size = "SELECT size FROM Cache WHERE rowid = ?" if isinstance(found, Row) else ROOM_OF_KEPT
    own: int = shelf.sql(size, (found.rowid,)).fetchone()[0] or 0
    content = found.value if isinstance(found, Row) else found.content
    return own + len(message.key.encode()) + (len(content) if isinstance(content, (bytes, str)) else 8)


ROOM_OF_KEPT: Final = (
    "SELECT SUM(LENGTH(CAST(part AS BLOB)) + IFNULL(LENGTH(content), 0)) FROM cashews_parts"
    " WHERE key = (SELECT key FROM cashews_kept WHERE rowid = ?)"
)
