"""What is measured: each library on each event loop that it runs on. A new peer is one more line."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Subject:
    """A library on an event loop.

    `cases` names the module of its cases (`workers/cases_*.py`), `environment` the virtual environment it lives in,
    `colour` its dots in the plot.
    """

    library: str
    loop: str
    cases: str
    environment: str
    colour: str

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.library if self.loop == "asyncio" else f"{self.library}, {self.loop}"


OURS = Subject("cashews", "asyncio", "cashews", "ours", "#d55e00")
OURS_ON_TRIO = Subject("cashews", "trio", "cashews", "ours", "#e69f00")
ORIGINAL = Subject("original", "asyncio", "cashews", "original", "#0072b2")

SUBJECTS = (
    OURS,
    OURS_ON_TRIO,
    ORIGINAL,
    Subject("aiocache", "asyncio", "aiocache", "peers", "#009e73"),
    Subject("async-lru", "asyncio", "async_lru", "peers", "#cc79a7"),
    Subject("anyio lru_cache", "asyncio", "anyio", "peers", "#56b4e9"),
    Subject("anyio lru_cache", "trio", "anyio", "peers", "#8ad0f0"),
    Subject("cachetools (sync)", "asyncio", "cachetools", "peers", "#999999"),
)

REDIS_SUBJECTS = (
    *[replace(each, cases="redis_cashews") for each in (OURS, OURS_ON_TRIO, ORIGINAL)],
    Subject("redis.asyncio", "asyncio", "redis_py", "peers", "#009e73"),
    Subject("coredis", "asyncio", "coredis", "peers", "#cc79a7"),
    Subject("coredis", "trio", "coredis", "peers", "#cc79a7"),
)

NEAR_SUBJECTS = (
    *[replace(each, cases="near") for each in (OURS, OURS_ON_TRIO)],
    *[replace(each, cases="near_memory", library="cashews in memory") for each in (OURS, OURS_ON_TRIO)],
    *[replace(each, cases="near_plain", library="cashews on redis://") for each in (OURS, OURS_ON_TRIO)],
    replace(ORIGINAL, cases="near", environment="original-near"),
    Subject("coredis", "asyncio", "near_coredis", "peers", "#cc79a7"),
    Subject("coredis", "trio", "near_coredis", "peers", "#cc79a7"),
)
"""With the client-side cache first: the others are compared with it. The original's works with redis-py 5 alone."""

DISK_SUBJECTS = tuple([replace(each, cases="disk_cashews") for each in (OURS, OURS_ON_TRIO, ORIGINAL)])
