"""Commands on a cluster: each key at its master, and commands about many keys at all of them."""

from __future__ import annotations

from collections import Counter
from random import Random

import anyio
import pytest

from cashews import Cache, CrossSlotError, NotSupportedError, TransactionMode
from cashews.backends.redis.layout import fence_key, lock_key
from cashews.backends.redis.slots import slot_of
from cashews.exceptions import CacheBackendInteractionError, SettingsError
from tests.internals import inside
from tests.servers import PATIENTLY

pytestmark = pytest.mark.redis
MANY = 1_000
NAMES = [f"{{{number}}}key" if number % 2 else f"key:{number}" for number in range(MANY)]
ODD = ["}{", "{}", "{a}b}c", "a{b", "x}y", "{{z}}", "plain"]


@pytest.fixture
async def cache(cluster):
    async with Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as cache:
        yield cache


def topology_of(cache):
    return inside(cache).store()._servers


async def test_every_key_goes_to_its_master(cache, cluster):
    """Guarantee 32."""
    for name in NAMES[:300]:
        assert await cache.set(name, name)
        assert await cache.get(name) == name
        assert await cache.incr(f"count:{name}") == 1
    assert all(len(keys) > 100 for keys in cluster.stored())
    for name in NAMES[:300]:
        assert await cache.delete(name)
        assert not await cache.exists(name)


async def test_many_keys_come_in_their_order(cache):
    """Guarantee 32."""
    await cache.set_many({name: name for name in NAMES})
    asked = [*NAMES, "absent", *NAMES[:10]]
    assert await cache.get_many(*asked) == tuple([name if name in NAMES else None for name in asked])
    await cache.set_many(dict.fromkeys(NAMES[:100], 2), expire=100)
    assert await cache.get_expire(NAMES[99]) == 100
    await cache.delete_many(*NAMES[:500], *NAMES[:10])
    assert await cache.get_keys_count() == 500


async def test_many_keys_are_one_write_to_each_master(cache):
    """Guarantee 32: whatever number of slots they lie in."""
    await cache.set_many(dict.fromkeys(NAMES, 1))
    connections = topology_of(cache).connections
    for call in (
        lambda: cache.get_many(*NAMES),
        lambda: cache.set_many(dict.fromkeys(NAMES, 2)),
        lambda: cache.set_many(dict.fromkeys(NAMES, 3), expire=100),
        lambda: cache.delete_many(*NAMES[:500]),
    ):
        await call()  # each master has the scripts then
        before = [connection.statistics() for connection in connections]
        await call()
        after = [connection.statistics() for connection in connections]
        batches = [each["batches"] - first["batches"] for each, first in zip(after, before, strict=True)]
        assert batches == [1] * len(connections)
        sent = sum(each["commands"] - first["commands"] for each, first in zip(after, before, strict=True))
        assert sent > len(connections) * 100


async def test_scans_pass_over_all_masters(cache):
    """Guarantee 32."""
    await cache.set_many({name: name for name in NAMES})
    await cache.set("other", 1)
    assert Counter([key async for key in cache.scan("*key*")]) == Counter(NAMES)
    assert dict([pair async for pair in cache.get_match("key:*")]) == {name: name for name in NAMES[::2]}
    await cache.delete_match("key:*")
    assert await cache.get_keys_count() == MANY // 2 + 1
    await cache.clear()
    assert await cache.get_keys_count() == 0


@pytest.mark.parametrize("name", ODD)
async def test_a_lock_lies_beside_its_key(cache, name):
    """Guarantees 14 and 32: whatever braces the key has."""
    assert await cache.set_lock(name, "token", 10)
    assert not await cache.set_lock(name, "other", 10)
    assert await cache.is_locked(name)
    assert not await cache.unlock(name, "other")
    assert await cache.unlock(name, "token")


async def test_locks_of_any_names_lie_beside_their_keys(cache):
    """Guarantee 32: no braces in a name take its lock elsewhere."""
    random = Random(32)
    names = {"".join(random.choices("{}ab1:é", k=random.randrange(1, 12))) for _ in range(10_000)}
    batch = iter(names)

    async def lock():
        for name in batch:
            assert await cache.set_lock(name, "token", 100) > 0
            assert await cache.unlock(name, "token")

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(lock)
    for name in names:
        place = topology_of(cache).at(name)
        assert slot_of(lock_key(name, place.anchor)) == slot_of(fence_key(name, place.anchor)) == slot_of(name)


async def test_an_unlock_of_another_process_wakes_a_waiter(cache, cluster):
    """Guarantee 14."""
    woken = anyio.Event()

    async def wait():
        async with cache.lock("key", 30):
            woken.set()

    async with (
        Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as other,
        anyio.create_task_group() as tasks,
    ):
        async with other.lock("key", 30):
            tasks.start_soon(wait)
            await cache.ping()
            assert not woken.is_set()
        with anyio.fail_after(10):
            await woken.wait()


