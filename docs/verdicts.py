"""Writes `reference/verdicts.md`: asks every strategy for its verdict in every situation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cashews._typing import ABSENT
from cashews.strategies.entry import Entry, Returned
from cashews.strategies.strategies import Early, Failover, Hit, Simple, Soft
from cashews.strategies.strategy import Load, LoadOrServe, Serve, ServeAndRefresh, Strategy, Verdict

PAGE = Path(__file__).parent / "reference" / "verdicts.md"
NOW, TTL, OWN_TTL, COST = 1000.0, 60.0, 20.0, 1.0

STRATEGIES: dict[str, Strategy] = {
    "`cache(ttl)`": Simple(),
    "`early(ttl, early_ttl)`": Early(),
    "`early(..., beta=1)`, an unlucky draw": Early(beta=1.0),
    "`early(..., background=False)`": Early(background=False),
    "`soft(ttl, soft_ttl)`": Soft(),
    "`hit(ttl, cache_hits=3, update_after=2)`": Hit(3, 2),
    "`hit(..., background=False)`": Hit(3, 2, background=False),
    "`dynamic(ttl)`": Hit(3, 1),
    "`failover(ttl)`": Failover((Exception,)),
}

SITUATIONS = ("nothing stored", "just stored", "past its own ttl", "at hit 1", "at hit 2", "past the last hit")

WORDS: dict[type, str] = {
    Serve: "serve",
    ServeAndRefresh: "serve, refresh behind",
    Load: "load",
    LoadOrServe: "load, else serve",
}

INTRODUCTION = f"""# Verdicts

What a strategy answers, given what was found. Generated from the code by `python docs/verdicts.py`; the tests compare.
Here a value was loaded in {COST:g} s, is kept for {TTL:g} s, and its strategy's own ttl is {OWN_TTL:g} s.

* **serve**: answer with what was found.
* **serve, refresh behind**: answer with what was found, and have a worker of the engine load it anew: one load per key,
  at most 16 at once. After a failure the key is left alone for 1 s, then 2 s, 4 s, ... 60 s.
* **load**: run the function. Concurrent calls of the key share the load (`protected=False`: they do not).
* **load, else serve**: run the function; if it raises one of the covered exceptions, answer with what is stored *then*.

"""

OPTIONS = """
## What every strategy takes

| Option | Where it acts | What it does |
| --- | --- | --- |
| `condition`, `time_condition` | after a load | decide whether the outcome is stored; both have to agree |
| `jitter` | when storing | shortens the ttl at random by up to this share |
| `protected` | load | concurrent calls of one key share a load |
| `lock` | load | other processes wait, and find what was stored |
| `upper` | after a load | what came from another cache is not stored |
| `hard_timeout` | load | the function may take so long, then `LoadTimeoutError` is its outcome |
| `soft_timeout` | load, else serve | callers wait so long, then get what is stored; the load ends behind |

A load whose key is invalidated while it runs is returned to those who wait for it, and not stored.
"""


def found(strategy: Strategy, situation: str) -> object:
    """Return what a strategy finds in a situation."""
    if situation == "nothing stored":
        return ABSENT
    kept = strategy.seal(Returned("value"), TTL, OWN_TTL, COST, lambda: NOW)
    if isinstance(kept, Entry) and isinstance(strategy, Hit):
        kept.hits = {"at hit 1": 1, "at hit 2": 2, "past the last hit": 4}.get(situation, 3)
    return kept


def applies(strategy: Strategy, situation: str) -> bool:
    """Say whether a situation exists for a strategy."""
    return isinstance(strategy, Hit) or "hit" not in situation


def verdict(strategy: Strategy, situation: str) -> Verdict:
    """Return a strategy's verdict in a situation."""
    now = NOW + (OWN_TTL if situation == "past its own ttl" else 0.0)
    return strategy.judge(found(strategy, situation), now, draw=lambda: 1.0 - 1e-12)


def rows() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| | " + " | ".join(SITUATIONS) + " |"
    yield "| --- |" + " --- |" * len(SITUATIONS)
    for name, strategy in STRATEGIES.items():
        cells = [
            WORDS[type(verdict(strategy, situation))] if applies(strategy, situation) else ""
            for situation in SITUATIONS
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"


def page() -> str:
    """Return the whole page."""
    return INTRODUCTION + "\n".join(rows()) + "\n" + OPTIONS


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
