"""All that one run has measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .latency import Case, LatencyResults, Outcome, Ratio
from .singles import Single
from .subjects import ORIGINAL, OURS, Subject


@dataclass
class Results:
    """The results of one run; what was not asked for is empty."""

    machine: dict[str, str]
    quick: bool
    latency: LatencyResults | None = None
    singles: dict[str, list[Single]] = field(default_factory=dict[str, list[Single]])

    @property
    def reference(self) -> Subject:
        """What the others are compared with: this library, or the original if this one could not be loaded."""
        return ORIGINAL if self.latency is not None and OURS.name in self.latency.broken else OURS

    def ratio(self, outcome: Outcome) -> Ratio | None:
        """Compare an outcome with the reference, if both were measured and are different."""
        assert self.latency is not None
        reference = self.latency.of(outcome.case, self.reference)
        if reference is None or reference is outcome or reference.error is not None or outcome.error is not None:
            return None
        return Ratio.between(outcome.seconds, reference.seconds)

    @property
    def cases(self) -> list[Case]:
        """The cases that were measured, in order."""
        return list(dict.fromkeys(each.case for each in self.latency.outcomes)) if self.latency else []

    def errors(self) -> list[tuple[str, str, str]]:
        """Return what could not be measured: the case, the subject, and why."""
        found: list[tuple[str, str, str]] = []
        if self.latency is not None:
            found += [("latency", name, error) for name, error in self.latency.broken.items()]
            found += [(each.case.name, each.subject.name, each.error) for each in self.latency.outcomes if each.error]
        for name, singles in self.singles.items():
            found += [(name, each.subject.name, each.error) for each in singles if each.error]
        return found

    def as_json(self) -> dict[str, Any]:
        """Return everything, each round included, as values that JSON has."""
        return {
            "machine": self.machine,
            "quick": self.quick,
            "versions": self.latency.versions if self.latency else {},
            "reference": self.reference.name,
            "latency": [self._outcome_as_json(each) for each in self.latency.outcomes] if self.latency else [],
            "singles": {
                name: [{"subject": each.subject.name, "error": each.error, **each.answer} for each in singles]
                for name, singles in self.singles.items()
            },
            "errors": [list(error) for error in self.errors()],
        }

    def _outcome_as_json(self, outcome: Outcome) -> dict[str, Any]:
        ratio = self.ratio(outcome)
        return {
            "case": outcome.case.name,
            "subject": outcome.subject.name,
            "seconds": outcome.seconds,
            "median": outcome.median if outcome.seconds else None,
            "executions": outcome.executions,
            "ratio": [ratio.median, ratio.lowest, ratio.highest] if ratio else None,
            "error": outcome.error,
        }
