"""Figures of a cluster in trouble, in real time: ``python -m tests.cluster.figures`` measures on each server and loop.

``--seconds 10`` is how long two of three masters are down; ``--handovers 100`` is how often a lock goes to another
cache.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from statistics import median
from time import monotonic

import anyio
from anyio.to_thread import run_sync

from cashews import Cache
from cashews.exceptions import CacheBackendInteractionError
from tests.cluster.test_failovers import QUICKLY, of_master, succeeded
from tests.clusters import MASTERS, Cluster, clustered, until
from tests.internals import inside
from tests.servers import PATIENTLY, binaries

MS = 1000
CALLERS = 20


async def hand_over(cluster: Cluster, times: int) -> str:
    """Measure the time from an unlock until the next holder has the lock, in another cache."""
    taken: list[float] = []
    url = f"{cluster.url}?{PATIENTLY}"
    async with Cache.open(url, suppress=False) as one, Cache.open(url, suppress=False) as other:
        waits, fences = [], []

        async def take(cache: Cache) -> None:
            async with cache.lock("key", 30) as held:
                taken.append(monotonic())
                fences.append(held.fence)

        for _ in range(times):
            async with anyio.create_task_group() as tasks, one.lock("key", 30) as held:
                fences.append(held.fence)
                tasks.start_soon(take, other)
                await run_sync(until, lambda: any(node.command("PUBSUB", "CHANNELS") for node in cluster.nodes))
                await other.ping()
                released = monotonic()
            waits.append(taken[-1] - released)
    grows = fences == sorted(set(fences))
    return f"handed over after {median(waits) * MS:.1f} ms, at most {max(waits) * MS:.1f}; fence grows: {grows}"


async def lose_a_master(cluster: Cluster) -> str:
    """Measure how soon the slots of a killed master are served after its replica has taken over."""
    key, heir = of_master(0)[0], cluster.replicas[0]
    failed = 0
    async with Cache.open(f"{cluster.url}?{QUICKLY}", suppress=False) as cache:

        async def use_others() -> None:
            nonlocal failed
            while True:
                for other in (of_master(1)[0], of_master(2)[0]):
                    failed += not await cache.set(other, 1)

        await cache.set(key, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use_others)
            began = monotonic()
            await run_sync(cluster.nodes[0].kill)
            await run_sync(until, lambda: heir.command("ROLE")[0] == b"master")
            there = monotonic()
            await succeeded(cache, key)
            served = monotonic()
            tasks.cancel_scope.cancel()
    return f"heir after {there - began:.2f} s, served {served - there:.3f} s later, {failed} failures at other masters"


async def go_down(cluster: Cluster, seconds: float) -> str:
    """Measure how often the table is asked for while the cluster is down, and how soon it is used again."""
    key = of_master(0)[0]
    async with Cache.open(f"{cluster.url}?{QUICKLY}", suppress=False) as cache:

        async def call() -> None:
            while True:
                with suppress(CacheBackendInteractionError):
                    await cache.get(key)

        await cache.set(key, 1)
        topology = inside(cache).store()._servers
        for node in cluster.nodes[1:]:
            await run_sync(node.kill)
        await run_sync(until, lambda: b"cluster_state:fail" in cluster.nodes[0].command("CLUSTER", "INFO"))
        before, began = topology.refreshes, monotonic()
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(call)
        rate = (topology.refreshes - before) / (monotonic() - began)
        for node in cluster.nodes[1:]:
            await run_sync(node.start)
        await run_sync(cluster.await_ready)
        ready = monotonic()
        await succeeded(cache, key)
    return f"{rate:.1f} refreshes a second in {seconds:g} s, served {monotonic() - ready:.3f} s after it was ready"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--handovers", type=int, default=100)
    asked = parser.parse_args()
    for kind in binaries():
        for loop in ("asyncio", "trio"):
            with clustered(kind) as cluster:
                print(f"{kind} {loop}: {anyio.run(hand_over, cluster, asked.handovers, backend=loop)}", flush=True)
                print(f"{kind} {loop}: {anyio.run(go_down, cluster, asked.seconds, backend=loop)}", flush=True)
            with clustered(kind, replicas=MASTERS) as cluster:
                print(f"{kind} {loop}: {anyio.run(lose_a_master, cluster, backend=loop)}", flush=True)


if __name__ == "__main__":
    main()
