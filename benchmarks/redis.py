"""The Redis stores: how fast they are with many callers and with one, and how many round trips decorated calls take."""

from __future__ import annotations

from .environments import Environment
from .latency import Case, Effort, LatencyResults, measure
from .server import ServerError, server
from .singles import RIVALS, Single, single
from .subjects import REDIS_SUBJECTS, Subject

CASES = (
    Case("redis_get_text", "`get` of a short string, 100 callers"),
    Case("redis_get_record", "`get` of a small dict, 100 callers"),
    Case("redis_set_text", "`set` of a short string, 100 callers"),
    Case("redis_set_record", "`set` of a small dict, 100 callers"),
    Case("redis_get_alone", "`get` of a short string, one caller"),
    Case("redis_two_sets", "two `set`s, one caller"),
    Case("redis_transaction_fast", "two `set`s in a transaction, `fast`, one caller"),
    Case("redis_transaction_locked", "two `set`s in a transaction, `locked`, one caller"),
    Case("redis_transaction_serializable", "two `set`s in a transaction, `serializable`, one caller"),
)
ROUND_TRIPS = {
    "decorated_hit": "decorated, hit",
    "decorated_miss": "decorated, cold miss",
    "lock_hit": "decorated with `lock=True`, hit",
    "lock_miss": "decorated with `lock=True`, cold miss",
    "early_hit": "`early`, hit",
    "soft_hit": "`soft`, hit",
    "hit_hit": "`hit`, hit",
    "failover": "`failover`, function runs",
    "failover_hit": "`failover`, function fails",
    "iterator_hit": "`iterator`, hit of 10 items",
    "locked": "`locked`, free",
    "rate_limit": "`rate_limit`, allowed",
    "slice_rate_limit": "`slice_rate_limit`, allowed",
    "circuit_breaker": "`circuit_breaker`, closed",
    "bloom": "`bloom`, not in the set",
    "dual_bloom": "`dual_bloom`, in the set",
    "invalidate": "`invalidate`, one key",
    "two_sets": "two `set`s",
    "transaction_fast": "two `set`s in a transaction, `fast`",
    "transaction_locked": "two `set`s in a transaction, `locked`",
    "transaction_serializable": "two `set`s in a transaction, `serializable`",
    "get_many": "`get_many` of 10 keys",
    "incr": "`incr`",
}


def throughput(environments: dict[str, Environment], cases: list[Case], effort: Effort) -> LatencyResults:
    """Measure the cases on a server of our own."""
    try:
        with server(environments["peers"]) as url:
            return measure(environments, cases, effort, REDIS_SUBJECTS, url)
    except ServerError as error:
        return LatencyResults([], REDIS_SUBJECTS, versions={}, broken={"server": str(error)})


def round_trips(environments: dict[str, Environment]) -> list[Single]:
    """Count what a warm call of each decorator says to a server, one of its own for each library."""
    return [_round_trips(environments, subject) for subject in RIVALS]


def _round_trips(environments: dict[str, Environment], subject: Subject) -> Single:
    try:
        with server(environments["peers"]) as url:
            return single(environments, subject, "round_trips.py", url, *ROUND_TRIPS)
    except ServerError as error:
        return Single(subject, {}, str(error))
