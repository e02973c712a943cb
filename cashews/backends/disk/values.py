"""The turns of single values on one shelf. Values come encoded, in the forms that SQLite stores."""

from __future__ import annotations

import math
import re
from typing import Final

from cashews import messages as m
from cashews._typing import ABSENT, Absent
from cashews.backends.disk.culling import fits
from cashews.backends.disk.files import BINARY, Stored
from cashews.backends.disk.rows import StructureRow, ValueRow
from cashews.backends.disk.shelf import Shelf
from cashews.exceptions import CounterOverflowError, WrongTypeError
from cashews.serialize import HITS, HITS_PREFIX, next_hits
from cashews.structures.kinds import counter

INTEGER: Final = re.compile(rb"-?[0-9]+")
DIGITS: Final = 20
LONGEST_TEXT: Final = 10_000
"""The bytes of a file that is read to see whether it holds an integer: more than Python gives the text of one."""
"""The most bytes of an integer of 64 bits, in decimal."""
STRUCTURE_SIZE: Final = (
    "SELECT SUM(LENGTH(CAST(part AS BLOB)) + IFNULL(LENGTH(content), 0)) FROM cashews_parts"
    " WHERE key = (SELECT key FROM cashews_kept WHERE rowid = ?)"
)


def get(shelf: Shelf, message: m.Get | m.GetRaw, now: float) -> object:
    row = shelf.row(message.key, now)
    if row is None:
        return ABSENT
    return read(shelf, row, now)


def read(shelf: Shelf, row: ValueRow, now: float) -> Stored | Absent:
    """Return the value of a row, and remember the read for the eviction policy.

    :raises GoneError: if its file is missing, and the value should be read again
    """
    if shelf.settings.touch_sql is not None:
        shelf.file.touched.append((row.rowid, now))
    return shelf.value(row)


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
    else:  # outside of the transaction: after a rollback the count is one too high, which does no harm
        shelf.file.overwrite(row.filename, HITS.start, hits)
    return counted


def deadline_in(expire: float | None, now: float) -> float | None:
    """Return the deadline of a value or structure that lives for `expire` seconds, `None` for no deadline."""
    return None if expire is None or expire == math.inf else now + expire


def store(shelf: Shelf, key: str, value: object, expire: float | None, now: float) -> bool:
    """Store a value and return `True`; without a time to live or room for it, delete the key and return `False`.

    What the key held goes in either case: to serve it in place of a value that was refused would be wrong.
    """
    if expire is not None and expire <= 0:
        delete(shelf, m.Delete(key), now)
        return False
    assert isinstance(value, (bytes, str, int, float))
    if not fits(shelf, value):
        shelf.file.count_refused()
        delete(shelf, m.Delete(key), now)
        return False
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


def incr(shelf: Shelf, message: m.Incr, now: float) -> int:
    found = shelf.find(message.key, now)
    if found is None:
        value = counter(message.key, message.value)
        store(shelf, message.key, value, message.expire, now)
        return value
    value = counter(message.key, integer_in(shelf, message.key, found) + message.value)
    assert isinstance(found, ValueRow)
    shelf.change(found, value)
    return value


def integer_in(shelf: Shelf, key: str, found: ValueRow | StructureRow) -> int:
    """Return the integer in a row, or in its file.

    :raises WrongTypeError: if the row holds something else
    :raises CounterOverflowError: if the row holds an integer beyond 64 bits
    :raises GoneError: if its file is missing, and the value should be read again
    """
    if isinstance(found, StructureRow):
        raise WrongTypeError(key, found.kind, "an integer")
    if type(found.value) is int:
        return found.value
    value = shelf.value(found) if found.size <= LONGEST_TEXT else ABSENT
    if isinstance(value, bytes) and INTEGER.fullmatch(value):  # beyond 64 bits, or stored raw
        if len(value) > DIGITS:
            raise CounterOverflowError(key)
        return counter(key, int(value))
    raise WrongTypeError(key, "bytes" if found.mode == BINARY else "another value", "an integer")


def exists(shelf: Shelf, message: m.Exists, now: float) -> bool:
    return shelf.find(message.key, now) is not None


def delete(shelf: Shelf, message: m.Delete, now: float) -> bool:
    """Remove the rows of a key, expired or unreadable ones, too; returns whether the key held something live."""
    found = shelf.find(message.key, now)
    row = found if isinstance(found, ValueRow) else shelf.any_row(message.key)
    if row is not None:
        shelf.drop(row)
    if isinstance(found, StructureRow):
        shelf.drop_structure(found)
    return found is not None


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
    if found.deadline is None or found.deadline == math.inf:  # diskcache may store infinity
        return -1
    return max(1, math.ceil(found.deadline - now - 1e-6))


def get_size(shelf: Shelf, message: m.GetSize, now: float) -> int:
    found = shelf.find(message.key, now)
    if found is None:
        return 0
    size = "SELECT size FROM Cache WHERE rowid = ?" if isinstance(found, ValueRow) else STRUCTURE_SIZE
    own: int = shelf.sql(size, (found.rowid,)).fetchone()[0] or 0
    content = found.value if isinstance(found, ValueRow) else found.content
    return own + len(message.key.encode()) + (len(content) if isinstance(content, (bytes, str)) else 8)
