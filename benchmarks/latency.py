"""How long operations take: every case, for every library that has it, in rounds that go from one to the next.

The machine's speed changes from one second to the next, and so do all absolute figures. What is compared is therefore
measured one right after the other, and each round has ratios of its own; we report their median and their range.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from statistics import median

from .connection import Worker, WorkerError, worker
from .environments import Environment
from .progress import show
from .subjects import ORIGINAL, OURS, SUBJECTS, Subject


@dataclass(frozen=True)
class Case:
    """An operation that is measured; `name` is the name of the method in `workers/cases_*.py` that prepares it."""

    name: str
    title: str
    crowd: bool = False
    """Whether it is one big operation of many callers: measured less often, and in a table of its own."""


CASES = (
    Case("decorated_hit", 'decorated, hit (`key="user:{uid}"`)'),
    Case("decorated_miss", "decorated, cold miss"),
    Case("get", "`get`"),
    Case("set", "`set` with a TTL"),
    Case("get_many", "`get_many` of 10 keys"),
    Case("incr", "`incr`"),
    Case("one_middleware", "`get` through one middleware"),
    Case("ten_middlewares", "`get` through ten middlewares"),
    Case("ten_prefixes", "`get` beside 10 mounted prefixes"),
    Case("thousand_prefixes", "`get` beside 1,000 mounted prefixes"),
    Case("early_hit", "`early`, hit"),
    Case("soft_hit", "`soft`, hit"),
    Case("hit_hit", "`hit`, hit"),
    Case("dynamic", "`dynamic`, three hits to a load"),
    Case("failover", "`failover`, function runs"),
    Case("failover_hit", "`failover`, function fails"),
    Case("rate_limit", "`rate_limit`, allowed"),
    Case("slice_rate_limit", "`slice_rate_limit`, 10 in 1 ms"),
    Case("circuit_breaker", "`circuit_breaker`, closed"),
    Case("locked", "`locked`, free"),
    Case("bloom", "`bloom`, not in the set"),
    Case("dual_bloom", "`dual_bloom`, in the set"),
    Case("invalidate", "`invalidate`, one key"),
    Case("iterator_hit", "`iterator`, hit of 10 items"),
    Case("two_sets", "two `set`s"),
    Case("transaction_fast", "two `set`s in a transaction, `fast`"),
    Case("transaction_locked", "two `set`s in a transaction, `locked`"),
    Case("transaction_serializable", "two `set`s in a transaction, `serializable`"),
    Case("stampede", "10,000 callers of one cold key at once", crowd=True),
)


@dataclass(frozen=True)
class Effort:
    """How often a case is measured, and for how long each time; `crowd_rounds` is for cases with a crowd.

    In pairs, the first subject is measured again before each of the others.
    """

    rounds: int
    seconds: float
    crowd_rounds: int
    pairs: bool = False


@dataclass
class Outcome:
    """What was measured of one case for one subject: the seconds of one call in each round, or an error."""

    case: Case
    subject: Subject
    seconds: list[float] = field(default_factory=list[float])
    beside: list[float] = field(default_factory=list[float])
    """What the first subject took right before, if they were measured in pairs."""
    executions: int | None = None
    error: str | None = None

    @property
    def median(self) -> float:
        """The seconds that one call takes."""
        return median(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """How many times as long as the reference something takes: the median and the range over the rounds."""

    median: float
    lowest: float
    highest: float


@dataclass
class Station:
    """A subject's worker, once it has said what it can do."""

    subject: Subject
    worker: Worker
    version: str = ""
    cases: frozenset[str] = frozenset()
    error: str | None = None

    def meet(self) -> None:
        """Wait until the worker has loaded its library."""
        try:
            answer = self.worker.answer()
        except WorkerError as error:
            self.error = str(error)
            show(f"{self.subject.name} cannot be measured: {error}")
        else:
            self.version = answer["version"]
            self.cases = frozenset(answer["cases"])


