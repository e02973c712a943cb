"""The turns of tags on one shelf.

The table `cashews_tags` lists each value under each of its tags. A trigger deletes its lines together with the value's
row, whether a command, culling, eviction or diskcache itself removes that row. The deletions of tags in a file are
numbered; a load is marked with the number of the last one, so that a later deletion of its tags is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from cashews import messages as m
from cashews._dataclass import dataclass, replace
from cashews._typing import ABSENT
from cashews.backends.disk.files import is_sound
from cashews.backends.disk.rows import ValueRow
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.values import get, set_
from cashews.commands import Command, Effect
from cashews.messages import WholeStore

MOST_KEYS: Final = 5_000
"""The most keys that one turn removes."""
MOST_MARKS: Final = 10_000
"""The number of deletions that are remembered. A load is not stored if more of them have happened since it began."""
DELETIONS: Final = "deletions"
"""The name of the mark that holds the number of the last deletion."""
CARRIERS: Final = (
    "SELECT Cache.key, Cache.rowid, Cache.filename FROM cashews_tags JOIN Cache"
    " ON Cache.key = cashews_tags.key AND Cache.raw = 1"
    " WHERE cashews_tags.tag = ? AND cashews_tags.key > ? ORDER BY cashews_tags.key LIMIT ?"
)
BEFORE_ALL_KEYS: Final = -1
"""A key before all texts: SQLite sorts numbers before text."""


@dataclass(frozen=True, slots=True)
class CarrierCursor:
    """The position of a deletion of tags: a file, the index of a tag, and the last key that was removed."""

    shard: int = 0
    tag: int = 0
    after: str | None = None


@dataclass(slots=True)
class DeleteCarriers(WholeStore["CarrierCursor | None"]):
    """Remove some of the values that carry one of the tags; replies the cursor to go on from, `None` at the end."""

    tags: tuple[str, ...]
    cursor: CarrierCursor
    command: ClassVar[Command] = Command.DELETE_TAGS
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> CarrierCursor | None:
        return None


def set_tagged(shelf: Shelf, message: m.SetTagged, now: float) -> bool:
    if message.since is not None and _were_deleted(shelf, message.overtaking, message.since):
        return False
    if message.instead_of is not ABSENT and get(shelf, m.GetRaw(message.key), now) != message.instead_of:
        return False
    stored = set_(shelf, message, now)
    if stored:
        shelf.tag(message.key, message.tags)
    return stored


def not_overtaken(shelf: Shelf, writes: Iterable[m.Write]) -> list[m.Write]:
    """Return the writes of a commit without results of loads that a deletion of tags has overtaken.

    That is told before the commit deletes tags itself, which comes before its writes and overtakes none of them.
    """
    kept: list[m.Write] = []
    for write in writes:
        if not isinstance(write, m.SetTagged) or write.since is None:
            kept.append(write)
        elif not _were_deleted(shelf, write.overtaking, write.since):
            kept.append(replace(write, since=None))
    return kept


def _were_deleted(shelf: Shelf, tags: tuple[str, ...], since: int) -> bool:
    """Say whether one of the tags may have been deleted after the deletion with a number."""
    if since < max(0, shelf.mark(DELETIONS) - MOST_MARKS):
        return True
    deleted = "SELECT 1 FROM cashews_deleted WHERE tag = ? AND mark > ?"
    return any(shelf.sql(deleted, (tag, since)).fetchone() for tag in tags)


def get_key_tags(shelf: Shelf, message: m.GetKeyTags, now: float) -> tuple[str, ...]:
    return shelf.tags(message.key) if isinstance(shelf.find(message.key, now), ValueRow) else ()


def mark_load(shelf: Shelf, _: m.MarkLoad, now: float) -> int:  # noqa: ARG001  like every turn
    return shelf.mark(DELETIONS)


def delete_carriers(shelf: Shelf, message: DeleteCarriers, now: float) -> CarrierCursor | None:  # noqa: ARG001  likewise
    cursor = message.cursor
    if cursor.tag == 0 and cursor.after is None:
        _number_deletion(shelf, message.tags)
    return _delete_from(shelf, message.tags, cursor)


def delete_tags(shelf: Shelf, tags: tuple[str, ...]) -> None:
    """Remove every value that carries one of the tags, all within this turn."""
    if tags:
        _number_deletion(shelf, tags)
    cursor: CarrierCursor | None = CarrierCursor()
    while cursor is not None:
        cursor = _delete_from(shelf, tags, cursor)


def _number_deletion(shelf: Shelf, tags: tuple[str, ...]) -> None:
    mark = shelf.mark(DELETIONS)
    for mark, tag in enumerate(tags, start=mark + 1):  # noqa: B020  it goes on from the last number
        shelf.sql("INSERT OR REPLACE INTO cashews_deleted (tag, mark) VALUES (?, ?)", (tag, mark))
    shelf.set_mark(DELETIONS, mark)
    shelf.sql("DELETE FROM cashews_deleted WHERE mark <= ?", (mark - MOST_MARKS,))


def _delete_from(shelf: Shelf, tags: tuple[str, ...], cursor: CarrierCursor) -> CarrierCursor | None:
    """Remove the next values that carry one of the tags; returns the cursor to go on from."""
    left = MOST_KEYS
    after = cursor.after
    for number in range(cursor.tag, len(tags)):
        rows = shelf.sql(CARRIERS, (tags[number], BEFORE_ALL_KEYS if after is None else after, left)).fetchall()
        shelf.drop_all("Cache", [(rowid, filename) for _, rowid, filename in rows])
        left -= len(rows)
        if not left:
            last = next((key for key, _, _ in reversed(rows) if is_sound(key)), after)
            return CarrierCursor(cursor.shard, number, last)
        after = None
    return None
