"""The strategies side by side: when a stored outcome is served, refreshed, loaded anew, or used as a fallback."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from cashews._dataclass import dataclass
from cashews._typing import Absent
from cashews.messages import GetHit, Recall
from cashews.strategies.entry import Entry, Outcome, Raised, counted
from cashews.strategies.strategy import (
    LOAD,
    Draw,
    LoadOrServe,
    Serve,
    ServeAndRefresh,
    Strategy,
    Verdict,
    bare,
    is_entry_of_cashews_7,
    no_chance,
    own_or_share,
)


@dataclass(frozen=True, slots=True)
class Simple(Strategy):
    """The simple strategy: serve an outcome until it expires. Values are stored bare."""

    name: ClassVar[str] = "simple"
    serves_bare: ClassVar[bool] = True
    stores_bare: ClassVar[bool] = True

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Serve:
        return Serve(entry.outcome)

    def seal(
        self, outcome: Outcome, ttl: float | None, own_ttl: float | None, cost: float, wall: Callable[[], float]
    ) -> object:
        return outcome if isinstance(outcome, Raised) else outcome.value  # as `bare`, and a call less


@dataclass(frozen=True, slots=True)
class Early(Strategy):
    """Early refresh: load in the background once its own ttl has passed, by default a third of the time to live.

    With `beta` it also refreshes at random before that instant (by default: before the end of the time to live). The
    nearer the instant and the longer the last load took, the likelier is a refresh. `background=False` loads while the
    caller waits. Source of `beta`: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede
    Prevention", VLDB 2015.
    """

    beta: float = 0.0
    background: bool = True
    name: ClassVar[str] = "early"

    def disowns(self, found: object) -> bool:
        return is_entry_of_cashews_7(found)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        head_start = -math.log(1.0 - draw()) * self.beta * entry.cost if self.beta else 0.0
        if now + head_start < entry.deadline:
            return Serve(entry.outcome)
        return ServeAndRefresh(entry.outcome) if self.background else LoadOrServe((Exception,))

    @property
    def freshness(self) -> str:
        return "False" if self.beta else "now() < entry.deadline"

    def seal(
        self, outcome: Outcome, ttl: float | None, own_ttl: float | None, cost: float, wall: Callable[[], float]
    ) -> Entry:
        return Entry(outcome, wall() + own_or_share(own_ttl, ttl, 1.0 if self.beta else 1 / 3), cost)


@dataclass(frozen=True, slots=True)
class Soft(Strategy):
    """A soft ttl, by default a third of the time to live: load once it has passed, serve the old outcome on failure.

    A failure is one of `errors`.
    """

    errors: tuple[type[Exception], ...] = (Exception,)
    name: ClassVar[str] = "soft"

    def disowns(self, found: object) -> bool:
        return is_entry_of_cashews_7(found)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        return Serve(entry.outcome) if now < entry.deadline else LoadOrServe(self.errors)

    @property
    def freshness(self) -> str:
        return "now() < entry.deadline"

    def seal(
        self, outcome: Outcome, ttl: float | None, own_ttl: float | None, cost: float, wall: Callable[[], float]
    ) -> Entry:
        return Entry(outcome, wall() + own_or_share(own_ttl, ttl), cost)


@dataclass(frozen=True, slots=True)
class Hit(Strategy):
    """A count of hits: serve an outcome `cache_hits` times, then load; refresh it behind the `update_after`-th hit.

    `update_after=0` never refreshes. `background=False` loads while the caller waits.
    """

    cache_hits: int
    update_after: int = 0
    background: bool = True
    name: ClassVar[str] = "hit"
    read: ClassVar[type[Recall]] = GetHit

    def foresee(self, found: object | Absent, now: float) -> Verdict:
        return self.judge(counted(found) if type(found) is Entry else found, now, no_chance)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        if entry.hits <= self.cache_hits and entry.hits != self.update_after:
            return Serve(entry.outcome)
        if entry.hits > self.cache_hits:
            return LOAD
        return ServeAndRefresh(entry.outcome) if self.background else LoadOrServe((Exception,))

    @property
    def freshness(self) -> str:
        return f"entry.hits <= {self.cache_hits} and entry.hits != {self.update_after}"

    def seal(
        self, outcome: Outcome, ttl: float | None, own_ttl: float | None, cost: float, wall: Callable[[], float]
    ) -> Entry:
        return Entry(outcome, math.inf, cost)


@dataclass(frozen=True, slots=True)
class Failover(Strategy):
    """A fallback: run the function at each call, and serve the stored outcome on a covered exception."""

    covered: tuple[type[Exception], ...]
    name: ClassVar[str] = "failover"
    stores_bare: ClassVar[bool] = True

    @property
    def covers(self) -> tuple[type[Exception], ...]:
        return self.covered

    def judge(self, found: object | Absent, now: float, draw: Draw) -> LoadOrServe:
        return LoadOrServe(self.covered)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> LoadOrServe:
        return self.judge(entry, now, draw)

    def seal(
        self, outcome: Outcome, ttl: float | None, own_ttl: float | None, cost: float, wall: Callable[[], float]
    ) -> object:
        return bare(outcome)
