"""The judge of the race: compares what the readers have read with the writer's log."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.near.writer import KEYS


@dataclass(slots=True)
class Write:
    """A write to one key: the version, its life in seconds, whether it stored, and when it began and was answered."""

    version: int
    life: float | None
    stored: bool
    began: float
    answered: float


@dataclass(slots=True)
class Verdict:
    """The figures of a race: counts of reads by what was wrong with them, and the staleness of each run in seconds."""

    reads: int = 0
    went_back: int = 0
    marked: int = 0
    behind: int = 0
    own: int = 0
    unseen: int = 0
    invented: int = 0
    hits: int = 0
    connects: int = 0
    staleness: list[float] = field(default_factory=list)
    """By how much each run of reads outlasted its value."""
    after_expiry: float = 0.0
    """The longest time for which a value was read after its life."""

    @property
    def oldest(self) -> float:
        return max(self.staleness, default=0.0)

    def quantile(self, part: float) -> float:
        """Return the staleness that a part of the runs does not exceed."""
        ordered = sorted(self.staleness)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        ms = 1000
        return (
            f"{self.reads:,} reads ({self.hits:,} from memory), {self.went_back} went back, {self.behind} of"
            f" {self.marked:,} behind the marker, {self.unseen} of {self.own:,} own writes unseen, {self.invented}"
            f" invented; after expiry at most {self.after_expiry * ms:.2f} ms; staleness p99"
            f" {self.quantile(0.99) * ms:.1f} ms, at most {self.oldest * ms:.1f} ms; {self.connects} connects"
        )


class Judge:
    """Holds the writer's log, key by key."""

    def __init__(self, log: list[list[Any]]) -> None:
        self._writes: dict[str, list[Write]] = defaultdict(list)
        for version, keys, life, stored, began, answered in log:
            for key in keys:
                write = Write(version, None if life is None else life / 1000, stored, began, answered)
                self._writes[key].append(write)
        self._versions = {key: [write.version for write in writes] for key, writes in self._writes.items()}

    def judge(self, readers: list[dict[str, Any]]) -> Verdict:
        verdict = Verdict()
        for reader in readers:
            verdict.reads += reader["reads"]
            verdict.hits += reader["near_hits"]
            verdict.own += reader["own"]
            verdict.unseen += reader["unseen"]
            verdict.went_back += reader["went_back"]
            verdict.connects += reader["connects"]
            for key in KEYS:
                self._judge_runs(verdict, key, reader["runs"][key])
            for marker, key, value, _, came in reader["marked"]:
                verdict.marked += 1
                verdict.behind += self._is_behind(marker, key, value, came)
        return verdict

    def _judge_runs(self, verdict: Verdict, key: str, runs: list[list[Any]]) -> None:
        for value, _, last in runs:
            if value is None:
                continue
            place = bisect_right(self._versions.get(key, []), value) - 1
            if place < 0 or self._versions[key][place] != value:
                verdict.invented += 1
                continue
            write = self._writes[key][place]
            later = self._writes[key][place + 1 : place + 2]
            verdict.staleness.append(max(0.0, *[last - each.answered for each in later] or [0.0]))
            if write.life is not None:
                verdict.after_expiry = max(verdict.after_expiry, last - write.answered - write.life)

    def _is_behind(self, marker: int, key: str, value: int | None, came: float) -> bool:
        """Say whether a read is older than what the marker, read before on the same connection, promises."""
        place = bisect_right(self._versions.get(key, []), marker) - 1
        if place < 0:
            return False
        write = self._writes[key][place]
        if value is not None:
            return value < write.version
        return not any(each.life is not None or not each.stored for each in self._since(key, place, came))

    def _since(self, key: str, place: int, until: float) -> Iterator[Write]:
        """Give the writes to a key from one on, up to an instant."""
        for write in self._writes[key][place:]:
            if write.began > until:
                return
            yield write
