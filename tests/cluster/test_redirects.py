"""Slots that move, and tables of slots that are wrong: no user of a cluster sees any of that."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic

import anyio
import pytest

from cashews import Cache
from cashews.backends.redis.slots import SLOTS, anchors, slot_of
from cashews.exceptions import CacheBackendInteractionError, LockedError
from cashews.testing.clock import VirtualClock
from tests.cluster.test_commands import NAMES, topology_of
from tests.cluster.writers import counting
from tests.faults.proxy import until
from tests.servers import PATIENTLY

pytestmark = pytest.mark.redis
SLOT = 1_000
MOVED = (1_000, 7_000, 7_001, 14_000)
"""Slots of each of the masters."""
MOVING = [f"{anchors()[slot].decode()}{number}" for slot in MOVED for number in range(25)]
KEYS = [f"{anchors()[SLOT].decode()}{number}" for number in range(100)]


def go_ahead(old, new, keys):
    """Move some keys of a slot that is on its way, as far as they are there."""
    for key in keys:
        old.command("MIGRATE", new.host, new.port, key, 0, 1000)


@pytest.fixture
async def cache(cluster):
    async with Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as cache:
        yield cache


def test_an_anchor_lies_in_its_slot():
    assert [slot_of(anchor + b"}{") for anchor in anchors()] == list(range(SLOTS))
    assert [slot_of(key) for key in ("foo", "{foo}a", "a{}foo", "{}foo")][:2] == [12182, 12182]
    assert slot_of("{}foo") != slot_of("foo")


async def test_a_table_that_is_wrong_for_every_slot_is_mended(cache):
    """Guarantee 32: commands find their masters, and few questions are asked."""
    await cache.set("key", 1)
    topology = topology_of(cache)
    right = topology.table
    wrong = {id(node): node for node in topology.table}
    first, second, third = wrong.values()
    turned = {id(first): second, id(second): third, id(third): first}
    topology.table = [turned[id(node)] for node in topology.table]
    before = topology.refreshes

    began = monotonic()

    async def count(name):
        assert await cache.incr(name) == 1
        assert await cache.set(name, name)
        assert await cache.get(name) == name
        assert await cache.delete(name)

    async with anyio.create_task_group() as tasks:
        for name in NAMES:
            tasks.start_soon(count, name)
    await until(lambda: topology.table == right)
    assert topology.refreshes <= before + 1 + (monotonic() - began) * 5


async def test_a_load_that_is_redirected_while_its_key_is_deleted_is_not_stored(cache):
    """Guarantees 10 and 32: whenever the deletion comes, its own slot's node unknown or not."""
    await cache.set("key", 1)
    topology = topology_of(cache)
    first, second, third = {id(node): node for node in topology.table}.values()
    turned = {id(first): second, id(second): third, id(third): first}

    @cache(ttl="1h", key="{key}")
    async def load(key):
        loading.set()
        return key

    stored = 0
    for number in range(100):
        slot = slot_of(NAMES[number])
        topology.table[slot] = turned[id(topology.table[slot])]
        loading = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load, NAMES[number])
            await loading.wait()
            topology.table[slot] = turned[id(topology.table[slot])]
            for _ in range(number % 20):
                await anyio.lowlevel.checkpoint()
            stored += await cache.delete(NAMES[number])
        assert not await cache.exists(NAMES[number])
    assert stored < 100


async def test_keys_of_a_slot_on_its_way_are_found(cache, cluster):
    """Guarantee 32: keys that are still there, that have gone ahead, and that are nowhere."""
    await cache.set_many({key: key for key in KEYS})
    old, new = cluster.begin_move(SLOT)
    try:
        for key in KEYS[:50]:
            old.command("MIGRATE", new.host, new.port, key, 0, 1000)
        for key in KEYS:
            assert await cache.get(key) == key
        assert await cache.get(f"{KEYS[0]}:absent") is None
        assert await cache.incr(f"{KEYS[0]}:new", 5, expire=100) == 5
    finally:
        cluster.end_move(SLOT)
    for key in KEYS:
        assert await cache.get(key) == key


