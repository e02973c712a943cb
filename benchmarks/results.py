"""All that one run has measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .latency import LatencyResults, Outcome
from .singles import Single


@dataclass
class Results:
    """The results of one run; what was not asked for is empty."""

    machine: dict[str, str]
    quick: bool
    latency: LatencyResults | None = None
    redis: LatencyResults | None = None
    near: LatencyResults | None = None
    disk: LatencyResults | None = None
    singles: dict[str, list[Single]] = field(default_factory=dict[str, list[Single]])

    @property
    def suites(self) -> dict[str, LatencyResults]:
        """What was measured in rounds, by name."""
        suites = {"latency": self.latency, "redis": self.redis, "near": self.near, "disk": self.disk}
        return {name: each for name, each in suites.items() if each is not None}

    def errors(self) -> list[tuple[str, str, str]]:
        """Return what could not be measured: the case, the subject, and why."""
        found: list[tuple[str, str, str]] = []
        for suite, latency in self.suites.items():
            found += [(suite, name, error) for name, error in latency.broken.items()]
            found += [(each.case.name, each.subject.name, each.error) for each in latency.outcomes if each.error]
        for name, singles in self.singles.items():
            found += [(name, each.subject.name, each.error) for each in singles if each.error]
        return found

    def rounds(self) -> Iterator[tuple[str, str, str, int, str, str]]:
        """Yield each round: suite, case, subject, number, seconds of one call, and how many times as long as ours."""
        for suite, latency in self.suites.items():
            for outcome in latency.outcomes:
                times = [f"{seconds:.4g}" for seconds in outcome.seconds]
                ratios = [f"{ratio:.4g}" for ratio in latency.ratios(outcome)] or [""] * len(times)
                for number, (seconds, ratio) in enumerate(zip(times, ratios, strict=True), 1):
                    yield suite, outcome.case.name, outcome.subject.name, number, seconds, ratio

    def as_json(self) -> dict[str, Any]:
        """Return everything, each round included, as values that JSON has."""
        return {
            "machine": self.machine,
            "quick": self.quick,
            **{name: _latency_as_json(each) for name, each in self.suites.items()},
            "singles": {
                name: [{"subject": each.subject.name, "error": each.error, **each.answer} for each in singles]
                for name, singles in self.singles.items()
            },
            "errors": [list(error) for error in self.errors()],
        }


def _latency_as_json(latency: LatencyResults) -> dict[str, Any]:
    return {
        "versions": latency.versions,
        "reference": latency.reference.name,
        "outcomes": [_outcome_as_json(latency, each) for each in latency.outcomes],
    }


def _outcome_as_json(latency: LatencyResults, outcome: Outcome) -> dict[str, Any]:
    ratio = latency.ratio(outcome)
    return {
        "case": outcome.case.name,
        "subject": outcome.subject.name,
        "seconds": outcome.seconds,
        "beside": outcome.beside,
        "median": outcome.median if outcome.seconds else None,
        "executions": outcome.executions,
        "ratio": [ratio.median, ratio.lowest, ratio.highest] if ratio else None,
        "error": outcome.error,
    }
