"""`python -m benchmarks`: measures this library, its peers and the original in turn, and writes the report."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import disk, latency, near, plot, redis, singles
from .connection import WorkerError
from .environments import ROOT, Environment, EnvironmentFailedError, prepare
from .latency import CASES, Effort
from .machine import facts
from .progress import show
from .report import Files, page
from .results import Results
from .singles import Single

INTERRUPTED = 130
FILES = Files("benchmarks.svg", "benchmarks-hit-ratios.svg", "benchmarks-rounds.csv")


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    effort: Effort
    store_effort: Effort
    keys: int
    values: tuple[str, ...]
    rounds: int


FULL = Extent(
    effort=Effort(rounds=15, seconds=0.1, crowd_rounds=5),
    store_effort=Effort(rounds=15, seconds=0.1, crowd_rounds=0, pairs=True),
    keys=1_000_000,
    values=("small int", "short string"),
    rounds=15,
)
QUICK = Extent(
    effort=Effort(rounds=5, seconds=0.02, crowd_rounds=1),
    store_effort=Effort(rounds=3, seconds=0.05, crowd_rounds=0, pairs=True),
    keys=100_000,
    values=("short string",),
    rounds=5,
)
ALL_REDIS = "redis"
ALL_NEAR = "near"
ALL_DISK = "disk"

SINGLES: dict[str, Callable[[dict[str, Environment], Extent], list[Single]]] = {
    "stall": lambda environments, extent: singles.stalls(environments, extent.keys),
    "crowded": lambda environments, extent: singles.crowded(environments, extent.keys),
    "hit_ratios": lambda environments, extent: singles.hit_ratios(environments, extent.keys // 5),
    "memory": lambda environments, extent: singles.memory(environments, extent.keys, extent.values),
    "imports": lambda environments, extent: singles.imports(environments, extent.rounds),
    "hot_path": lambda environments, extent: singles.hot_path(environments, extent.rounds),
    "web": lambda environments, extent: singles.web(environments, extent.rounds),
    "round_trips": lambda environments, _: redis.round_trips(environments),
    "disk_stall": lambda environments, extent: disk.stalls(environments, extent.keys),
}


def main() -> int:
    """Run the command and return its exit status."""
    options = _options()
    try:
        results = _measure(options)
    except (EnvironmentFailedError, WorkerError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    _publish(results, options)
    return 0


def _options() -> argparse.Namespace:
    suites = [*CASES, *redis.CASES, *near.CASES, *disk.CASES]
    names = [*[case.name for case in suites], ALL_REDIS, ALL_NEAR, ALL_DISK, *SINGLES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and keys: about a minute")
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="CASE",
        help=f"measure this alone; repeatable: {', '.join(names)}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with each round, instead of the page")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder for benchmarks.md and the files beside it; docs/ after a full run, otherwise nothing is written",
    )
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> Results:
    extent = QUICK if options.quick else FULL
    wanted: list[str] = options.only or [*[case.name for case in CASES], ALL_REDIS, ALL_NEAR, ALL_DISK, *SINGLES]
    environments = prepare()
    results = Results(facts(), options.quick)
    cases = [case for case in CASES if case.name in wanted]
    if cases:
        results.latency = latency.measure(environments, cases, extent.effort)
    on_a_server = [case for case in redis.CASES if {case.name, ALL_REDIS} & set(wanted)]
    if on_a_server:
        results.redis = redis.throughput(environments, on_a_server, extent.store_effort)
    near_by = [case for case in near.CASES if {case.name, ALL_NEAR} & set(wanted)]
    if near_by:
        results.near = near.throughput(environments, near_by, extent.store_effort)
    on_disk = [case for case in disk.CASES if {case.name, ALL_DISK} & set(wanted)]
    if on_disk:
        results.disk = disk.throughput(environments, on_disk, extent.store_effort)
    results.singles = {name: single(environments, extent) for name, single in SINGLES.items() if name in wanted}
    return results


def _publish(results: Results, options: argparse.Namespace) -> None:
    complete = not (options.quick or options.only)
    folder: Path | None = options.output or (ROOT / "docs" if complete else None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        drawings = {FILES.latencies: plot.latencies(results), FILES.hit_ratios: plot.hit_ratios(results)}
        for name, drawing in drawings.items():
            if drawing is not None:
                (folder / name).write_text(drawing, encoding="utf-8")
        with (folder / FILES.rounds).open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("suite", "case", "library", "round", "seconds", "ratio"))
            rows.writerows(results.rounds())
        (folder / "benchmarks.md").write_text(page(results, FILES), encoding="utf-8")
        show(f"written: {folder / 'benchmarks.md'}")
    print(json.dumps(results.as_json(), indent=2) if options.json else page(results))


if __name__ == "__main__":
    sys.exit(main())