async def test_a_transaction_in_one_slot(cache):
    """Guarantees 15 and 32."""
    async with cache.transaction():
        await cache.set("{a}one", 1)
        await cache.incr("{a}two", 2)
    assert await cache.get_many("{a}one", "{a}two") == (1, 2)


def locked(cluster):
    return [key for keys in cluster.stored() for key in keys if key.endswith(b"\xfflock")]


@pytest.mark.parametrize(
    "leave",
    [
        lambda cache: cache.set("{b}two", 2),
        lambda cache: cache.get("{b}two"),
        lambda cache: cache.incr("{b}two"),
        lambda cache: cache.delete("{b}two"),
        lambda cache: cache.set_many({"{a}three": 3, "{b}two": 2}),
    ],
)
async def test_a_transaction_does_not_leave_its_slot(cache, cluster, leave):
    """Guarantee 32: the first command that would leave it is refused and names two keys; nothing is written."""
    async with cache.transaction() as transaction:
        await cache.set("{a}one", 1)
        with pytest.raises(CrossSlotError) as refusal:
            await leave(cache)
        assert (refusal.value.key, refusal.value.other) == ("{a}one", "{b}two")
        await transaction.rollback()
        assert locked(cluster) == []
    assert await cache.get_many("{a}one", "{a}three", "{b}two") == (None, None, None)
    async with cache.transaction():
        await cache.set("{b}two", 2)
    assert await cache.get("{b}two") == 2


async def test_a_transaction_without_locks_is_refused_at_its_commit(cache, cluster):
    """Guarantee 32: the error names both keys, and nothing is written."""
    transaction = cache.transaction(TransactionMode.FAST)
    await transaction.__aenter__()
    await cache.set("{a}one", 1)
    await cache.set("{b}two", 2)
    with pytest.raises(CrossSlotError) as refusal:
        await transaction.__aexit__(None, None, None)
    assert {refusal.value.key, refusal.value.other} == {"{a}one", "{b}two"}
    assert await cache.get_many("{a}one", "{b}two") == (None, None)
    assert locked(cluster) == []


@pytest.mark.parametrize("count", [False, True])
async def test_a_read_by_a_pattern_is_refused_where_it_had_to_be_proven(cache, count):
    """Guarantees 16 and 32: nobody can prove that no slot has a new key."""
    await cache.set("{a}one", 1)
    async with cache.transaction() as transaction:
        await cache.set("{a}one", 2)
        with pytest.raises(NotSupportedError, match="pattern"):
            await (cache.get_keys_count() if count else anext(aiter(cache.scan("{a}*"))))
        await cache.delete_match("{a}*")
        await transaction.commit()
    async with cache.transaction(TransactionMode.FAST):
        await cache.set("{a}two", 2)
        assert [key async for key in cache.scan("{a}*")] == ["{a}two"]


async def test_serializable_transactions_are_refused(cache):
    with pytest.raises(NotSupportedError, match="SERIALIZABLE"):
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            pass


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_url_of_one_server_names_the_right_one(cluster, protocol):
    """Guarantee 32: the error says which URL is meant, for keys of every node."""
    node = cluster.nodes[1]
    async with Cache.open(node.url, suppress=False, protocol=protocol) as cache:
        for name in NAMES[:10]:
            with pytest.raises(CacheBackendInteractionError, match=rf"redis\+cluster://{node.host}:{node.port}"):
                await cache.get(name)
    async with Cache.open(f"redis://{node.host}:{node.port}", cluster=True, suppress=False) as cache:
        assert await cache.set("key", 1)


async def test_a_server_that_is_no_node_is_named(server):
    async with Cache.open(f"redis+cluster://{server.host}:{server.port}", suppress=False) as cache:
        with pytest.raises(CacheBackendInteractionError, match="cluster support disabled"):
            await cache.get("key")


@pytest.mark.parametrize(
    "url", ["redis+cluster://", "redis+cluster://h:1,", "redis+cluster://h/x", "redis+cluster://h/1"]
)
def test_wrong_urls_are_refused(url):
    with pytest.raises(SettingsError) as refusal:
        Cache().setup(url)
    assert "+cluster" in str(refusal.value) or "db" in str(refusal.value)


@pytest.mark.parametrize("options", [{"connections": 2}, {"db": 1}])
def test_options_that_a_cluster_does_not_have_are_refused(options):
    with pytest.raises(SettingsError, match=next(iter(options))):
        Cache().setup("redis+cluster://h", **options)
