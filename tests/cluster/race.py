"""The race of `tests.near.race` on a cluster, with a slot that moves from node to node, and masters that change.

``python -m tests.cluster.race --seconds 30`` runs it on every server that can be had and on both loops.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import cycle

from cashews.backends.redis.slots import slot_of
from tests.clusters import MASTERS, Cluster, clustered
from tests.near.judge import Verdict
from tests.near.race import faults, race
from tests.servers import binaries

SECONDS = 3.0
PREFIX = "{race}:"
"""The beginning of all keys: they lie in one slot."""
INTERVAL = 0.2
"""Seconds between two moves."""
UNORDERED = {"behind the marker", "after expiry"}
"""Faults that a move may have: there is no order between nodes, and `MIGRATE` lets a value live a little longer."""


def run(
    cluster: Cluster, loop: str, *, moves: bool, fails_over: bool = False, seconds: float = SECONDS, bug: str = ""
) -> Verdict:
    """Run a race in one slot.

    :param moves: have the slot move, again and again
    :param fails_over: have the replica of its master take over after every second move
    """
    slot = slot_of(PREFIX)

    def move() -> None:
        cluster.begin_move(slot)
        cluster.end_move(slot)

    def fail_over() -> None:
        cluster.fail_over(cluster.nodes.index(cluster.owner(slot)))

    acts: list[Callable[[], object]] = [move, move, fail_over] if fails_over else [move]
    turns = cycle(acts)

    def disturb() -> None:
        next(turns)()

    cut = INTERVAL if moves else 0.0
    url, first = cluster.url, cluster.nodes[0]
    return race(first, loop, seconds, url=url, prefix=PREFIX, disturb=disturb, cut=cut, bug=bug)


def broken(verdict: Verdict, *, moves: bool) -> list[str]:
    """Return the promises that a race has broken."""
    return [fault for fault in faults(verdict) if not (moves and fault in UNORDERED)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--loop", action="append", choices=("asyncio", "trio"))
    asked = parser.parse_args()
    failed = False
    for kind in binaries():
        for loop in asked.loop or ("asyncio", "trio"):
            with clustered(kind, replicas=MASTERS) as cluster:
                verdict = run(cluster, loop, moves=True, fails_over=True, seconds=asked.seconds)
                wrong = broken(verdict, moves=True)
            failed |= bool(wrong)
            print(f"{kind} {loop}: {verdict}; {cluster.failovers} failovers; {wrong or 'all kept'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
