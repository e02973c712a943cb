"""The stores that have to behave alike, each as a `Subject`: how a suite sets a cache up that it is tested on.

`SUITES` lists the suites that run on several of them. The fixtures `subject`, `clock` and `cache` of such a suite are
those of `tests/conftest.py`.

A *cell* is one subject on one event loop and, for Redis, one kind of server. The plain stores `mem`, `redis` and `disk`
run on every loop and every kind of server. The others are variants: each differs from its plain store by options whose
code knows neither loop nor kind of server, so a variant runs in one cell, and the variants are spread over the loops.
`--full` runs every subject in every cell.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cashews import Cache, add_prefix
from cashews.testing.clock import VirtualClock
from tests.servers import PATIENTLY, binaries

HERE = Path(__file__).parent
AGES = 10**9
"""Seconds for which values are served from memory after the server was last heard: a test moves time by years."""
MANY = 10_000
"""More keys than one page of any backend holds; each of them has to have room."""


async def hand_on(call, _cmd, _backend, *args, **kwargs):
    """Change nothing, but have every message pass the chain instead of being served in place."""
    return await call(*args, **kwargs)


@dataclass(frozen=True)
class Subject:
    """How to set up a cache for a suite; `clock` is the time that its values live in."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    middlewares: Sequence[Any] = ()
    listeners: Sequence[Any] = ()
    refuses: frozenset[str] = frozenset()
    """The marks of tests about things that the store refuses, as the pages about it say."""
    in_transaction: bool = False
    """Whether everything that a test asks of the cache is part of one transaction."""
    loop: str = ""
    """The event loop that a variant runs on; a plain store runs on each."""

    @property
    def served(self) -> bool:
        """Whether it needs a server."""
        return self.url.startswith("redis")

    @property
    def is_clustered(self) -> bool:
        """Whether its server is three masters."""
        return self.url.startswith("redis+cluster:")

    @property
    def on_disk(self) -> bool:
        """Whether it needs a directory."""
        return self.url.startswith("disk:")

    @property
    def name(self) -> str:
        """What its backend is called."""
        return self.url.partition(":")[0].partition("+")[0]

    @property
    def many(self) -> int:
        """How many keys are many pages of it; asking a server for each of them, or for its lock, takes a while."""
        if self.served or self.on_disk:
            return 150 if self.in_transaction else 1_500
        return 7_000

    @property
    def grain(self) -> float:
        """How many seconds a deadline that it tells may be off: servers count in milliseconds."""
        return 0.001 if self.served else 0.0

    def open(self, clock: VirtualClock, *, middlewares: Sequence[Any] = (), **options: Any) -> Cache:
        chain = (*self.middlewares, *middlewares)
        if self.served:
            from tests.server_time import OwnEntries, stores_of  # noqa: PLC0415  it needs the extra `redis`

            chain = (*chain, OwnEntries(clock))
        cache = Cache.open(self.url, middlewares=chain, clock=clock, **{**self.options, **options})
        for listener in self.listeners:
            cache.on_remove(listener)
        if self.served:
            clock.stores += stores_of(cache)
        if self.on_disk:
            clock.caches.append(cache)
        return cache


