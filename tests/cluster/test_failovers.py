"""Masters that change, die and come back: a cluster costs its callers no more than it must."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic

import anyio
import pytest
from anyio.to_thread import run_sync

from cashews import Cache
from cashews.backends.redis.slots import SLOTS, slot_of
from cashews.exceptions import CacheBackendInteractionError
from tests.cluster.test_commands import NAMES, topology_of
from tests.cluster.writers import counting
from tests.clusters import MASTERS
from tests.clusters import until as until_in_thread
from tests.faults.proxy import until
from tests.servers import PATIENTLY

pytestmark = pytest.mark.redis
QUICKLY = "socket_timeout=1&socket_connect_timeout=1"
"""The options of a client that gives up soon."""
CALLERS = 20


def of_master(number):
    """Return keys whose slots a master has at the beginning, with braces: more keys lie beside them."""
    return [name for name in NAMES[1::2] if slot_of(name) * MASTERS // SLOTS == number][:30]


def take_over(replica):
    replica.command("CLUSTER", "FAILOVER")
    until_in_thread(lambda: replica.command("ROLE")[0] == b"master")


async def succeeded(cache, key):
    """Return once a write has been carried out."""
    while True:
        with suppress(CacheBackendInteractionError):
            if await cache.set(key, "new"):
                return
        await anyio.lowlevel.checkpoint()


async def test_no_command_fails_while_replicas_take_over(replicated):
    """Guarantee 32."""
    heirs = {replica.port for replica in replicated.replicas}
    async with (
        Cache.open(f"{replicated.url}?{PATIENTLY}", suppress=False) as cache,
        counting(cache, NAMES[:100]) as counted,
    ):
        for replica in replicated.replicas:
            before = min(counted.values())
            await run_sync(take_over, replica)
            await until(lambda before=before: min(counted.values()) > before + 2)
        await until(lambda: {node.address.port for node in topology_of(cache).connections if node.address} == heirs)


async def test_a_killed_master_takes_along_its_own_slots_alone(replicated):
    """Guarantee 32: they are back as soon as its replica has taken over."""
    dead, heir = replicated.nodes[0], replicated.replicas[0]
    lost = of_master(0)
    async with (
        Cache.open(f"{replicated.url}?{QUICKLY}", suppress=False) as cache,
        Cache.open(f"{replicated.url}?{QUICKLY}", suppress=True) as lenient,
    ):
        await cache.set_many(dict.fromkeys(NAMES, "old"))
        assert await lenient.get(lost[0]) == "old"
        async with counting(cache, [*of_master(1), *of_master(2)]):
            await run_sync(dead.kill)
            with anyio.fail_after(3):
                assert await lenient.get(lost[0]) is None
            with anyio.fail_after(3), pytest.raises(CacheBackendInteractionError):
                await cache.get(lost[0])
            await run_sync(until_in_thread, lambda: heir.command("ROLE")[0] == b"master")
            with anyio.fail_after(2):
                await succeeded(cache, lost[0])
        assert await cache.get_many(*lost) == ("new", *["old"] * (len(lost) - 1))
        await succeeded(lenient, lost[1])
        assert await lenient.get(lost[2]) == "old"


async def test_a_waiter_hears_of_an_unlock_though_its_node_was_replaced(replicated):
    """Guarantees 14 and 32: what is heard at a node that leaves is heard at another from then on."""
    old, heir = replicated.nodes[0], replicated.replicas[0]
    name, beside = of_master(0)[:2]
    taken = []
    url = f"{replicated.url}?{PATIENTLY}"

    async def take():
        async with cache.lock(name, 60):
            taken.append(monotonic())

    def listeners(node):
        return node.command("PUBSUB", "NUMSUB", *node.command("PUBSUB", "CHANNELS") or ["none"])[1]

    async with Cache.open(url, suppress=False) as cache, Cache.open(url, suppress=False) as other:
        assert await other.set_lock(name, "token", 60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await until(lambda: listeners(old))
            await run_sync(take_over, heir)
            assert await cache.set(beside, 1)
            await until(lambda: listeners(heir))
            assert not taken
            released = monotonic()
            assert await other.unlock(name, "token")
            await until(lambda: taken)
            assert taken[0] - released < 1


async def test_few_questions_are_asked_while_the_cluster_is_down(own_cluster):
    """Guarantee 32: at most five in a second, however many callers wait; then the cluster is served again."""
    alive, *others = own_cluster.nodes
    key = of_master(0)[0]

    async def call():
        while True:
            with pytest.raises(CacheBackendInteractionError):
                await cache.get(key)
            assert await lenient.get(key) is None

    async with (
        Cache.open(f"{own_cluster.url}?{QUICKLY}", suppress=False) as cache,
        Cache.open(f"{own_cluster.url}?{QUICKLY}", suppress=True) as lenient,
    ):
        assert await cache.set(key, 1)
        assert await lenient.get(key) == 1
        for node in others:
            await run_sync(node.kill)
        await run_sync(until_in_thread, lambda: b"cluster_state:fail" in alive.command("CLUSTER", "INFO"))
        topologies, began = [topology_of(cache), topology_of(lenient)], monotonic()
        before = [topology.refreshes for topology in topologies]
        with anyio.move_on_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(call)
        most = 5 * (monotonic() - began) + 1
        made = [topology.refreshes - first for topology, first in zip(topologies, before, strict=True)]
        assert all(1 < refreshes <= most for refreshes in made), made
        for node in others:
            await run_sync(node.start)
        await run_sync(own_cluster.await_ready)
        with anyio.fail_after(2):
            await succeeded(cache, key)
            await succeeded(lenient, key)
        assert await lenient.get(key) == "new"
