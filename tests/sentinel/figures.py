"""Figures of failovers by sentinels, in real time: ``python -m tests.sentinel.figures`` measures on each server."""

from __future__ import annotations

import socket
from time import monotonic

import anyio
import hiredis
from anyio.to_thread import run_sync

from cashews import Cache
from tests.sentinel.conftest import Deployment, deployed, until
from tests.servers import binaries

PATIENCE = 20.0


def told_at(port: int) -> float:
    """Return the instant at which a sentinel tells of a new master."""
    reader = hiredis.Reader()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as link:
        link.sendall(hiredis.pack_command(("SUBSCRIBE", "+switch-master")))
        while True:
            reader.feed(link.recv(65_536))
            while (reply := reader.gets()) is not False:
                if reply[0] == b"message":
                    return monotonic()


async def writing(cache: Cache, acknowledged: dict[int, float]) -> None:
    """Write numbers, and note when each was acknowledged."""
    number = 0
    while True:
        number += 1
        if await cache.set(f"w:{number}", number):
            acknowledged[number] = monotonic()
        await anyio.lowlevel.checkpoint()


async def fail_over(deployment: Deployment) -> str:
    """Measure which acknowledged writes a failover by command loses, and when."""
    new = deployment.replica
    acknowledged: dict[int, float] = {}
    told: list[float] = []

    async def hear() -> None:
        told.append(await run_sync(told_at, deployment.sentinels[0].port))

    async with Cache.open(deployment.url, suppress=True) as cache, anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        tasks.start_soon(writing, cache, acknowledged)
        await anyio.sleep(0.5)
        await run_sync(deployment.fail_over)
        await run_sync(until, lambda: told and new.command("ROLE")[0] == b"master")
        await anyio.sleep(2)
        tasks.cancel_scope.cancel()
    stored = {int(key[2:]) for key in new.command("KEYS", "w:*")}
    first = min(at for number, at in acknowledged.items() if number in stored and at > told[0])
    late = [at - told[0] for number, at in acknowledged.items() if number not in stored and at > told[0]]
    return (
        f"told, and at the new master {first - told[0]:.3f} s later; {len(late)} of {len(acknowledged):,} acknowledged"
        f" writes lost after it was told, the last {max(late, default=0) * 1000:.1f} ms later"
    )


async def kill(deployment: Deployment) -> str:
    """Measure how soon a killed master is replaced, with the first of the sentinels dead."""
    old = deployment.master
    async with Cache.open(deployment.url, suppress=True) as cache:
        await run_sync(deployment.sentinels[0].kill)
        assert await cache.set("k", 1)
        began = monotonic()
        await run_sync(old.kill)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_stored, cache)
            await run_sync(until, lambda: deployment.master is not old)
            told = monotonic()
        served = monotonic()
    return f"sentinels name a new master {told - began:.2f} s after a kill, served {served - told:.3f} s later"


async def until_stored(cache: Cache) -> None:
    while not await cache.set("k", 2):
        await anyio.lowlevel.checkpoint()


def main() -> None:
    for kind in binaries():
        for loop in ("asyncio", "trio"):
            for measure in (fail_over, kill):
                with deployed(kind) as deployment:
                    print(f"{kind} {loop}: {anyio.run(measure, deployment, backend=loop)}", flush=True)


if __name__ == "__main__":
    main()
