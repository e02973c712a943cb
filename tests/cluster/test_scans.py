"""Scans over the masters of a cluster: no key is missed that is there throughout (guarantee 32)."""

from __future__ import annotations

import pytest
from anyio.to_thread import run_sync

from cashews import Cache
from cashews.backends.redis.slots import anchors, slot_of
from cashews.backends.redis.survey import Survey
from cashews.backends.redis.views import view_in
from tests.clusters import MASTERS, SLOTS
from tests.servers import PATIENTLY

pytestmark = pytest.mark.redis
LAST = 15_000
"""A slot of the last master, which a scan passes over after the first; the slot moves from there to the first."""
KEYS = [f"{anchors()[slot].decode()}key" for slot in range(10, SLOTS, 200)]
MOVING = [f"{anchors()[LAST].decode()}{number}" for number in range(40)]
HOWS = ["moved", "on its way", "going ahead"]
HEAD = "07c3 127.0.0.1:7000@17000,host myself,master - 0 0 1 connected"
OTHER = "67ed 127.0.0.1:7002@17002 master - 0 1426238316232 2 connected 5461-10922"


@pytest.fixture
async def cache(cluster):
    async with Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as cache:
        await cache.set_many({key: key for key in KEYS + MOVING})
        yield cache


async def move(cluster, how):
    """Move a slot whose keys the scan has yet to find to a master that it has passed over."""
    old, new = await run_sync(cluster.begin_move, LAST)
    for key in MOVING[:20] if how == "on its way" else MOVING:
        await run_sync(old.command, "MIGRATE", new.host, new.port, key, 0, 1000)
    if how == "moved":
        await run_sync(cluster.end_move, LAST)


def of_second(key):
    return slot_of(key) * MASTERS // SLOTS == 1


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("values", [False, True])
async def test_a_scan_finds_keys_that_move_behind_it(cache, cluster, how, values):
    """Guarantee 32: each of them once."""
    found, moved = [], False
    pages = cache.get_match("*", batch_size=10) if values else cache.scan("*", batch_size=10)
    try:
        async for item in pages:
            found.append(item[0] if values else item)
            if not moved and of_second(found[-1]):
                assert not set(found) & set(MOVING)
                moved = True
                await move(cluster, how)
    finally:
        if moved and how != "moved":
            await run_sync(cluster.end_move, LAST)
    assert sorted(found) == sorted(KEYS + MOVING)


def test_places_that_keys_have_come_to_are_passed_over_once_more():
    before = Survey({"a": frozenset({1, 2}), "b": frozenset({3})})
    assert before.reached_since(before) == []
    assert Survey({"a": frozenset({1}), "b": frozenset({2, 3})}).reached_since(before) == ["b"]
    assert Survey({"a": frozenset({1, 2}), "c": frozenset({3})}).reached_since(before) == ["c"]
    assert Survey(before.slots, [("a", "b")]).reached_since(before) == ["a", "b"]
    assert Survey(before.slots, [("a", "b"), ("b", "a")]).reached_since(before) == ["a", "b", "b", "a"]


@pytest.mark.parametrize(
    ("marks", "slots", "sources", "targets"),
    [
        ("", set(), set(), set()),
        ("0-2 5", {0, 1, 2, 5}, set(), set()),
        ("0 [0->-67ed] [9-<-67ed]", {0}, {"67ed"}, {"67ed"}),
    ],
)
def test_a_master_tells_of_its_slots_and_of_those_on_their_way(marks, slots, sources, targets):
    view = view_in("\n".join([OTHER, f"{HEAD} {marks}".rstrip(), ""]))
    assert (view.name, view.slots, view.sources, view.targets) == ("07c3", slots, sources, targets)
    assert view.addresses["67ed"] == ("127.0.0.1", 7002)
