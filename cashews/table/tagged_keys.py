"""The turns about tags: what keys carry, and the removal of those that carry one, some at a time."""

from __future__ import annotations

from cashews import messages as m
from cashews.messages.values import Cause
from cashews.table.keyspace import PAGE, Keyspace
from cashews.table.tagged import Carriers

MOST_REMOVED = PAGE // 2
"""How many keys one turn removes at most."""


class TaggedKeys(Keyspace):
    """Slots whose keys carry tags."""

    def mark_load(self, message: m.MarkLoad, now: float) -> int:
        """Answer the number of the last deletion: it tells before from after exactly, as no instant does."""
        return self._tagged.mark

    def get_key_tags(self, message: m.GetKeyTags, now: float) -> tuple[str, ...]:
        return self._tagged.of(message.key) if self._find(message.key, now) is not None else ()

    def doom(self, tags: tuple[str, ...]) -> list[Carriers]:
        """Begin to delete tags: return the keys that have to go."""
        return self._tagged.doom(tags)

    def delete_doomed(self, among: list[Carriers] | None, now: float) -> bool:
        """Remove some of the keys that have to go; says whether there were any."""
        keys = self._tagged.take_doomed(MOST_REMOVED, among)
        for key in keys:
            slot = self._live[key]
            self._drop(slot, Cause.EXPIRED if slot.deadline <= now else Cause.DELETED)
        return bool(keys)

    def delete_tags(self, tags: tuple[str, ...], now: float) -> None:
        """Remove every key that carries one of the tags, in this turn."""
        doomed = self.doom(tags) if tags else []
        while self.delete_doomed(doomed, now):
            pass

    @property
    def due(self) -> float:
        return 0.0 if self._tagged.dooms else super().due

    def sweep(self, now: float, limit: int = MOST_REMOVED) -> float:
        """Remove what has to go because of its tag, besides what has expired."""
        self.delete_doomed(None, now)
        return super().sweep(now, limit)
