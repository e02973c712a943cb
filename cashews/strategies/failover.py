"""Failover: the function always runs; what it returned last is served when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cashews.entry import Entry, Loaded
from cashews.strategies.strategy import Draw, Strategy, bare
from cashews.verdicts import LoadOrServe, Verdict


@dataclass(frozen=True, slots=True)
class Failover(Strategy):
    """Falls back on `errors`; nothing is read unless the function fails."""

    errors: tuple[type[Exception], ...]
    name: ClassVar[str] = "failover"
    reads_first: ClassVar[bool] = False

    def judge_absent(self) -> LoadOrServe:
        return LoadOrServe(self.errors)

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        return LoadOrServe(self.errors)

    def seal(self, loaded: Loaded) -> object:
        return bare(loaded.outcome)
