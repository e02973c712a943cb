"""Tags on a cluster: values lie in many slots, and a deletion finds all of them (guarantees 10, 18 and 32)."""

from __future__ import annotations

from random import Random

import anyio
import pytest
from anyio.to_thread import run_sync

from cashews import Cache, NotSupportedError
from cashews.backends.redis.layout import CLOCK, RAISED
from cashews.backends.redis.slots import anchors, slot_of
from tests.faults.proxy import until
from tests.internals import inside
from tests.servers import FENCE, PATIENTLY, RECORD

pytestmark = pytest.mark.redis
MANY = 300
KEYS = [f"key:{number}" for number in range(MANY)]
ODD = ["}{", "{}", "{a}b}c", "a{b", "x}y", "{{z}}", "plain", "ü", "{ü}"]
REMEMBERED = (RECORD, RAISED, CLOCK, FENCE)
"""The ends of keys that a cluster lets go of by itself."""
SLOT = 1_000
MOVED = (1_000, 7_000, 14_000)
"""Slots of each of the masters."""
MOVING = [f"{anchors()[SLOT].decode()}{number}" for number in range(20)]


@pytest.fixture
async def cache(cluster):
    async with Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as cache:
        yield cache


@pytest.fixture
async def other(cluster):
    """A cache of another process."""
    async with Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as cache:
        yield cache


def bookkeeping(cluster):
    return [key for keys in cluster.stored() for key in keys if b"\xff" in key and not key.endswith(REMEMBERED)]


async def side_by_side(call, things, callers=50):
    left = iter(things)

    async def work():
        for thing in left:
            await call(thing)

    async with anyio.create_task_group() as tasks:
        for _ in range(callers):
            tasks.start_soon(work)


async def test_a_deletion_finds_the_values_of_all_slots(cache, other, cluster):
    """Guarantee 18: and nothing is left of the tag's bookkeeping."""
    assert len(set(map(slot_of, KEYS))) > 100

    async def store(key):
        expire = 60 if int(key[4:]) % 2 else None
        assert await cache.set(key, key, expire, tags=["all", f"own:{key}", f"some:{len(key)}"])

    await side_by_side(store, KEYS)
    await cache.set("untagged", 1)
    await cache.set("other", 1, tags=["other"])
    await other.delete_tags("all")
    assert await cache.get_many(*KEYS, "untagged", "other") == (*[None] * MANY, 1, 1)
    await other.delete_tags("other")
    assert bookkeeping(cluster) == []


