"""The turns about tags: `turn(table, message, now)`.

`DeleteTags` takes several turns: `Table` has its parts. In a commit it takes one.
"""

from __future__ import annotations

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.table.keyspace import Table
from cashews.table.values import set_


def set_tagged(table: Table, message: m.SetTagged, now: float) -> bool:
    if message.since is not None and table.tag_index.overtaken(message.overtaking, message.since):
        return False
    if message.instead_of is not ABSENT and not _holds(table, message.key, message.instead_of, now):
        return False
    stored = set_(table, message, now)
    if stored:
        table.tag_index.put(message.key, message.tags)
    return stored


def _holds(table: Table, key: str, content: object, now: float) -> bool:
    place = table.find(key, now)
    return place is not None and place[0].contents[place[1]] is content


def get_key_tags(table: Table, message: m.GetKeyTags, now: float) -> tuple[str, ...]:
    return table.tag_index.of(message.key) if table.find(message.key, now) is not None else ()


def mark_load(table: Table, message: m.MarkLoad, now: float) -> int:
    return table.tag_index.mark
