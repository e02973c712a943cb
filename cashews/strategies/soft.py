"""Soft: after its own ttl a value is only served if no new one can be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cashews.entry import Entry, Loaded
from cashews.strategies.strategy import Draw, Strategy, kept_by_cashews_7, share_of
from cashews.verdicts import LoadOrServe, Serve, Verdict


@dataclass(frozen=True, slots=True)
class Soft(Strategy):
    """Loads once its own ttl has passed (a third of the lifetime if it was not told); falls back on `errors`."""

    errors: tuple[type[Exception], ...] = (Exception,)
    name: ClassVar[str] = "soft"

    def disowns(self, found: object) -> bool:
        return kept_by_cashews_7(found)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        return Serve(entry.outcome) if now < entry.deadline else LoadOrServe(self.errors)

    def seal(self, loaded: Loaded) -> Entry:
        return loaded.entry(share_of(loaded))
