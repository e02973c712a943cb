"""Early: a value that is about to expire is served once more while a new one is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cashews.entry import Entry, Loaded
from cashews.strategies.strategy import Draw, Strategy, kept_by_cashews_7, share_of
from cashews.verdicts import LoadOrServe, Serve, ServeAndRefresh, Verdict


@dataclass(frozen=True, slots=True)
class Early(Strategy):
    """Refreshes in the background once its own ttl has passed; a third of the lifetime if it was not told.

    With `beta` it also refreshes at random before (before the end of the lifetime, if it has no ttl of its own): the
    more likely, the nearer that instant is and the longer the load took. `background=False` loads while the caller
    waits. Source of `beta`: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention",
    VLDB 2015.
    """

    beta: float = 0.0
    background: bool = True
    name: ClassVar[str] = "early"

    def disowns(self, found: object) -> bool:
        return kept_by_cashews_7(found)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        head_start = -math.log(1.0 - draw()) * self.beta * entry.cost if self.beta else 0.0
        if now + head_start < entry.deadline:
            return Serve(entry.outcome)
        return ServeAndRefresh(entry.outcome) if self.background else LoadOrServe((Exception,))

    def seal(self, loaded: Loaded) -> Entry:
        return loaded.entry(share_of(loaded, 1.0 if self.beta else 1 / 3))
