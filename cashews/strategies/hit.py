"""Hit: a value is served a number of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cashews.entry import Entry, Loaded
from cashews.messages import GetHit, Recall
from cashews.strategies.strategy import Draw, Strategy
from cashews.verdicts import LOAD, LoadOrServe, Serve, ServeAndRefresh, Verdict


@dataclass(frozen=True, slots=True)
class Hit(Strategy):
    """Serves `cache_hits` times, then loads; refreshes in the background at the `update_after`-th hit, 0 for never."""

    cache_hits: int
    update_after: int = 0
    background: bool = True
    name: ClassVar[str] = "hit"
    read: ClassVar[type[Recall]] = GetHit

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        if entry.hits > self.cache_hits:
            return LOAD
        if entry.hits != self.update_after:
            return Serve(entry.outcome)
        return ServeAndRefresh(entry.outcome) if self.background else LoadOrServe((Exception,))

    def seal(self, loaded: Loaded) -> Entry:
        return loaded.entry(math.inf)
