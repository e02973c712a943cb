"""The turns about many keys, patterns and the whole store: `turn(table, message, now)`.

`DeleteMatch`, `Clear` and `GetKeysCount` take several turns each: `Table` has their parts.
"""

from __future__ import annotations

from cashews import messages as m
from cashews.keys.pattern import matcher
from cashews.table.cursors import TableCursor
from cashews.table.keyspace import PAGE, Table
from cashews.table.values import delete, get, set_


def get_many(table: Table, message: m.GetMany, now: float) -> tuple[object, ...]:
    return tuple(get(table, m.Get(key, message.default), now) for key in message.keys)


def set_many(table: Table, message: m.SetMany, now: float) -> None:
    for key, value in message.pairs.items():
        set_(table, m.Set(key, value, message.expire), now)


def delete_many(table: Table, message: m.DeleteMany, now: float) -> None:
    for key in message.keys:
        delete(table, m.Delete(key), now)


def scan(table: Table, message: m.Scan, now: float) -> m.Page[str]:
    cursor = message.cursor if isinstance(message.cursor, TableCursor) else table.cursor(message.pattern)
    matches = matcher(message.pattern)
    keys = [key for key in cursor.take(PAGE) if matches(key) and table.find(key, now) is not None]
    return m.Page(keys, None if cursor.is_over else cursor)


def get_match(table: Table, message: m.GetMatch, now: float) -> m.Page[tuple[str, object]]:
    page = scan(table, m.Scan(message.pattern, message.batch_size, message.cursor), now)
    rows, contents = table.values.rows, table.values.contents
    return m.Page([(key, contents[rows[key]]) for key in page.items if key in rows], page.cursor)


def ping(table: Table, message: m.Ping, now: float) -> bytes:
    return b"PONG" if message.message is None else message.message