MEMORY = {
    "mem": Subject("mem://", {"size": MANY}),
    "mem-copies-watched": Subject("mem://", {"size": MANY, "copy": "deep"}, listeners=[lambda *_: None], loop="trio"),
    "mem-chained-unswept": Subject("mem://", {"size": MANY, "check_interval": 0}, middlewares=[hand_on], loop="trio"),
    "mem-pickled-signed": Subject(
        "mem://", {"size": MANY, "secret": "s", "compress_type": "zlib", "compress_threshold": 0}, loop="asyncio"
    ),
}
SIGNED = {"secret": "a made-up secret", "digestmod": "sha256", "compress_type": "zlib", "compress_threshold": 1}
STRICT = {"suppress": False}
"""What a server refuses is an error, so that no suite takes a failure for an absent value."""
NEAR = {"client_side": True, "client_side_prefix": "near:", "client_side_lag": AGES}
REDIS = {
    "redis": Subject("redis:", STRICT),
    "redis-signed-resp2": Subject("redis:", {**STRICT, **SIGNED, "protocol": 2}, loop="trio"),
    "redis-many-chained": Subject("redis:", {**STRICT, "connections": 3}, middlewares=[hand_on], loop="asyncio"),
    "redis-near": Subject("redis:", {**STRICT, **NEAR}, loop="trio"),
    "redis-near-decoding-chained": Subject(
        "redis:", {**STRICT, **NEAR, "client_side_copy": "decode"}, middlewares=[hand_on], loop="asyncio"
    ),
}
IN_SLOTS = frozenset({"over_slots", "several_keys"})
"""Marks of tests about a turn that reaches beyond one slot of a cluster; a prefix in braces brings all into one."""
CLUSTER = {
    "redis-cluster": Subject("redis+cluster:", STRICT, refuses=IN_SLOTS, loop="trio"),
    "redis-cluster-signed-chained": Subject(
        "redis+cluster:", {**STRICT, **SIGNED}, [hand_on], refuses=IN_SLOTS, loop="asyncio"
    ),
    "redis-cluster-near": Subject("redis+cluster:", {**STRICT, **NEAR}, refuses=IN_SLOTS, loop="asyncio"),
    "redis-cluster-one-slot": Subject(
        "redis+cluster:", STRICT, [add_prefix("{one}")], refuses=frozenset({"over_slots"}), loop="asyncio"
    ),
}
DISK = {
    "disk": Subject("disk://", STRICT),
    "disk-sharded-signed": Subject("disk://", {**STRICT, **SIGNED, "shards": 3}, loop="asyncio"),
    "disk-files-chained": Subject(
        "disk://",
        {**STRICT, "disk_min_file_size": 1, "eviction_policy": "least-recently-used"},
        middlewares=[hand_on],
        loop="trio",
    ),
}
"""Two options that share no code share a variant; a failure tells which by what it says, or by `--full`."""
APART = {
    "redis-signed": Subject("redis:", {**STRICT, **SIGNED}),
    "redis-chained": Subject("redis:", STRICT, middlewares=[hand_on]),
    "redis-many": Subject("redis:", {**STRICT, "connections": 3}),
    "redis-resp2": Subject("redis:", {**STRICT, "protocol": 2}),
    "disk-sharded": Subject("disk://", {**STRICT, "shards": 3}),
    "disk-signed": Subject("disk://", {**STRICT, **SIGNED}),
}
"""The options of the variants one by one, for `--full` alone."""
STORES = {**MEMORY, **REDIS, **CLUSTER, **DISK, **APART}
IN_TRANSACTION = {
    f"{name}-in-transaction": replace(STORES[name], in_transaction=True, loop=loop)
    for name, loop in {
        "mem": "trio",
        "mem-copies-watched": "asyncio",
        "mem-pickled-signed": "trio",
        "redis": "asyncio",
        "disk": "trio",
    }.items()
}
SUBJECTS = {**STORES, **IN_TRANSACTION}

ONE_EACH = {"redis": "asyncio", "disk": "trio"}
"""For suites about code that asks the same of every store: a store that answers at once on each loop, and one that has
to be waited for on each."""


@dataclass(frozen=True)
class Suite:
    """The subjects that a suite runs on; those in `loops` run on one loop alone, like variants."""

    subjects: Sequence[str]
    loops: Mapping[str, str] = field(default_factory=dict)
    start: float = 0.0
    """The instant at which the suite's clock begins."""


SUITES = {
    "conformance": Suite([name for name in SUBJECTS if name != "redis-cluster-one-slot"], start=1_000),
    "tags": Suite(
        [name for name in STORES if name not in ("mem-pickled-signed", "redis-resp2", "redis-cluster-one-slot")]
    ),
    "tags/test_transactions.py": Suite(
        [name for name in STORES if name not in ("mem-pickled-signed", "redis-resp2", "redis-cluster")]
    ),
    "transactions": Suite(
        ["mem", "mem-pickled-signed", "redis", "redis-cluster-one-slot", "disk", "disk-sharded-signed", "disk-sharded"],
        start=1_000,
    ),
    "conformance/test_unreadable_values.py": Suite(
        ["mem-pickled-signed", "redis", "redis-signed-resp2", "disk", "disk-files-chained"], start=1_000
    ),
    "strategies": Suite(["mem", "redis", "disk"], ONE_EACH),
    "guards": Suite(["mem", "redis", "disk"], ONE_EACH),
    "cancellation/test_invalidated_loads.py": Suite(
        ["mem", "redis", "redis-many-chained", "redis-many", "redis-cluster", "disk"]
    ),
    "transactions/test_copies.py": Suite(["mem", "mem-copies-watched", "mem-pickled-signed", "redis", "disk"]),
    "cancellation/test_overtaken_loads.py": Suite(["mem", "redis", "disk"], ONE_EACH),
    "strategies/test_batching.py": Suite(["mem"]),
    "serialize/test_slices.py": Suite(["mem-pickled-signed", "redis", "disk"], ONE_EACH),
}
"""Directory or file of tests -> the subjects that it runs on."""


