"""The tags of the memory store's keys, exactly: a removed value leaves the index in the same turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MOST_MARKS = 10_000
"""How many deletions are remembered; a load that more of them have overtaken is not stored."""


class Carriers(dict[str, None]):
    """The keys that carry one tag. Not a set: a growing dictionary stops the loop for less time."""

    __slots__ = ("tag",)

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag


class TagIndex:
    """Tags by key and keys by tag, and the deletions of tags. A mark is the number of a deletion."""

    def __init__(self) -> None:
        self.by_key: dict[str, tuple[Carriers, ...]] = {}
        """The tags of each key that carries any; always the same dictionary."""
        self._by_tag: dict[str, Carriers] = {}
        self._doomed: list[Carriers] = []
        self._marks: OrderedDict[str, int] = OrderedDict()
        self.mark = 0
        """The mark of the last deletion. It tells before from after exactly, as no instant does."""
        self._forgotten = 0
        """The mark of the last deletion that is not remembered any more."""

    def put(self, key: str, tags: Iterable[str]) -> None:
        """Add the tags of a key that carries none yet."""
        carriers = tuple([self._by_tag.get(tag) or self._new(tag) for tag in tags])
        self.by_key[key] = carriers
        for each in carriers:
            each[key] = None

    def _new(self, tag: str) -> Carriers:
        carriers = self._by_tag[tag] = Carriers(tag)
        return carriers

    def forget(self, key: str) -> None:
        """Remove the tags of a key."""
        self._leave(key, self.by_key.pop(key, ()))

    def _leave(self, key: str, tags: tuple[Carriers, ...]) -> None:
        for carriers in tags:
            carriers.pop(key, None)
            if not carriers and self._by_tag.get(carriers.tag) is carriers:
                del self._by_tag[carriers.tag]

    def of(self, key: str) -> tuple[str, ...]:
        """Return the tags of a key."""
        return tuple([carriers.tag for carriers in self.by_key.get(key, ())])

    # --- deletions

    def doom(self, tags: Iterable[str]) -> list[Carriers]:
        """Start deleting tags. Returns the key sets to remove, including leftovers of a cancelled deletion.

        A key that gets one of the tags from now on belongs to a new set and stays.
        """
        for tag in tags:
            self.mark += 1
            self._marks[tag] = self.mark
            self._marks.move_to_end(tag)
            if tag in self._by_tag:
                self._doomed.append(self._by_tag.pop(tag))
        while len(self._marks) > MOST_MARKS:
            _, self._forgotten = self._marks.popitem(last=False)
        return self._doomed.copy()

    def take_doomed(self, limit: int, among: list[Carriers] | None = None) -> list[str]:
        """Return up to `limit` keys to remove and forget them here; an empty list means that none are left."""
        among = self._doomed if among is None else among
        while among and not (among[-1] and self._is_doomed(among[-1])):
            done = among.pop()
            self._doomed = [carriers for carriers in self._doomed if carriers is not done]
        if not among:
            return []
        carriers = among[-1]
        return [carriers.popitem()[0] for _ in range(min(limit, len(carriers)))]

    def _is_doomed(self, carriers: Carriers) -> bool:
        """Say whether a set of keys is still to be removed; after a `clear` it is not."""
        return any(each is carriers for each in self._doomed)

    @property
    def has_doomed(self) -> bool:
        """True while there are keys to remove."""
        return bool(self._doomed)

    def overtaken(self, tags: Iterable[str], since: int) -> bool:
        """Say whether a deletion of one of the tags may have come after a mark."""
        marks = self._marks
        return since < self._forgotten or any(marks.get(tag, 0) > since for tag in tags)

    # --- the whole store

    def cleared(self) -> TagIndex:
        """Return the index that replaces this one when the store is cleared: it remembers the deletions alone."""
        fresh = TagIndex()
        fresh._marks, fresh.mark, fresh._forgotten = self._marks, self.mark, self._forgotten
        return fresh

    def bury(self, limit: int) -> bool:
        """Free the entries of up to `limit` keys; says whether there are more."""
        for _ in range(min(limit, len(self.by_key))):
            self._leave(*self.by_key.popitem())
        return bool(self.by_key)

    def statistics(self) -> dict[str, int]:
        """Return the numbers of tagged keys, of their different tags, and of remembered deletions."""
        return {"tagged": len(self.by_key), "tags": len(self._by_tag), "deleted_tags": len(self._marks)}
