"""What is measured in fresh processes: stalls of the event loop, memory, imports, and the steps of the hot path."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from .connection import WorkerError, run_script
from .environments import Environment
from .progress import show
from .subjects import ORIGINAL, OURS, Subject

RIVALS = (OURS, ORIGINAL)
BASES = {OURS: "anyio", ORIGINAL: "asyncio"}
"""What an application has imported anyway, before it imports the library."""


@dataclass(frozen=True)
class Single:
    """What one script said about one subject, or why it said nothing."""

    subject: Subject
    answer: dict[str, Any]
    error: str | None = None


def stalls(environments: dict[str, Environment], keys: int) -> list[Single]:
    """Measure how long the event loop stands still while keys expire."""
    return [single(environments, subject, "stall.py", str(keys)) for subject in RIVALS]


def crowded(environments: dict[str, Environment], keys: int) -> list[Single]:
    """Measure how long the event loop stands still with many keys in a memory store."""
    return [single(environments, subject, "crowded.py", str(keys)) for subject in RIVALS]


def hit_ratios(environments: dict[str, Environment], requests: int) -> list[Single]:
    """Measure how often each eviction of this library finds a key, with little room and with more."""
    return [single(environments, OURS, "hit_ratios.py", str(size), str(requests)) for size in (500, 5_000)]


def memory(environments: dict[str, Environment], keys: int, values: tuple[str, ...]) -> list[Single]:
    """Measure how many bytes a key takes, for each kind of value."""
    return [single(environments, subject, "memory.py", str(keys), value) for value in values for subject in RIVALS]


def imports(environments: dict[str, Environment], rounds: int) -> list[Single]:
    """Measure how long importing takes, in turn; each answer has the median."""
    for subject in RIVALS:  # compiles what is not compiled yet
        single(environments, subject, "imports.py", BASES[subject], "cashews")
    tries = [
        single(environments, subject, "imports.py", BASES[subject], "cashews", quietly=True)
        for _ in range(rounds)
        for subject in RIVALS
    ]
    return [_middle([each for each in tries if each.subject == subject]) for subject in RIVALS]


def hot_path(environments: dict[str, Environment], rounds: int) -> list[Single]:
    """Measure the steps of a decorated hit."""
    return [single(environments, OURS, "hot_path.py", str(rounds))]


def web(environments: dict[str, Environment], rounds: int) -> list[Single]:
    """Measure requests to an application, plain and behind caches."""
    return [single(environments, OURS, "web.py", str(rounds))]


def _middle(tries: list[Single]) -> Single:
    if failed := [each for each in tries if each.error is not None]:
        return failed[0]
    middles = {name: median([each.answer[name] for each in tries]) for name in ("seconds", "base_seconds")}
    return Single(tries[0].subject, {**tries[0].answer, **middles})


def single(
    environments: dict[str, Environment], subject: Subject, script: str, *arguments: str, quietly: bool = False
) -> Single:
    """Run a script in the environment of a subject."""
    if not quietly:
        show(f"{script} {' '.join(arguments[:2])}: {subject.name}")
    try:
        return Single(subject, run_script(environments[subject.environment], script, *arguments))
    except WorkerError as error:
        if not quietly:
            show(f"  {subject.name}: {error}")
        return Single(subject, {}, str(error))
