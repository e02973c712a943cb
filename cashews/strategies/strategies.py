"""Module strategies.strategies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cashews._typing import Absent
from cashews.messages import GetHit, Recall
from cashews.strategies.entry import Entry, Loaded
from cashews.strategies.strategy import (
    LOAD,
    Draw,
    LoadOrServe,
    Serve,
    ServeAndRefresh,
    Strategy,
    Verdict,
    bare,
    kept_by_cashews_7,
    share_of,
)


@dataclass(frozen=True, slots=True)
class Simple(Strategy):
    """Keeps bare values, which are served without a judgement."""

    name: ClassVar[str] = "simple"

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Serve:
        return Serve(entry.outcome)

    def seal(self, loaded: Loaded) -> object:
        return bare(loaded.outcome)


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


@dataclass(frozen=True, slots=True)
class Failover(Strategy):
    """Falls back on what is kept when one of the covered exceptions is raised; nothing is read before."""

    covered: tuple[type[Exception], ...]
    name: ClassVar[str] = "failover"

    @property
    def covers(self) -> tuple[type[Exception], ...]:
        return self.covered

    def judge(self, found: object | Absent, now: float, draw: Draw) -> LoadOrServe:
        return LoadOrServe(self.covered)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> LoadOrServe:
        return self.judge(entry, now, draw)

    def seal(self, loaded: Loaded) -> object:
        return bare(loaded.outcome)
