"""The client-side cache: hits and misses, beside other stores and the peers that have one."""

from __future__ import annotations

from .environments import Environment
from .latency import Case, Effort, LatencyResults, measure
from .server import ServerError, server
from .subjects import NEAR_SUBJECTS

CASES = (
    Case("near_decorated", "decorated, hit"),
    Case("near_early", "`early`, hit"),
    Case("near_get", "`get` of a short string, hit"),
    Case("near_get_record", "`get` of a small dict, hit"),
    Case("near_get_many", "`get_many` of 10 keys, hits"),
    Case("near_set", "`set`, one caller"),
    Case("near_miss", "`get` of ever new keys, one caller"),
    Case("near_misses", "`get` of ever new keys, 100 callers"),
    Case("near_mixed", "`get`, nine in ten of a few keys, the others ever new, 100 callers"),
)
WITHOUT_FORGETTING = ("--tracking-table-max-keys", "0")
"""The cases read more new keys than the million that a server remembers by default; each more has it forget another
key, most of all those whose names begin like few others, and what the memories have of these is gone."""


def throughput(environments: dict[str, Environment], cases: list[Case], effort: Effort) -> LatencyResults:
    """Measure the cases on a server of our own."""
    try:
        with server(environments["peers"], *WITHOUT_FORGETTING) as url:
            return measure(environments, cases, effort, NEAR_SUBJECTS, url)
    except ServerError as error:
        return LatencyResults([], NEAR_SUBJECTS, versions={}, broken={"server": str(error)})
