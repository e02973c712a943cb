"""The turns about single values: `turn(table, message, now)`."""

from __future__ import annotations

import math
from sys import getsizeof
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Final

from cashews import messages as m
from cashews.exceptions import EncodeError
from cashews.messages.values import Cause
from cashews.strategies.entry import Entry, Returned
from cashews.structures.kinds import counter, integer
from cashews.table.keyspace import NEVER, Table

ONCE: Final = (
    "it can be used only once, so nobody could be served from the cache; store a list of its items or its result"
)
"""The reason for which generators and coroutines are refused."""


def require_storable(key: str, value: object) -> None:
    """Refuse a value that can be used only once, by itself or as the value of an entry.

    :raises EncodeError: if it is a generator or a coroutine
    """
    if type(value) is Entry:
        outcome = value.outcome
        value = outcome.value if type(outcome) is Returned else None
    kind = type(value)
    if kind is GeneratorType or kind is CoroutineType or kind is AsyncGeneratorType:
        raise EncodeError(key, value, "the memory store", ONCE)


def get(table: Table, message: m.Get | m.GetRaw, now: float) -> object:
    slot = table.values.get(message.key)
    if slot is None or slot.deadline <= now:
        table.misses += 1
        if slot is not None:
            table.drop(slot, Cause.EXPIRED)
        return message.default
    table.hits += 1
    table.order.touch(slot)
    return slot.value


def get_hit(table: Table, message: m.GetHit, now: float) -> object:
    found = get(table, message, now)
    if type(found) is not Entry:
        return found
    found.hits += 1
    return Entry(found.outcome, found.deadline, found.cost, found.hits)


def set_(table: Table, message: m.Set, now: float) -> bool:
    kind = type(message.value)  # the types are not in a set: a metaclass may have no hash
    if kind is Entry or kind is GeneratorType or kind is CoroutineType or kind is AsyncGeneratorType:
        require_storable(message.key, message.value)
    slot = table.values.get(message.key)
    if slot is not None and slot.deadline <= now:
        table.drop(slot, Cause.EXPIRED)
        slot = None
    if message.exist is not None and message.exist is (table.find(message.key, now) is None):
        return False
    if message.permit is not None and message.permit.void:
        return False
    return table.store(slot, message.key, message.value, message.expire, now)


def set_raw(table: Table, message: m.SetRaw, now: float) -> bool:
    return set_(table, m.Set(message.key, message.value, message.expire), now)


def incr(table: Table, message: m.Incr, now: float) -> int:
    counter(message.key, message.value)
    slot = table.find(message.key, now)
    if slot is None:
        value = message.value
        table.store(None, message.key, value, message.expire, now)
        return value
    slot.value = value = counter(message.key, integer(message.key, slot.value) + message.value)
    table.order.touch(slot)
    return value


def exists(table: Table, message: m.Exists, now: float) -> bool:
    return table.find(message.key, now) is not None


def delete(table: Table, message: m.Delete, now: float) -> bool:
    slot = table.find(message.key, now)
    if slot is not None:
        table.drop(slot, Cause.DELETED)
    return slot is not None


def expire(table: Table, message: m.Expire, now: float) -> bool:
    slot = table.find(message.key, now)
    if slot is not None:
        table.set_deadline(slot, message.timeout, now)
    return slot is not None


def get_expire(table: Table, message: m.GetExpire, now: float) -> int:
    slot = table.find(message.key, now)
    if slot is None:
        return -2
    return -1 if slot.deadline == NEVER else seconds_left(slot.deadline, now)


def seconds_left(deadline: float, now: float) -> int:
    """Return the whole seconds until a deadline, rounded up except for the error of adding floats."""
    return max(1, math.ceil(deadline - now - 1e-6))


def get_size(table: Table, message: m.GetSize, now: float) -> int:
    slot = table.find(message.key, now)
    return 0 if slot is None else getsizeof(slot.key) + getsizeof(slot.value) + getsizeof(slot)
