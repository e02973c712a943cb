"""The turns about single values: `turn(table, message, now)`."""

from __future__ import annotations

import math
from sys import getsizeof
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.exceptions import EncodeError
from cashews.messages.values import Cause
from cashews.strategies.entry import Entry, Returned
from cashews.structures.kinds import counter, integer
from cashews.table.columns import ROW_BYTES
from cashews.table.keyspace import Table
from cashews.table.wheel import NEVER

ONCE: Final = (
    "it can be used only once, so nobody could be served from the cache; store a list of its items or its result"
)
"""The reason for which generators and coroutines are refused."""
NO_HASH: Final = "its class has no hash"
"""The reason for which a value is refused that no codec could write either."""
_USED_ONCE: Final = frozenset({GeneratorType, CoroutineType, AsyncGeneratorType})
CHECKED: Final = _USED_ONCE | {Entry}
"""The types of values that `require_storable` may refuse."""


def require_storable(key: str, value: object) -> None:
    """Refuse a value that no cache can keep, by itself or as the value of an entry.

    :raises EncodeError: if it is a generator or a coroutine, or its class has no hash
    """
    if type(value) is Entry:
        outcome = value.outcome
        value = outcome.value if type(outcome) is Returned else None
    try:
        is_used_once = type(value) in _USED_ONCE
    except Exception as error:  # of its metaclass
        raise EncodeError(key, value, "the memory store", NO_HASH) from error
    if is_used_once:
        raise EncodeError(key, value, "the memory store", ONCE)


def look(table: Table, key: str, now: float) -> object:
    """Return the value of a key, or `ABSENT`: the turn of `Get` without a message."""
    values = table.values
    row = values.rows.get(key)
    if row is None or values.deadlines[row] <= now:
        table.misses += 1
        if row is not None:
            table.drop(values, row, Cause.EXPIRED)
        return ABSENT
    table.hits += 1
    values.used[row] = 1
    return values.contents[row]


def get(table: Table, message: m.Get | m.GetRaw, now: float) -> object:
    found = look(table, message.key, now)
    return message.default if found is ABSENT else found


def get_hit(table: Table, message: m.GetHit, now: float) -> object:
    found = get(table, message, now)
    if type(found) is not Entry:
        return found
    found.hits += 1
    return Entry(found.outcome, found.deadline, found.cost, found.hits)


def put(table: Table, key: str, value: object, expire: float | None, now: float) -> bool:
    """Store a value; says whether it was stored: the turn of `Set` without a message."""
    try:
        is_checked = type(value) in CHECKED
    except Exception:  # noqa: BLE001  of a metaclass
        is_checked = True
    if is_checked:
        require_storable(key, value)
    values = table.values
    row = values.rows.get(key)
    if row is not None and values.deadlines[row] <= now:
        table.drop(values, row, Cause.EXPIRED)
        row = None
    return table.store(row, key, value, expire, now)


def set_(table: Table, message: m.Set, now: float) -> bool:
    exist, permit = message.exist, message.permit
    if permit is not None and permit.void:
        require_storable(message.key, message.value)
        return False
    if exist is not None:
        require_storable(message.key, message.value)
        if exist is (table.find(message.key, now) is None):
            return False
    return put(table, message.key, message.value, message.expire, now)


def set_raw(table: Table, message: m.SetRaw, now: float) -> bool:
    return set_(table, m.Set(message.key, message.value, message.expire), now)


def incr(table: Table, message: m.Incr, now: float) -> int:
    counter(message.key, message.value)
    place = table.find(message.key, now)
    if place is None:
        value = message.value
        table.store(None, message.key, value, message.expire, now)
        return value
    columns, row = place
    columns.contents[row] = value = counter(message.key, integer(message.key, columns.contents[row]) + message.value)
    columns.used[row] = 1
    return value


def exists(table: Table, message: m.Exists, now: float) -> bool:
    return table.find(message.key, now) is not None


def delete(table: Table, message: m.Delete, now: float) -> bool:
    place = table.find(message.key, now)
    if place is not None:
        table.drop(*place, Cause.DELETED)
    return place is not None


def expire(table: Table, message: m.Expire, now: float) -> bool:
    place = table.find(message.key, now)
    if place is not None:
        table.set_deadline(*place, message.timeout, now)
    return place is not None


def get_expire(table: Table, message: m.GetExpire, now: float) -> int:
    place = table.find(message.key, now)
    if place is None:
        return -2
    columns, row = place
    deadline = columns.deadlines[row]
    return -1 if deadline == NEVER else seconds_left(deadline, now)


def seconds_left(deadline: float, now: float) -> int:
    """Return the whole seconds until a deadline, rounded up except for the error of adding floats."""
    return max(1, math.ceil(deadline - now - 1e-6))


def get_size(table: Table, message: m.GetSize, now: float) -> int:
    place = table.find(message.key, now)
    if place is None:
        return 0
    columns, row = place
    return getsizeof(message.key) + getsizeof(columns.contents[row]) + ROW_BYTES
