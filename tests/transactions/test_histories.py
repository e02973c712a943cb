"""Histories of random transactions: no update is lost, no commit is seen by half, no lock is held twice.

On the memory store, on a server from several processes, and on a server whose connections are cut. What each worker
knows to be committed is there, what it knows to be aborted is not; only what is unknown may be either.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from random import Random
from subprocess import PIPE

import anyio
import pytest

from cashews import Cache
from cashews.engine.coordinator.modes import TransactionMode
from cashews.testing.clock import VirtualClock
from tests.faults.proxy import Proxy
from tests.servers import LOCK
from tests.subjects import each
from tests.transactions.workers import ACCOUNTS, BALANCE, Worker, open_accounts, read_pairs

WORKERS = 8
MEMORY_COUNT = 300
PROCESSES = 4
PROCESS_COUNT = 60
CUT_COUNT = 40
CUTS = 0.03
"""How often all connections are cut, for each time that something is sent."""
PATIENCE = 60
ROOT = Path(__file__).parents[2]
on_server = pytest.mark.parametrize("subject", each(["redis"]), indirect=True)


async def assert_kept(cache, account, seen, mode):
    """What the accounts of all workers say is what is there."""
    assert await cache.get_many(*ACCOUNTS) != (BALANCE,) * len(ACCOUNTS) or mode is TransactionMode.FAST
    assert sum(await cache.get_many(*ACCOUNTS)) == BALANCE * len(ACCOUNTS)
    for kind, keys in {"add_one": ["read and written"], "increment": ["counted", "counted too"]}.items():
        least = account[f"{kind} committed"]
        most = least + account[f"{kind} unknown"]
        for found in await cache.get_many(*keys, default=0):
            assert least <= found <= most, (kind, account)
    counted, counted_too = await cache.get_many("counted", "counted too", default=0)
    assert counted == counted_too
    assert len(seen) > 10
    assert all(left == right for left, right, *_ in seen)
    assert all(posts != ["empty", "empty"] for _, _, *posts in seen)
    assert len(set(seen)) > 2


async def assert_no_lock_was_held_twice(cache, account):
    """Fencing numbers grow from one use of the resource to the next, and no use was lost."""
    used = await cache.get("used", [])
    assert used == sorted(set(used))
    assert account["used"] <= len(used) <= account["used"] + account["not used"]
    assert account["used"] > 0


def summed(workers):
    return sum((worker.account for worker in workers), Counter())


async def test_in_memory(mode):
    """Guarantees 15, 16: 8 workers with 300 transactions each."""
    seen = []
    with anyio.fail_after(PATIENCE):
        async with Cache.open("mem://", clock=VirtualClock()) as cache:
            await open_accounts(cache)
            workers = [Worker(cache, mode, number) for number in range(WORKERS)]
            async with anyio.create_task_group() as reading:
                reading.start_soon(read_pairs, cache, seen)
                async with anyio.create_task_group() as tasks:
                    for worker in workers:
                        tasks.start_soon(worker.run, MEMORY_COUNT)
                        tasks.start_soon(worker.use_resource, MEMORY_COUNT // 10)
                reading.cancel_scope.cancel()
            account = summed(workers)
            await assert_kept(cache, account, seen, mode)
            await assert_no_lock_was_held_twice(cache, account)
            assert account["used"] == WORKERS * MEMORY_COUNT // 10
            assert (account["timeout"], account["lost"], account["failed"]) == (0, 0, 0)
            assert sum(account[f"{kind} unknown"] for kind in ("transfer", "add_one", "increment", "write_pair")) == 0
            committed = sum(count for name, count in account.items() if name.endswith("committed"))
            assert committed + account["deadlock"] == WORKERS * MEMORY_COUNT


@on_server
async def test_on_a_server_from_several_processes(server, mode, anyio_backend_name):
    """Guarantees 15, 16: 4 processes with 2 workers each; the server survives them."""
    server.command("FLUSHALL")
    seen, accounts = [], []

    async def run(number):
        words = [sys.executable, "-m", "tests.transactions.workers", anyio_backend_name, server.patient_url, mode.value]
        done = await anyio.run_process([*words, str(number), str(PROCESS_COUNT)], cwd=ROOT, stderr=PIPE, check=False)
        assert done.returncode == 0, done.stderr.decode()
        accounts.append(Counter(json.loads(done.stdout)))

    with anyio.fail_after(PATIENCE):
        async with Cache.open(server.patient_url, suppress=False) as cache:
            await open_accounts(cache)
            async with anyio.create_task_group() as reading:
                reading.start_soon(read_pairs, cache, seen)
                async with anyio.create_task_group() as tasks:
                    for number in range(PROCESSES):
                        tasks.start_soon(run, number)
                reading.cancel_scope.cancel()
            account = sum(accounts, Counter())
            await assert_kept(cache, account, seen, mode)
            await assert_no_lock_was_held_twice(cache, account)
            assert account["failed"] == 0
            assert account["lost"] == 0 or account["stalls"], "locks end before their time"
            assert await cache.is_locked("resource") is False
    assert server.command("KEYS", b"*" + LOCK) == []


@on_server
@pytest.mark.parametrize("suppress", [True, False], ids=["suppressed", "raised"])
async def test_on_a_server_whose_connections_are_cut(server, mode, suppress):
    """Guarantees 15, 16, 22: two caches with 4 workers each, cut off now and then, in the middle of replies too."""
    server.command("FLUSHALL")
    seen, random = [], Random(f"{mode} {suppress}")

    def cut_now_and_then(_):
        if random.random() < CUTS:
            proxy.cut_after(random.randint(0, 40))

    with anyio.fail_after(PATIENCE):
        async with (
            Proxy(server.port).serving() as proxy,
            Cache.open(server.patient_url, suppress=False) as safe,
            Cache.open(proxy.patient_url, suppress=suppress) as one,
            Cache.open(proxy.patient_url, suppress=suppress) as other,
        ):
            await open_accounts(safe)
            workers = [Worker((one, other)[number % 2], mode, number) for number in range(WORKERS)]
            async with anyio.create_task_group() as beside:
                beside.start_soon(read_pairs, safe, seen)
                proxy.requests = cut_now_and_then
                async with anyio.create_task_group() as tasks:
                    for worker in workers:
                        tasks.start_soon(worker.run, CUT_COUNT)
                beside.cancel_scope.cancel()
            account = summed(workers)
            assert proxy.accepted > 3
            await assert_kept(safe, account, seen, mode)
