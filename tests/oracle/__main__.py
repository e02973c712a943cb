"""The oracle as a command: ``python -m tests.oracle --store mem --loop trio --seed 1 --operations 100000``.

It runs episodes from consecutive seeds until so many operations are done, and names the seed of one that fails.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from contextlib import ExitStack
from time import perf_counter

import anyio

from tests.oracle.episode import Tally, run_episode
from tests.servers import Server

STORES = ("mem", "mem-copies", "disk", "disk-sharded", "redis")


def address(store: str, stack: ExitStack) -> tuple[str, dict[str, object]]:
    """Return the URL and the options of a store of the oracle's own."""
    if store == "redis":
        return stack.enter_context(Server()).url, {
            "suppress": False,
            "socket_timeout": 30,
            "socket_connect_timeout": 30,
        }
    if store.startswith("disk"):
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        return "disk://", {"directory": directory, "suppress": False, **({"shards": 3} if "sharded" in store else {})}
    return "mem://", {"copy": "deep"} if store == "mem-copies" else {}


async def run(url: str, options: dict[str, object], first: int, operations: int, tally: Tally) -> None:
    seed = first
    while tally.operations < operations:
        try:
            await run_episode(url, options, seed, tally)
        except BaseException:
            print(f"seed {seed} failed", file=sys.stderr)
            raise
        seed += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=STORES, default="mem")
    parser.add_argument("--loop", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=100_000)
    asked = parser.parse_args()
    logging.getLogger("cashews").setLevel(logging.CRITICAL)  # failures are part of the program
    tally = Tally()
    started = perf_counter()
    with ExitStack() as stack:
        url, options = address(asked.store, stack)
        anyio.run(run, url, options, asked.seed, asked.operations, tally, backend=asked.loop)
    seconds = perf_counter() - started
    print(f"{asked.store} on {asked.loop}, from seed {asked.seed}: {tally.operations:,} operations in {seconds:.0f} s,")
    print(f"{tally.reads:,} reads checked, {tally.old_reads:,} of them older than the newest version,")
    print(f"{tally.cancelled:,} cancelled, {tally.errors:,} failed by design; no stale read, nothing left")


if __name__ == "__main__":
    main()
