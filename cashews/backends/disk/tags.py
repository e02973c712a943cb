"""The turns about tags on one shelf: which values carry which, and when tags were deleted.

Who carries a tag stands in a table of its own; a trigger takes a value out of it when its row goes, whoever removes
that: a command, culling, eviction, or diskcache itself. Marks are the numbers of the deletions in this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from cashews import messages as m
from cashews.backends.disk.shelf import Shelf
from cashews.backends.disk.values import set_
from cashews.commands import Command, Effect
from cashews.messages import WholeStore

MOST_KEYS: Final = 5_000
"""How many keys one turn removes at most."""
MOST_MARKS: Final = 10_000
"""How many deletions are remembered; a load that more of them have overtaken is not stored."""
DELETIONS: Final = "deletions"
"""The mark of the last deletion."""
CARRIERS: Final = (
    "SELECT Cache.key, Cache.rowid, Cache.filename FROM cashews_tags JOIN Cache"
    " ON Cache.key = cashews_tags.key AND Cache.raw = 1"
    " WHERE cashews_tags.tag = ? AND cashews_tags.key > ? ORDER BY cashews_tags.key LIMIT ?"
)
BEFORE_ALL_KEYS: Final = -1
"""What stands before every text, as SQLite sorts."""


@dataclass(frozen=True, slots=True)
class CarrierCursor:
    """Where a deletion of tags stands: in which file, at which tag, behind which key."""

    shard: int = 0
    tag: int = 0
    after: str | None = None


@dataclass(slots=True)
class DeleteCarriers(WholeStore["CarrierCursor | None"]):
    """Remove some of the values that carry one of the tags; answers where to go on."""

    tags: tuple[str, ...]
    place: CarrierCursor
    command: ClassVar[Command] = Command.DELETE_TAGS
    effect: ClassVar[Effect] = Effect.WRITE

    def declined(self) -> CarrierCursor | None:
        return None


def set_tagged(shelf: Shelf, message: m.SetTagged, now: float) -> bool:
    if message.since is not None and _overtaken(shelf, message.tags, message.since):
        return False
    stored = set_(shelf, message, now)
    if stored:
        shelf.tag(message.key, message.tags)
    return stored


def _overtaken(shelf: Shelf, tags: tuple[str, ...], since: int) -> bool:
    """Say whether a deletion of one of the tags may have come after a mark."""
    if since < max(0, shelf.mark(DELETIONS) - MOST_MARKS):
        return True
    deleted = "SELECT 1 FROM cashews_deleted WHERE tag = ? AND mark > ?"
    return any(shelf.sql(deleted, (tag, since)).fetchone() for tag in tags)


def get_key_tags(shelf: Shelf, message: m.GetKeyTags, now: float) -> tuple[str, ...]:
    return () if shelf.row(message.key, now) is None else shelf.tags(message.key)


def mark_load(shelf: Shelf, _: m.MarkLoad, now: float) -> int:  # noqa: ARG001  like every turn
    return shelf.mark(DELETIONS)


def delete_carriers(shelf: Shelf, message: DeleteCarriers, now: float) -> CarrierCursor | None:  # noqa: ARG001  likewise
    place = message.place
    if place.tag == 0 and place.after is None:
        _remember(shelf, message.tags)
    return _delete_from(shelf, message.tags, place)


def delete_tags(shelf: Shelf, tags: tuple[str, ...]) -> None:
    """Remove every value that carries one of the tags, in this turn."""
    if tags:
        _remember(shelf, tags)
    place: CarrierCursor | None = CarrierCursor()
    while place is not None:
        place = _delete_from(shelf, tags, place)


def _remember(shelf: Shelf, tags: tuple[str, ...]) -> None:
    mark = shelf.mark(DELETIONS)
    for mark, tag in enumerate(tags, start=mark + 1):  # noqa: B020  counted on
        shelf.sql("INSERT OR REPLACE INTO cashews_deleted (tag, mark) VALUES (?, ?)", (tag, mark))
    shelf.set_mark(DELETIONS, mark)
    shelf.sql("DELETE FROM cashews_deleted WHERE mark <= ?", (mark - MOST_MARKS,))


def _delete_from(shelf: Shelf, tags: tuple[str, ...], place: CarrierCursor) -> CarrierCursor | None:
    """Remove the next values; returns where to go on."""
    room = MOST_KEYS
    after = place.after
    for number in range(place.tag, len(tags)):
        rows = shelf.sql(CARRIERS, (tags[number], BEFORE_ALL_KEYS if after is None else after, room)).fetchall()
        shelf.drop_all("Cache", [(rowid, filename) for _, rowid, filename in rows])
        room -= len(rows)
        if not room:
            return CarrierCursor(place.shard, number, rows[-1][0])
        after = None
    return None