ENDS = {
    "delete": lambda cache, key: cache.delete(key),
    "delete_many": lambda cache, key: cache.delete_many(key, "absent"),
    "delete_match": lambda cache, key: cache.delete_match(key + "*"),
    "expire": lambda cache, key: cache.expire(key, 0),
    "overwritten": lambda cache, key: cache.set(key, 2),
    "set_many": lambda cache, key: cache.set_many({key: 2}, 60),
    "clear": lambda cache, _: cache.clear(),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("ttl", [None, 60])
async def test_nothing_is_left_of_values_that_are_gone(cache, cluster, how, ttl):
    """Guarantee 18."""
    for key in KEYS[:20]:
        await cache.set(key, 1, ttl, tags=["all", f"own:{key}"])
        await ENDS[how](cache, key)
    assert bookkeeping(cluster) == []


async def test_tags_and_keys_of_any_names_lie_beside_each_other(cache, other, cluster):
    """Guarantee 32: no braces in a name take our keys elsewhere."""
    random = Random(32)
    names = {"".join(random.choices("{}ab1:é", k=random.randrange(1, 12))) for _ in range(10_000)} | {*ODD}

    async def store(name):
        tag = random.choice(ODD)
        assert await cache.set(name, tag, 100, tags=[tag, name])
        assert await cache.get_key_tags(name) == tuple(dict.fromkeys((tag, name)))

    await side_by_side(store, names)
    assert await cache.get_keys_count() == len(names)
    await side_by_side(other.delete_tags, [name for name in names if len(name) > 4 and name not in ODD], 20)
    left = [name for name in names if len(name) <= 4 or name in ODD]
    stored = await cache.get_many(*left)
    assert None not in stored
    await other.delete_tags(*ODD)
    assert await cache.get_keys_count() == 0
    assert bookkeeping(cluster) == []


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("tags", [["t"], ["t:{result}"]], ids=["of the call", "of the result"])
async def test_a_load_that_a_deletion_of_another_process_overtakes_is_not_stored(cache, other, tags, is_known):
    """Guarantee 10: whether or not its slot was in the roster of the tag."""

    @cache(90, key="loaded:{name}", tags=tags)
    async def load(name):  # noqa: ARG001  it is the key
        await other.delete_tags("t", "t:old")
        return "old"

    for number in range(50):
        name = f"{{{number}}}k"
        if is_known:
            await cache.set(f"{name}:beside", 1, tags=["t", "t:old"])
        assert await load(name) == "old"
        assert await cache.get(f"loaded:{name}") is None


async def test_a_deletion_before_a_load_does_no_harm(cache, other):
    """Guarantee 10."""

    async def load():
        return "new"

    for number in range(50):
        await cache.set(f"{number}:old", 1, tags=["t"])
        await other.delete_tags("t")
        assert await cache.get_or_set(str(number), load, 90, tags=["t"]) == "new"
        assert await cache.get(str(number)) == "new"


async def test_nothing_old_stays_whenever_a_deletion_comes(cache, other):
    """Guarantees 10 and 18: loads, writes and deletions at once, in slots that join and leave the rosters."""
    database = dict.fromkeys(range(8), 0)

    @cache(90, key="k:{row}", tags=["row:{row}"])
    async def load(row):
        value = database[row]
        await anyio.lowlevel.checkpoint()
        return value

    async def change(row):
        for _ in range(30):
            database[row] += 1
            await other.delete_tags(f"row:{row}")
            deleted = database[row]
            await load(row)
            assert await cache.get(f"k:{row}", deleted) >= deleted
            await cache.delete(f"k:{row}")

    async def read(row):
        for _ in range(60):
            await load(row)
            await other.set(f"{{{row}}}beside", 1, 1, tags=[f"row:{row}"])
            await other.delete(f"{{{row}}}beside")

    async with anyio.create_task_group() as tasks:
        for row in database:
            for call in (change, read, read):
                tasks.start_soon(call, row)
    assert [await load(row) for row in database] == [30] * 8
    await other.delete_tags(*(f"row:{row}" for row in database))
    assert await cache.get_keys_count() == 0


async def test_values_of_a_transaction_carry_their_tags(cache, other, cluster):
    """Guarantee 15."""
    async with cache.transaction():
        await cache.set("{a}one", 1, tags=["t"])
        await cache.set("{a}two", 2, 60, tags=["t", "u"])
        assert await cache.get_key_tags("{a}two") == ("t", "u")
    assert await cache.get_many("{a}one", "{a}two") == (1, 2)
    await other.delete_tags("u")
    assert await cache.get_many("{a}one", "{a}two") == (1, None)
    async with cache.transaction():
        await cache.delete("{a}one")
        await cache.set("{a}two", 2, tags=["t"])
    await other.delete_tags("t")
    assert await cache.get("{a}two") is None
    assert bookkeeping(cluster) == []


async def test_a_deletion_of_tags_is_no_part_of_a_transaction(cache):
    """Guarantee 32: the values lie in several slots; nothing is written."""
    await cache.set("{a}one", 1, tags=["t"])
    async with cache.transaction() as transaction:
        await cache.set("{a}one", 2)
        with pytest.raises(NotSupportedError, match="delete_tags"):
            await cache.delete_tags("t")
        await transaction.rollback()
    assert await cache.get("{a}one") == 1


async def test_values_of_a_slot_on_its_way_keep_their_tags(cache, other, cluster):
    """Guarantees 18 and 32: no value is stored or removed without its bookkeeping."""
    for key in MOVING[:10]:
        await cache.set(key, "old", tags=["t", f"own:{key}"])
    old, new = await run_sync(cluster.begin_move, SLOT)
    for key in MOVING[:5]:
        await run_sync(old.command, "MIGRATE", new.host, new.port, key, 0, 1000)
    ended = []

    async def write(key):
        await cache.set(key, "new", tags=["t"])
        ended.append(key)

    async def delete(key):
        await cache.delete(key)
        ended.append(key)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, MOVING[0])
        tasks.start_soon(write, MOVING[9])
        tasks.start_soon(write, MOVING[15])
        tasks.start_soon(delete, MOVING[1])
        tasks.start_soon(delete, MOVING[8])
        await cache.set(MOVING[16], "untagged")
        for number in range(50):
            assert await cache.incr(MOVING[17]) == number + 1
        assert ended == []
        await run_sync(cluster.end_move, SLOT)
    await other.delete_tags("t")
    assert {key async for key in cache.scan("*")} == {MOVING[16], MOVING[17]}
    await other.delete_tags(*(f"own:{key}" for key in MOVING))
    assert bookkeeping(cluster) == []


async def test_slots_move_under_writers_of_tags(cache, other, cluster):
    """Guarantees 18 and 32: no command fails, and a deletion finds every value, wherever it is by then."""
    keys = [f"{anchors()[slot].decode()}{number}" for slot in MOVED for number in range(10)]
    rounds, ended = dict.fromkeys(keys, 0), anyio.Event()

    async def write(key):
        while not ended.is_set():
            rounds[key] += 1
            assert await cache.set(key, rounds[key], 60, tags=["t", f"own:{key}"])
            if rounds[key] % 5 == 0:
                await other.delete_tags(f"own:{key}")
                assert await cache.get(key) is None
            if rounds[key] % 7 == 0:
                await cache.delete(key)

    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(write, key)
        for slot in (*MOVED, *map(slot_of, ("t", f"own:{keys[0]}"))):
            old, new = await run_sync(cluster.begin_move, slot)
            for key in keys[::2]:
                if slot_of(key) == slot:
                    await run_sync(old.command, "MIGRATE", new.host, new.port, key, 0, 1000)
            await run_sync(cluster.end_move, slot)
            before = min(rounds.values())
            await until(lambda before=before: min(rounds.values()) > before + 5)
        ended.set()
    await other.delete_tags("t")
    assert [key async for key in cache.scan("*")] == []
    await other.delete_tags(*(f"own:{key}" for key in keys))
    assert bookkeeping(cluster) == []


async def test_a_slot_that_is_in_the_roster_is_asked_once(cache):
    """One round trip stores a value, as on one server."""
    await cache.set("key", 1, 60, tags=["t"])
    commands = inside(cache).store().statistics()["commands"]
    for number in range(20):
        await cache.set("key", number, 60, tags=["t"])
    assert inside(cache).store().statistics()["commands"] - commands == 20
