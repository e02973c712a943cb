"""The turns about many keys, patterns and the whole store: `turn(table, message, now)`.

`DeleteMatch`, `Clear` and `GetKeysCount` take several turns each: `Table` has their parts.
"""

from __future__ import annotations

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.keys.pattern import matcher
from cashews.table.cursors import TableCursor
from cashews.table.keyspace import PAGE, Table
from cashews.table.values import delete, look, put


def get_many(table: Table, message: m.GetMany, now: float) -> tuple[object, ...]:
    values, default = table.values, message.default
    rows, deadlines, contents, used = values.rows, values.deadlines, values.contents, values.used
    reply: list[object] = []
    hits = 0
    for key in message.keys:
        row = rows.get(key)
        if row is not None and deadlines[row] > now:
            hits += 1
            used[row] = 1
            reply.append(contents[row])
        else:
            found = look(table, key, now)  # which counts the miss, and removes an expired value
            reply.append(default if found is ABSENT else found)
    table.hits += hits
    return tuple(reply)


def set_many(table: Table, message: m.SetMany, now: float) -> None:
    for key, value in message.pairs.items():
        put(table, key, value, message.expire, now)


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
