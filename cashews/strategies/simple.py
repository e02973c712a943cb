"""Simple: what is found is served until it expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cashews.entry import Entry, Loaded
from cashews.strategies.strategy import Draw, Strategy, bare
from cashews.verdicts import Serve


@dataclass(frozen=True, slots=True)
class Simple(Strategy):
    """Keeps bare values, which are served without a judgement."""

    name: ClassVar[str] = "simple"

    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Serve:
        return Serve(entry.outcome)

    def seal(self, loaded: Loaded) -> object:
        return bare(loaded.outcome)
