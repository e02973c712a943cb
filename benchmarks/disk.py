"""The disk stores: how fast they are with many callers and with one, and how long the event loop stands still."""

from __future__ import annotations

import tempfile
from functools import partial

from .environments import Environment
from .latency import Case, Effort, LatencyResults, measure
from .singles import Single, single
from .subjects import DISK_SUBJECTS, ORIGINAL, OURS, OURS_ON_TRIO, Subject

CASES = (
    Case("disk_set", "`set` of a small dict, one file, 100 callers"),
    Case("disk_get", "`get` of a small dict, one file, 100 callers"),
    Case("disk_set_sharded", "`set` of a small dict, 8 files, 100 callers"),
    Case("disk_get_sharded", "`get` of a small dict, 8 files, 100 callers"),
    Case("disk_set_alone", "`set` of a small dict, one file, one caller"),
    Case("disk_get_alone", "`get` of a small dict, one file, one caller"),
)


def throughput(environments: dict[str, Environment], cases: list[Case], effort: Effort) -> LatencyResults:
    """Measure the cases in a directory of our own."""
    with tempfile.TemporaryDirectory() as directory:
        return measure(environments, cases, effort, DISK_SUBJECTS, directory)


def stalls(environments: dict[str, Environment], keys: int) -> list[Single]:
    """Measure how long the event loop stands still under load, and with many keys of this library."""
    stall = partial(_stall, environments)
    return [stall(OURS, keys), stall(OURS_ON_TRIO, keys), stall(ORIGINAL, 0)]


def _stall(environments: dict[str, Environment], subject: Subject, keys: int) -> Single:
    with tempfile.TemporaryDirectory() as directory:
        return single(environments, subject, "disk_stall.py", subject.loop, str(keys), directory)
