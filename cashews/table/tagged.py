"""Which keys of the memory store carry which tags, exactly: what drops a value drops its membership."""

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


class Tagged:
    """The tags of live keys, and when tags were deleted: marks are the numbers of the deletions."""

    def __init__(self) -> None:
        self.by_key: dict[str, tuple[Carriers, ...]] = {}
        """Empty while nothing carries a tag: whoever changes keys need not look further."""
        self._by_tag: dict[str, Carriers] = {}
        self._doomed: list[Carriers] = []
        self._marks: OrderedDict[str, int] = OrderedDict()
        self.mark = 0
        self._forgotten = 0
        """The mark of the last deletion that is not remembered any more."""

    def put(self, key: str, tags: Iterable[str]) -> None:
        """Have a key that carries no tags carry these."""
        carriers = tuple([self._by_tag.get(tag) or self._new(tag) for tag in tags])
        self.by_key[key] = carriers
        for each in carriers:
            each[key] = None

    def _new(self, tag: str) -> Carriers:
        carriers = self._by_tag[tag] = Carriers(tag)
        return carriers

    def forget(self, key: str) -> None:
        """Have a key carry no tags."""
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
        """Begin a deletion: return the keys that have to go, those of one that was broken off among them.

        Who carries one of the tags from now on is newer.
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
        """Return up to `limit` keys that have to go, and count them as gone; none says that none are left."""
        among = self._doomed if among is None else among
        while among and not (among[-1] and self._is_doomed(among[-1])):
            done = among.pop()
            self._doomed = [carriers for carriers in self._doomed if carriers is not done]
        if not among:
            return []
        carriers = among[-1]
        return [carriers.popitem()[0] for _ in range(min(limit, len(carriers)))]

    def _is_doomed(self, carriers: Carriers) -> bool:
        """Say whether its keys have to go still: not if everything was cleared meanwhile."""
        return any(each is carriers for each in self._doomed)

    @property
    def dooms(self) -> bool:
        """Whether there are keys that have to go."""
        return bool(self._doomed)

    def overtaken(self, tags: Iterable[str], since: int) -> bool:
        """Say whether a deletion of one of the tags may have come after a mark."""
        marks = self._marks
        return since < self._forgotten or any(marks.get(tag, 0) > since for tag in tags)

    # --- the whole store

    def cleared(self) -> Tagged:
        """Return what takes the place of this one after everything was removed: only deletions are remembered."""
        fresh = Tagged()
        fresh._marks, fresh.mark, fresh._forgotten = self._marks, self.mark, self._forgotten
        return fresh

    def bury(self, limit: int) -> bool:
        """Let go of some of what it holds; says whether there is more."""
        for _ in range(min(limit, len(self.by_key))):
            self._leave(*self.by_key.popitem())
        return bool(self.by_key)

    def statistics(self) -> dict[str, int]:
        """Return how many keys carry tags, how many tags they carry, and how many deletions are remembered."""
        return {"tagged": len(self.by_key), "tags": len(self._by_tag), "deleted_tags": len(self._marks)}
