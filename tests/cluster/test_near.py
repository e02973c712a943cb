"""The near table on a cluster: reads from memory are as exact as on one server, while slots and masters move."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from cashews import Cache
from cashews.backends.redis.slots import SLOTS, anchors, slot_of
from cashews.testing.clock import VirtualClock
from tests.clusters import MASTERS
from tests.faults.proxy import until
from tests.near.conftest import LAG, PREFIX

pytestmark = pytest.mark.redis
ROUNDS = 200


def of_node(number, count=1):
    """Return keys of a node."""
    slot = SLOTS * number // MASTERS + 5
    return [f"{anchors()[slot].decode()}{one}" for one in range(count)]


KEYS = [key for number in range(MASTERS) for key in of_node(number)]


def stored(key):
    return PREFIX + key


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def opened(cluster, clock):
    """``opened(**options)``: a cache to enter, whose deadlines the test owns."""

    def open_cache(url=cluster.url, **options):
        given = {"suppress": False, "clock": clock, "client_side_prefix": PREFIX, "client_side_lag": LAG, **options}
        return Cache.open(url, client_side=True, **given)

    return open_cache


@pytest.fixture
async def cache(opened):
    async with opened() as cache:
        yield cache


def commands(cache):
    return cache.statistics().backends[""]["commands"]


@asynccontextmanager
async def asking_nothing(cache):
    before = commands(cache)
    yield
    assert commands(cache) == before


async def test_keys_of_all_nodes_are_served_from_memory(cache):
    """Guarantee 31."""
    for key in KEYS:
        await cache.set(key, key)
        assert await cache.get(key) == key
    assert await cache.get_many(*KEYS, "absent") == (*KEYS, None)
    async with asking_nothing(cache):
        for _ in range(100):
            for key in KEYS:
                assert await cache.get(key) == key
            assert await cache.get_many(*KEYS, "absent") == (*KEYS, None)


async def heard(cache, count):
    await until(lambda: cache.statistics().backends[""]["near_invalidations"] >= count)


@pytest.mark.parametrize("words", [("SET", "{key}", "new"), ("DEL", "{key}"), ("PEXPIRE", "{key}", "0")])
async def test_changes_by_another_client_at_any_node_are_seen(cache, cluster, words):
    """Guarantee 31."""
    nodes = {key: cluster.owner(slot_of(key)) for key in KEYS}
    assert len(set(nodes.values())) == MASTERS
    after = 1 if words[0] == "SET" else None
    for number in range(ROUNDS // MASTERS):
        for each, (key, node) in enumerate(nodes.items()):
            node.command("SET", stored(key), 0)
            await until_is(cache, key, 0)
            before = cache.statistics().backends[""]["near_invalidations"]
            node.command(*(word.format(key=stored(key)).replace("new", "1") for word in words))
            await heard(cache, before + 1)
            assert await cache.get(key) == after, (number, each)


async def until_is(cache, key, value):
    while await cache.get(key) != value:
        await cache.ping()


async def test_a_key_of_a_slot_on_its_way_is_read_and_not_kept(cache, cluster):
    """Guarantees 31, 32: keys that are still there, that have gone ahead, and that are nowhere."""
    key, gone, absent = of_node(0, 3)
    slot = slot_of(key)
    await cache.set_many({key: "here", gone: "gone"})
    assert await cache.get_many(key, gone, absent) == ("here", "gone", None)
    old, new = cluster.begin_move(slot)
    try:
        old.command("MIGRATE", new.host, new.port, stored(gone), 0, 1000)
        await heard(cache, 1)
        for number in range(20):
            assert await cache.get(key) == "here"
            assert await cache.get(gone) == ("gone" if not number else number - 1)
            assert await cache.get(absent) is None
            new.commands(("ASKING",), ("SET", stored(gone), number))
            assert await cache.get(gone) == number
    finally:
        cluster.end_move(slot)
    for number in range(20):
        new.command("SET", stored(gone), number)
        await until_is(cache, gone, number)
        assert await cache.get_many(key, gone) == ("here", number)


@pytest.mark.parametrize("takes_along", [True, False])
async def test_a_key_whose_slot_has_moved_is_served_as_it_is_at_its_new_node(cache, cluster, clock, takes_along):
    """Guarantees 31, 32: a value was taken along, or was left to be forgotten; an absent key is created there."""
    key, absent = of_node(0, 2)
    slot = slot_of(key)
    for _ in range(MASTERS):
        node = cluster.owner(slot)
        beside = next(one for one in others(slot) if cluster.owner(slot_of(one)) is node)
        node.command("SET", stored(key), 1)
        node.command("DEL", stored(absent))
        await until_is(cache, key, 1)
        await until_is(cache, absent, None)
        assert await cache.get(beside) is None
        _, new = cluster.begin_move(slot)
        if takes_along:
            cluster.end_move(slot)
        else:
            cluster.seize(slot, new)
        new.command("SET", stored(key), 2)
        new.command("SET", stored(absent), 2)
        for _ in range(9):
            assert await cache.get(beside) is None
            await clock.advance(LAG / 8)
            await until(lambda: is_idle(cache))
        assert await cache.get(absent) == 2
        assert await cache.get(key) == 2


def others(slot):
    return [f"{anchors()[(slot + 1 + number * SLOTS // MASTERS) % SLOTS].decode()}beside" for number in range(MASTERS)]


def is_idle(cache):
    figures = cache.statistics().backends[""]
    return not (figures["waiting"] or figures["in_flight"])