async def test_mixed_keys_wait_until_the_slot_has_moved(cache, cluster):
    """Guarantee 32: keys of one request, some of which have gone ahead."""
    await cache.set_many({key: key for key in KEYS})
    old, new = cluster.begin_move(SLOT)
    old.command("MIGRATE", new.host, new.port, KEYS[0], 0, 1000)
    found = []

    async def read():
        found.append(await cache.get_many(*KEYS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.to_thread.run_sync(cluster.end_move, SLOT)
    assert found == [tuple(KEYS)]


async def test_a_lock_waits_until_its_slot_has_arrived(cache, cluster):
    """Guarantees 14 and 32: a lock and its last fencing number lie at one node, so that the numbers grow."""
    async with cache.lock(KEYS[0], 30) as held:
        last = held.fence
    cluster.begin_move(SLOT)
    taken = []

    async def take():
        async with cache.lock(KEYS[0], 30) as held:
            taken.append(held.fence)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        for number in range(100):
            assert await cache.incr(KEYS[1]) == number + 1
        assert taken == []
        await anyio.to_thread.run_sync(cluster.end_move, SLOT)
    assert taken[0] > last


@pytest.mark.parametrize("seconds", [3, 6])
async def test_a_lock_waits_no_longer_than_a_request_may_take(cluster, seconds):
    """Guarantees 14, 22 and 32: a move of three seconds is nobody's business; a longer one is an outage."""
    clock, taken = VirtualClock(), []

    async def take():
        try:
            async with cache.lock(KEYS[0], 30, timeout=20) as held:
                taken.append(held.fence > 0)
        except CacheBackendInteractionError:
            taken.append(False)

    async with Cache.open(cluster.url, clock=clock, suppress=False, socket_timeout=5) as cache:
        async with cache.lock(KEYS[0], 30):
            pass
        cluster.begin_move(SLOT)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            for _ in range(seconds * 20):
                await clock.advance(0.05)
                assert await cache.incr(KEYS[1])
            assert taken == [False] * (seconds > 5)
            await anyio.to_thread.run_sync(cluster.end_move, SLOT)
            while not taken:
                await clock.advance(0.05)
                await cache.incr(KEYS[1])
        assert taken == [seconds < 5]
        assert not await cache.is_locked(KEYS[0])


async def test_the_deadline_of_a_lock_holds_while_its_slot_is_on_its_way(cache, cluster):
    """Guarantee 14: and the lock is free afterwards."""
    async with cache.lock(KEYS[0], 30):
        pass
    cluster.begin_move(SLOT)
    began = monotonic()
    with pytest.raises(LockedError):
        async with cache.lock(KEYS[0], 30, timeout=0.3):
            pass
    assert 0.3 <= monotonic() - began < 2
    await anyio.to_thread.run_sync(cluster.end_move, SLOT)
    async with cache.lock(KEYS[0], 30, timeout=5):
        pass


async def test_slots_move_under_writers(cache, cluster):
    """Guarantee 32: no command fails, no acknowledged write is lost, no increment is made twice."""
    async with counting(cache, MOVING) as counted:
        for slot in MOVED:
            old, new = await anyio.to_thread.run_sync(cluster.begin_move, slot)
            ahead = [key for key in MOVING if slot_of(key) == slot][::2]
            before = min(counted.values())
            await anyio.to_thread.run_sync(go_ahead, old, new, ahead)
            await until(lambda before=before: min(counted.values()) > before + 2)
            await anyio.to_thread.run_sync(cluster.end_move, slot)


async def test_an_increment_whose_reply_was_lost_is_not_made_again(cache, cluster):
    """Guarantee 32: it may have been carried out, so the caller learns that nobody knows."""
    tried = dict.fromkeys(NAMES[:100], 0)
    known = dict.fromkeys(tried, 0)
    ended = anyio.Event()

    async def count(key):
        while not ended.is_set():
            tried[key] += 1
            try:
                found = await cache.incr(key)
            except CacheBackendInteractionError:
                continue
            assert known[key] < found <= tried[key]
            known[key] = found

    def are_ahead():
        """Break all connections; say whether the servers have counted further than their callers have heard of."""
        for node in cluster.nodes:
            node.command("CLIENT", "KILL", "TYPE", "normal")
        return any(int(cluster.owner(slot_of(key)).command("GET", key) or 0) > known[key] + 1 for key in tried)

    async with anyio.create_task_group() as tasks:
        for key in tried:
            tasks.start_soon(count, key)
        for _ in range(20):
            before = sum(known.values())
            await until(lambda before=before: sum(known.values()) > before + 500)
            await anyio.to_thread.run_sync(are_ahead)
        ended.set()
    stored = await cache.get_many(*tried)
    assert all(known[key] <= value <= tried[key] for key, value in zip(tried, stored, strict=True))
    assert sum(stored) > sum(known.values()) or sum(tried.values()) > sum(known.values())


async def test_no_task_is_left_by_a_closed_cache(cluster):
    """Guarantee 28."""
    cache = Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False)
    async with cache:
        await cache.set_many(dict.fromkeys(NAMES, 1))
        assert all(connection.statistics()["connected"] for connection in topology_of(cache).connections)
    with suppress(Exception):
        await cache.get("key")
    assert not any(connection.statistics()["connected"] for connection in topology_of(cache).connections)
