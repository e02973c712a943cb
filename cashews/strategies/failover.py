"""Failover: the function always runs; what it returned last is served when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cashews._typing import Absent
from cashews.entry import Entry, Loaded
from cashews.strategies.strategy import Draw, Strategy, bare
from cashews.verdicts import LoadOrServe


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