@dataclass
class LatencyResults:
    """All outcomes, with the versions of the libraries and the errors of those that could not be loaded."""

    outcomes: list[Outcome]
    subjects: Sequence[Subject]
    versions: dict[str, str]
    broken: dict[str, str]

    def of(self, case: Case, subject: Subject) -> Outcome | None:
        """Return the outcome of a case for a subject, if it was measured."""
        found = [outcome for outcome in self.outcomes if outcome.case == case and outcome.subject == subject]
        return found[0] if found else None

    @property
    def reference(self) -> Subject:
        """What the others are compared with: this library, or the original if this one could not be loaded."""
        mine = next(each for each in self.subjects if each.environment == OURS.environment)
        others = next((each for each in self.subjects if each.environment == ORIGINAL.environment), mine)
        return others if mine.name in self.broken else mine

    @property
    def cases(self) -> list[Case]:
        """The cases that were measured, in order."""
        return list(dict.fromkeys(each.case for each in self.outcomes))

    def ratios(self, outcome: Outcome) -> list[float]:
        """Compare an outcome with the reference, round by round; empty unless both were measured and are different."""
        reference = self.of(outcome.case, self.reference)
        if reference is None or reference is outcome or reference.error is not None or outcome.error is not None:
            return []
        return [one / other for one, other in zip(outcome.seconds, outcome.beside or reference.seconds, strict=True)]

    def ratio(self, outcome: Outcome) -> Ratio | None:
        """Sum up the comparison of an outcome with the reference."""
        ratios = self.ratios(outcome)
        return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None


def measure(
    environments: dict[str, Environment],
    cases: Iterable[Case],
    effort: Effort,
    subjects: Sequence[Subject] = SUBJECTS,
    *arguments: str,
) -> LatencyResults:
    """Start a worker for each subject and measure the cases one after the other; the arguments are for the workers."""
    with ExitStack() as stack:
        stations = [Station(each, stack.enter_context(_worker(environments, each, arguments))) for each in subjects]
        for station in stations:
            station.meet()
        outcomes = [outcome for case in cases for outcome in _measure_case(stations, case, effort)]
    return LatencyResults(
        outcomes,
        subjects,
        versions={station.subject.library: station.version for station in stations if station.error is None},
        broken={station.subject.name: station.error for station in stations if station.error is not None},
    )


def _worker(
    environments: dict[str, Environment], subject: Subject, arguments: Iterable[str]
) -> AbstractContextManager[Worker]:
    return worker(environments[subject.environment], "serve.py", subject.cases, subject.loop, *arguments)


def _measure_case(stations: Iterable[Station], case: Case, effort: Effort) -> list[Outcome]:
    able = [station for station in stations if case.name in station.cases]
    outcomes = [Outcome(case, station.subject) for station in able]
    rounds = effort.crowd_rounds if case.crowd else effort.rounds
    show(f"{case.name}: rounds: {rounds}, in turn: {len(able)}")
    for _ in range(rounds):
        for station, outcome in zip(able, outcomes, strict=True):
            if effort.pairs and outcome is not outcomes[0]:
                _measure_pair((able[0], outcomes[0]), (station, outcome), effort.seconds)
            elif not effort.pairs:
                _measure_once(station, outcome, effort.seconds)
    return outcomes


def _measure_pair(first: tuple[Station, Outcome], other: tuple[Station, Outcome], seconds: float) -> None:
    _measure_once(*first, seconds)
    _measure_once(*other, seconds)
    if first[1].error is None and other[1].error is None:
        other[1].beside.append(first[1].seconds[-1])


def _measure_once(station: Station, outcome: Outcome, seconds: float) -> None:
    if outcome.error is not None:
        return
    try:
        answer = station.worker.ask(case=outcome.case.name, seconds=seconds)
    except WorkerError as error:
        outcome.error = str(error)
        show(f"  {station.subject.name}: {error}")
    else:
        outcome.seconds.append(answer["seconds"] / answer["calls"])
        outcome.executions = answer["executions"]
