"""The results as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .figures import digits, duration, rate, times
from .latency import Case, LatencyResults, Outcome
from .redis import ROUND_TRIPS
from .results import Results
from .singles import Single
from .subjects import Subject

INTRODUCTION = """\
# Benchmarks

This page is written by `python -m benchmarks`, which makes the environments it needs and measures everything on your
own machine. `python -m benchmarks --quick` takes about a minute and prints the page without writing it.

Each library runs in a process of its own. A case goes round all of them again and again, one right after the other,
and ratios are taken within each round, because a machine's speed changes from one second to the next. Times are
medians over the rounds. All caches have room for a million keys and a TTL of ten minutes; decorated functions do
nothing; the same small cost of making the call is part of every figure. cachetools awaits nothing: its figures are a
floor, not a rival's.
"""
ROUNDS = "[Each round of each case, with its ratio]({}), is a table for programs.\n"

REDIS = """\
Server and client on this machine; the keys are spread over a thousand. The original and this library write and read \
values, redis.asyncio and coredis bytes of the same size. With 100 callers each makes its next call when its last one \
is answered. Each library is measured in turns with this one, and ratios are those of the pairs."""

NEAR = """\
The same cases with `client_side=True`, in memory and on a server. The original runs with redis-py 5.3, since its \
client side hears of no change with a later one. The server remembers every key that is read \
(`tracking-table-max-keys 0`). Each is measured in turns with this library's client-side cache."""

DISK = """\
Files in the folder for temporary files of this machine, with the settings that they have unless one asks for others. \
With 100 callers each makes its next call when its last one is answered. Each library is measured in turns with this \
one, and ratios are those of the pairs."""

CROWDED = """\
The longest time for which the event loop stood still; how long the work took in brackets."""

HIT_RATIOS = """\
The percentage of requests that find their key. The traces come from a seed, and go over 50,000 keys and as many new \
ones as they say. LRU is an exact one, for comparison."""

DISK_STALLS = """\
The longest time for which the event loop stood still, in one file; how long the work took in brackets."""

WEB = """\
Requests to a FastAPI application in process, without a server, one after the other: twenty records as JSON. The \
caches have the response, or the function its value, in memory (hishel in SQLite, in memory). Ratios are those of each \
round."""


@dataclass(frozen=True)
class Files:
    """The names of the files beside the page; `None` for those that there are not."""

    latencies: str | None = None
    hit_ratios: str | None = None
    rounds: str | None = None


NO_FILES = Files()

TRIPS = """\
What a warm call says to the server, counted by a proxy between the two. A round trip is all that a connection sends \
until it is answered: commands in one write (joined by +) are one, and so is a script."""


def page(results: Results, files: Files = NO_FILES) -> str:
    """Return the page, with links to the files beside it."""
    sections = [INTRODUCTION, *_facts(results)]
    if files.rounds is not None:
        sections.append(ROUNDS.format(files.rounds))
    if results.latency is not None:
        sections += _latency(results.latency, files.latencies)
    if results.redis is not None:
        sections += _throughput(results.redis, "Redis", REDIS)
    if results.near is not None:
        sections += _throughput(results.near, "Client-side cache", NEAR)
    if results.disk is not None:
        sections += _throughput(results.disk, "Disk", DISK)
    writers = {
        "stall": _stalls,
        "crowded": _crowded,
        "hit_ratios": _hit_ratios,
        "memory": _memory,
        "imports": _imports,
        "hot_path": _hot_path,
        "web": _web,
        "round_trips": _round_trips,
        "disk_stall": _disk_stalls,
    }
    for name, singles in results.singles.items():
        measured = [each for each in singles if each.error is None]
        if measured:
            sections += writers[name](measured)
        if name == "hit_ratios" and files.hit_ratios is not None:
            sections.append(f"![Hit ratios, one dot for each eviction]({files.hit_ratios})\n")
    sections += _errors(results)
    return "\n".join(sections)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Return a table; its first columns, so many as `texts` says, hold text and the others figures."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    ruler = [":--"] * texts + ["--:"] * (len(header) - texts)
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, ruler, *escaped])


