"""The figures of decorated functions: the counts of one, and the snapshot that users get."""

from __future__ import annotations

from collections import Counter

from cashews._dataclass import dataclass


@dataclass(frozen=True, slots=True)
class CallStatistics:
    """The figures of one decorated function, or of all functions of a cache together. A snapshot.

    `calls`: all calls. `hits`: those answered by a stored value. `stale`: those answered by an old value, while a new
    one was loaded or because that failed or took too long. `shared`: those that got the outcome of another call's load.
    `loads`: the runs of the function whose outcome could be stored, those in the background included. `load_seconds`:
    the seconds that they took. `errors`: those that raised. `refused`: results that were not stored, since `condition`,
    `time_condition` or `upper` said so. `refreshes`: the loads that were asked for in the background. `uncached`: the
    times that the cache could not do its part, by reason.
    """

    calls: int
    hits: int
    stale: int
    shared: int
    loads: int
    load_seconds: float
    errors: int
    refused: int
    refreshes: int
    uncached: dict[str, int]

    @property
    def misses(self) -> int:
        """The other calls: those that loaded for themselves, and those that the cache could do nothing for."""
        return self.calls - self.hits - self.stale - self.shared

    @property
    def hit_ratio(self) -> float:
        """The share of the calls that were answered by a stored value, old or not; 0 before the first call."""
        return (self.hits + self.stale) / self.calls if self.calls else 0.0


class CallCounts:
    """What has happened to the calls of one function so far."""

    __slots__ = (
        *("errors", "hits", "load_seconds", "loads", "others"),
        *("refreshes", "refused", "shared", "stale", "uncached"),
    )

    def __init__(self) -> None:
        self.hits = self.others = 0
        """The calls that were hits, and the others: a hit costs one addition."""
        self.stale = self.shared = 0
        self.loads = self.errors = self.refused = self.refreshes = 0
        self.load_seconds = 0.0
        self.uncached: Counter[str] = Counter()

    def add(self, other: CallCounts) -> None:
        """Add the counts of another function."""
        for name in self.__slots__:
            if name != "uncached":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.uncached.update(other.uncached)

    def statistics(self) -> CallStatistics:
        """Return a snapshot."""
        return CallStatistics(
            calls=self.hits + self.others,
            hits=self.hits,
            stale=self.stale,
            shared=self.shared,
            loads=self.loads,
            load_seconds=self.load_seconds,
            errors=self.errors,
            refused=self.refused,
            refreshes=self.refreshes,
            uncached=dict(self.uncached),
        )