def suite_of(path: Path) -> Suite | None:
    """Return the suite that a file of tests belongs to."""
    name = path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else ""
    return SUITES.get(name) or SUITES.get(name.partition("/")[0])


def is_left_out(path: Path, subject: tuple[str, str], loop: str | None, loops: Sequence[str]) -> bool:
    """Say whether a cell is for `--full` alone: a variant on another loop or another kind of server than its own.

    :param subject: the name of a subject, and the kind of its server
    :param loop: the loop that the test runs on, `None` for a test without one
    :param loops: the loops that were asked for; a variant whose own is not among them runs on the first
    """
    name, kind = subject
    if name in APART:
        return True
    suite = suite_of(path)
    own = SUBJECTS[name].loop or (suite.loops.get(name, "") if suite else "")
    is_elsewhere = bool(own and loop) and loop != (own if own in loops else loops[0])
    return is_elsewhere or (bool(SUBJECTS[name].loop) and kind not in ("", next(iter(binaries()), "none")))


def each(names: Iterable[str]) -> list[Any]:
    """Return the parameters of a fixture `subject`: those that need a server once for each kind, and marked so."""
    return [param for name in names for param in _params(name)]


def _params(name: str) -> list[Any]:
    if SUBJECTS[name].on_disk:
        return [pytest.param((name, ""), id=name, marks=pytest.mark.diskcache)]
    if not SUBJECTS[name].served:
        return [pytest.param((name, ""), id=name)]
    kinds = binaries() or ["none"]
    ids = [name if len(kinds) == 1 else f"{name}@{kind}" for kind in kinds]
    return [pytest.param((name, kind), id=id_, marks=pytest.mark.redis) for kind, id_ in zip(kinds, ids, strict=True)]


on_memory = pytest.mark.parametrize("subject", each(["mem"]), indirect=True)
"""Marks a test that is about the store in memory alone, in a suite that runs on others too."""


def subject_of(request: pytest.FixtureRequest) -> Subject:
    """Return the subject that a test is parametrized with, on a server without a key or in an empty directory."""
    name, kind = request.param
    subject = SUBJECTS[name]
    if subject.on_disk:
        directory = request.getfixturevalue("room") / "cache"
        return replace(subject, options={**subject.options, "directory": directory})
    if not subject.served:
        return subject
    if subject.is_clustered:
        cluster = request.getfixturevalue("clusters")(kind)
        cluster.empty()
        return replace(subject, url=f"{cluster.url}?{PATIENTLY}")
    return replace(subject, url=request.getfixturevalue("empty")(kind).patient_url)


def rows_in(directory: Path, table: str) -> int:
    """Count the rows of a table in all files of a store on disk."""
    rows = 0
    for path in directory.rglob("cache.db"):
        with closing(sqlite3.connect(path)) as connection:
            rows += len(connection.execute("SELECT * FROM " + table).fetchall())  # noqa: S608  a table of the test
    return rows


def clock_of(subject: Subject, monkeypatch: pytest.MonkeyPatch, start: float = 0.0) -> VirtualClock:
    """Return a clock that the subject lives in."""
    if subject.on_disk:
        from tests.disk_time import DiskClock  # noqa: PLC0415  it needs the extra `diskcache`

        return DiskClock(start)
    if not subject.served:
        return VirtualClock(start)
    from tests.server_time import ServerClock, own_time  # noqa: PLC0415  likewise

    clock = ServerClock(start)
    own_time(monkeypatch, clock)
    return clock