def _facts(results: Results) -> Iterator[str]:
    machine = results.machine
    yield f"Measured with {machine['python']} on {machine['processor']} ({machine['system']})."
    if results.quick:
        yield "This was a quick run: fewer rounds, a tenth of the keys."
    versions = {name: version for suite in results.suites.values() for name, version in suite.versions.items()}
    if versions:
        yield f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}."
    yield ""


def _latency(latency: LatencyResults, plot: str | None) -> Iterator[str]:
    cases = [case for case in latency.cases if not case.crowd]
    if cases:
        yield f"## Operations\n\nIn brackets: how many times as long as {latency.reference.name}.\n"
        yield _comparison(latency, cases, duration)
        if plot:
            yield f"![Operation latency, one dot for each library]({plot})\n"
    for case in latency.cases:
        if case.crowd:
            yield f"## {case.title}\n\nThe function sleeps 20 ms. Without single flight it runs for every caller.\n"
            yield _table(["library", "executions", "time for all"], _crowd(latency, case))


def _measured(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.error is None


def _throughput(latency: LatencyResults, store: str, how: str) -> Iterator[str]:
    if latency.cases:
        yield f"## {store}: calls a second\n\n{how} In brackets: how many times as long as {latency.reference.name}.\n"
        yield _comparison(latency, latency.cases, rate)


def _comparison(latency: LatencyResults, cases: Sequence[Case], written: Callable[[float], str]) -> str:
    subjects = [each for each in latency.subjects if any(_measured(latency.of(case, each)) for case in cases)]
    rows = [[case.title, *[_cell(latency, case, each, written) for each in subjects]] for case in cases]
    return _table(["case", *[each.name for each in subjects]], rows)


def _cell(latency: LatencyResults, case: Case, subject: Subject, written: Callable[[float], str]) -> str:
    outcome = latency.of(case, subject)
    if outcome is None:
        return ""
    if outcome.error is not None:
        return "error"
    ratio = latency.ratio(outcome)
    return written(outcome.median) + (f" ({times(ratio.median)})" if ratio else "")


def _crowd(latency: LatencyResults, case: Case) -> Iterator[list[str]]:
    for outcome in latency.outcomes:
        if outcome.case == case and outcome.error is None:
            yield [outcome.subject.name, f"{outcome.executions:,}", duration(outcome.median)]


def _stalls(measured: Sequence[Single]) -> Iterator[str]:
    keys = measured[0].answer["keys"]
    yield f"## {keys:,} keys expire at one instant\n"
    yield "The longest time for which the event loop stood still while they were swept; calm: the same without keys.\n"
    rows = [
        [each.subject.name, _remarks(each), duration(each.answer["stall"]), duration(each.answer["calm"])]
        for each in measured
    ]
    yield _table(["library", "remarks", "longest stall", "calm"], rows, texts=2)


def _disk_stalls(measured: Sequence[Single]) -> Iterator[str]:
    yield f"## Disk: stalls, with {measured[0].answer['keys']:,} keys\n\n{DISK_STALLS}\n"
    yield _steps(measured)


def _crowded(measured: Sequence[Single]) -> Iterator[str]:
    yield f"## Stalls with {measured[0].answer['keys']:,} keys in memory\n\n{CROWDED}\n"
    yield _steps(measured)


def _steps(measured: Sequence[Single]) -> str:
    steps = [{step["name"]: step for step in each.answer["steps"]} for each in measured]
    rows = [[name, *[_stall(each.get(name)) for each in steps]] for name in steps[0]]
    return _table(["work", *[each.subject.name for each in measured]], rows)


def _hit_ratios(measured: Sequence[Single]) -> Iterator[str]:
    yield f"## Hit ratios of the evictions of `mem://`\n\n{HIT_RATIOS}\n"
    names = list(measured[0].answer["traces"][0]["ratios"])
    rows = [
        [each["trace"], f"{single.answer['size']:,}", *[f"{100 * each['ratios'][name]:.1f}" for name in names]]
        for single in measured
        for each in single.answer["traces"]
    ]
    yield _table(["trace", "size", *names], rows)


def _stall(step: dict[str, Any] | None) -> str:
    return "" if step is None else f"{duration(step['stall'])} ({duration(step['seconds'])})"


def _remarks(single: Single) -> str:
    remarks: list[str] = []
    if single.answer["left"]:
        remarks.append(f"{single.answer['left']:,} keys were never swept")
    if not single.answer["filled_in_time"]:
        remarks.append("some keys expired before the last was set")
    return "; ".join(remarks) or "all swept"


def _memory(measured: Sequence[Single]) -> Iterator[str]:
    keys = measured[0].answer["keys"]
    yield f"## Bytes for each of {keys:,} keys with a TTL\n"
    yield "Growth of a fresh process, key (`user:123456`) and value included; a small integer itself costs nothing.\n"
    values = list(dict.fromkeys(each.answer["value"] for each in measured))
    subjects = list(dict.fromkeys(each.subject for each in measured))
    found = {(each.subject, each.answer["value"]): digits(each.answer["bytes_per_key"]) for each in measured}
    rows = [[subject.name, *[found.get((subject, value), "") for value in values]] for subject in subjects]
    yield _table(["library", *[f"value: {value}" for value in values]], rows)


def _imports(measured: Sequence[Single]) -> Iterator[str]:
    yield "## Import\n\nIn a fresh process, compiled already; first what an application has anyway, then the library.\n"
    rows = [
        [
            each.subject.name,
            ", ".join(each.answer["pulled_in"]) or "none",
            f"{each.answer['base']}: {duration(each.answer['base_seconds'])}",
            duration(each.answer["seconds"]),
        ]
        for each in measured
    ]
    yield _table(["library", "optional packages pulled in", "base", "the library itself"], rows, texts=2)


def _hot_path(measured: Sequence[Single]) -> Iterator[str]:
    yield "## The steps of a decorated hit\n"
    rows = [
        [step["name"], step["error"], ""]
        if "error" in step
        else [step["name"], duration(step["median"]), duration(step["best"])]
        for step in measured[0].answer["steps"]
    ]
    yield _table(["step", "median", "best"], rows)


def _web(measured: Sequence[Single]) -> Iterator[str]:
    answer = measured[0].answer
    versions = ", ".join(f"{name} {version}" for name, version in answer["versions"].items())
    yield f"## Web: a request\n\n{WEB} {versions}.\n"
    rows = [[name, duration(each), times(answer["ratios"][name])] for name, each in answer["seconds"].items()]
    yield _table(["application", "a request", "of FastAPI alone"], rows)
    yield f"The three middlewares make a request with a cached function {times(answer['three'])} as long.\n"


def _round_trips(measured: Sequence[Single]) -> Iterator[str]:
    yield f"## Redis: round trips of a decorated call\n\n{TRIPS}\n"
    libraries = [single.subject.name for single in measured]
    found = [{each["case"]: each for each in single.answer["trips"]} for single in measured]
    rows = [
        [title, *[_said(each[name]) for each in found], *[_count(each[name]) for each in found]]
        for name, title in ROUND_TRIPS.items()
    ]
    header = ["call", *[f"what {name} says" for name in libraries], *[f"trips, {name}" for name in libraries]]
    yield _table(header, rows, texts=1 + len(libraries))


def _said(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return str(answer["error"])
    return ", ".join(_runs([" + ".join(_runs(trip)) for trip in answer["trips"]]))


def _count(answer: dict[str, Any]) -> str:
    return "" if "error" in answer else str(len(answer["trips"]))


def _runs(texts: Sequence[str]) -> Iterator[str]:
    for text, equal in groupby(texts):
        number = len(list(equal))
        yield text if number == 1 else f"{number} \N{MULTIPLICATION SIGN} {text}"


def _errors(results: Results) -> Iterator[str]:
    errors = results.errors()
    if errors:
        yield "## What could not be measured\n"
        yield _table(["case", "library", "why"], errors, texts=3)
