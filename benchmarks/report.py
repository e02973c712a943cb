"""The results as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .figures import digits, duration, times
from .latency import Case, LatencyResults, Outcome
from .results import Results
from .singles import Single
from .subjects import SUBJECTS, Subject

INTRODUCTION = """\
# Benchmarks

This page is written by `python -m benchmarks`, which makes the environments it needs and measures everything on your
own machine. `python -m benchmarks --quick` takes less than a minute and prints the page without writing it.

Each library runs in a process of its own. A case goes round all of them again and again, one right after the other,
and ratios are taken within each round, because a machine's speed changes from one second to the next. Times are
medians over the rounds. All caches have room for a million keys and a TTL of ten minutes; decorated functions do
nothing; the same small cost of making the call is part of every figure. cachetools awaits nothing: its figures are a
floor, not a rival's.
"""


def page(results: Results, plot: str | None) -> str:
    """Return the page; `plot` is the name of the picture's file, if there is one."""
    sections = [INTRODUCTION, *_facts(results)]
    if results.latency is not None:
        sections += _latency(results, results.latency, plot)
    writers = {"stall": _stalls, "memory": _memory, "imports": _imports, "hot_path": _hot_path}
    for name, singles in results.singles.items():
        measured = [each for each in singles if each.error is None]
        if measured:
            sections += writers[name](measured)
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
    if results.latency is not None and results.latency.versions:
        versions = results.latency.versions
        yield f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}."
    yield ""


def _latency(results: Results, latency: LatencyResults, plot: str | None) -> Iterator[str]:
    cases = [case for case in results.cases if not case.crowd]
    if cases:
        subjects = [each for each in SUBJECTS if any(_measured(latency.of(case, each)) for case in cases)]
        yield f"## Operations\n\nIn brackets: how many times as long as {results.reference.name}.\n"
        yield _table(["case", *[each.name for each in subjects]], [_row(results, case, subjects) for case in cases])
        if plot:
            yield f"![Operation latency, one dot for each library]({plot})\n"
        yield f"### Ratios to {results.reference.name}, over the rounds\n"
        yield _table(["case", "library", "median", "lowest", "highest"], _ratios(results, cases), texts=2)
    for case in results.cases:
        if case.crowd:
            yield f"## {case.title}\n\nThe function sleeps 20 ms. Without single flight it runs for every caller.\n"
            yield _table(["library", "executions", "time for all"], _crowd(latency, case))


def _measured(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.error is None


def _row(results: Results, case: Case, subjects: Sequence[Subject]) -> list[str]:
    return [case.title, *[_cell(results, case, subject) for subject in subjects]]


def _cell(results: Results, case: Case, subject: Subject) -> str:
    assert results.latency is not None
    outcome = results.latency.of(case, subject)
    if outcome is None:
        return ""
    if outcome.error is not None:
        return "error"
    ratio = results.ratio(outcome)
    return duration(outcome.median) + (f" ({times(ratio.median)})" if ratio else "")


def _ratios(results: Results, cases: Sequence[Case]) -> Iterator[list[str]]:
    assert results.latency is not None
    for outcome in results.latency.outcomes:
        ratio = results.ratio(outcome)
        if outcome.case in cases and ratio is not None:
            figures = [times(value) for value in (ratio.median, ratio.lowest, ratio.highest)]
            yield [outcome.case.title, outcome.subject.name, *figures]


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


def _errors(results: Results) -> Iterator[str]:
    errors = results.errors()
    if errors:
        yield "## What could not be measured\n"
        yield _table(["case", "library", "why"], errors, texts=3)
