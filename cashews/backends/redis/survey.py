"""A survey of the servers of a store: the slots of each master of a cluster, and those that are on their way. Pure.

A scan passes over one master after the other. Two surveys, before it and behind it, tell which masters have to be
passed over once more, since keys have come to them meanwhile from a master that had yet to be passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from cashews._dataclass import dataclass

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Survey(Generic[P]):
    """The slots of each place, and the pairs of places between which a slot is on its way."""

    slots: Mapping[P, frozenset[int]]
    moves: Sequence[tuple[P, P]] = ()

    def reached_since(self, before: Survey[P]) -> list[P]:
        """Return the places that keys may have come to since a survey: an old place of theirs stands before the new."""
        leaving = [source for source, _ in self.moves]
        arriving = [target for _, target in self.moves]
        grown = [place for place, slots in self.slots.items() if slots - before.slots.get(place, frozenset())]
        return [*dict.fromkeys(leaving), *dict.fromkeys((*arriving, *grown))]
