"""The straight lines to the table: one value read or written, or one lock taken, without a message, in one call.

Each is the turn of a message written out behind the engine's door: a call less, where a hit is made of six.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import get_ident

from cashews._typing import ABSENT, NOT_NOW, NotNowType
from cashews.backends.direct import Aside, Direct, Door, Look, Put, PutAll, ReleaseLock, TakeLock, TransactionLines
from cashews.messages import HELD, LoadPermit, LockHolder
from cashews.messages.values import Cause
from cashews.strategies.entry import Entry
from cashews.table.keyspace import Table
from cashews.table.values import CHECKED
from cashews.table.values import put as put_turn


def straight_lines(table: Table, door: Door, now: Callable[[], float]) -> Direct:
    """Return the straight lines to a table: they answer as `Get` and `Set` do, or `NOT_NOW` if the door is shut."""
    look = _look(table, door, now)

    def look_hit(key: str) -> object:
        found = look(key)
        if type(found) is Entry:
            found.hits += 1
        return found

    return Direct(look, look_hit, _put(table, door, now), _put_all(table, door, now))


def _transaction_here(door: Door) -> TransactionLines | None:
    """Return the transaction that the calling context is in, if nothing but that is in the way of one value."""
    if door.credit <= 0 or door.home_thread != get_ident():
        return None
    here = door.context()
    transaction = None if here is None else here.sole
    if transaction is None or transaction.engine is not door:
        return None
    door.credit -= 1
    return transaction


def _look(table: Table, door: Door, now: Callable[[], float]) -> Look:
    context = door.context

    def look_in_transaction(key: str) -> object:
        transaction = _transaction_here(door)
        return NOT_NOW if transaction is None else transaction.look(table, key)

    def look(key: str) -> object:
        credit = door.credit
        if credit <= 0 or door.home_thread != get_ident() or context() is not None:
            return look_in_transaction(key)
        door.credit = credit - 1
        values = table.values
        row = values.rows.get(key)
        if row is None:
            table.misses += 1
            return ABSENT
        if values.deadlines[row] <= now():
            table.misses += 1
            table.drop(values, row, Cause.EXPIRED)
            return ABSENT
        table.hits += 1
        values.used[row] = 1
        return values.contents[row]

    return look


def _put(table: Table, door: Door, now: Callable[[], float]) -> Put:
    running, beside, context = door.running, door.beside, door.context

    def put_in_transaction(key: str, value: object, expire: float | None) -> bool | NotNowType:
        transaction = None if running or beside else _transaction_here(door)
        try:
            if transaction is None or type(value) in CHECKED:
                return NOT_NOW
        except Exception:  # noqa: BLE001  of a metaclass
            return NOT_NOW
        return transaction.put(table, key, value, expire)

    def put(
        key: str, value: object, expire: float | None, permit: LoadPermit | None = None, instant: float | None = None
    ) -> bool | NotNowType:
        if door.credit <= 0 or door.home_thread != get_ident() or context() is not None:
            return NOT_NOW if permit is not None else put_in_transaction(key, value, expire)
        if (running or beside) if permit is None else permit.void:
            return NOT_NOW
        door.credit -= 1
        values = table.values
        if instant is None:
            instant = now()
        row = values.rows.get(key)
        try:
            is_plain = type(value) not in CHECKED
        except Exception:  # noqa: BLE001  of a metaclass
            is_plain = False
        if not is_plain or (row is not None and values.deadlines[row] <= instant):
            return put_turn(table, key, value, expire, instant)
        return table.store(row, key, value, expire, instant)

    return put


def _put_all(table: Table, door: Door, now: Callable[[], float]) -> PutAll:
    def put_all(puts: Mapping[str, Aside]) -> bool:
        if door.home_thread != get_ident():
            return False
        values, instant = table.values, now()
        for key, (value, expire, at) in puts.items():
            row = values.rows.get(key)
            if row is not None and values.deadlines[row] <= instant:
                table.drop(values, row, Cause.EXPIRED)
                row = None
            table.store(row, key, value, None if expire is None else expire - (instant - at), instant)
        return True

    return put_all


def lines_to_locks(table: Table, door: Door, now: Callable[[], float]) -> tuple[TakeLock, ReleaseLock]:
    """Return the straight lines to the locks of a table: they answer as `SetLock` and `Unlock` do, or `NOT_NOW`."""
    locks = table.locks

    def take(key: str, holder: LockHolder) -> int | NotNowType:
        if door.credit <= 0 or door.home_thread != get_ident() or door.context() is not None:
            return NOT_NOW
        door.credit -= 1
        before = locks.by_key.get(key)
        if before is not None and before.until > now():
            return HELD
        locks.by_key[key] = holder
        if len(locks.by_key) > locks.many:
            locks.throw_out_expired(now())
        return next(locks.fences)

    def release(key: str, holder: LockHolder) -> bool | NotNowType:
        if door.home_thread != get_ident():
            return NOT_NOW
        if locks.by_key.get(key) is not holder:
            return False
        del locks.by_key[key]
        return True

    return take, release
