"""The near table on a cluster: reads from memory are as exact as on one server, while slots and masters move."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial

import pytest
from anyio.to_thread import run_sync

from cashews.backends.redis.inbox import Inbox
from cashews.backends.redis.near import Near
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.slots import SLOTS, anchors, slot_of
from cashews.backends.redis.tracking import TrackedRead, TrackedReads, Tracking
from cashews.testing.clock import VirtualClock
from tests.cluster.test_failovers import take_over
from tests.clusters import MASTERS
from tests.clusters import until as until_in_thread
from tests.faults.proxy import until
from tests.near.conftest import LAG, PREFIX, near_cache

pytestmark = pytest.mark.redis
ROUNDS = 200
SLOT = 100
"""The slot that moves."""
MANY = 400
"""More keys than a link hands out replies in one turn, and in all more than a write drops by name."""


def of_slot(slot, count):
    return [f"{anchors()[slot].decode()}{one}" for one in range(count)]


def of_node(number, count=1):
    """Return keys of a node, in a slot that stays there."""
    return of_slot(SLOTS * number // MASTERS + 5, count)


KEYS = [key for number in range(MASTERS) for key in of_node(number)]


def stored(key):
    return PREFIX + key


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def opened(cluster, clock):
    """``opened(**options)``: a cache to enter, whose deadlines the test owns."""
    return lambda url=cluster.url, **options: near_cache(clock, url, **options)


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
    key, gone, absent = of_slot(SLOT, 3)
    await cache.set_many({key: "here", gone: "gone"})
    assert await cache.get_many(key, gone, absent) == ("here", "gone", None)
    old, new = cluster.begin_move(SLOT)
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
        cluster.end_move(SLOT)
    for number in range(20):
        new.command("SET", stored(gone), number)
        await until_is(cache, gone, number)
        assert await cache.get_many(key, gone) == ("here", number)


@pytest.mark.parametrize("takes_along", [True, False])
async def test_a_key_whose_slot_has_moved_is_served_as_it_is_at_its_new_node(cache, cluster, clock, takes_along):
    """Guarantees 31, 32: a value was taken along, or was left to be forgotten; an absent key is created there."""
    key, absent = of_slot(SLOT, 2)
    for _ in range(MASTERS):
        node = cluster.owner(SLOT)
        beside = next(one for one in others() if cluster.owner(slot_of(one)) is node)
        node.command("SET", stored(key), 1)
        node.command("DEL", stored(absent))
        await until_is(cache, key, 1)
        await until_is(cache, absent, None)
        assert await cache.get(beside) is None
        _, new = cluster.begin_move(SLOT)
        if takes_along:
            cluster.end_move(SLOT)
        else:
            cluster.seize(SLOT, new)
        new.command("SET", stored(key), 2)
        new.command("SET", stored(absent), 2)
        for _ in range(9):
            assert await cache.get(beside) is None
            await clock.advance(LAG / 8)
            await until(lambda: is_idle(cache))
        assert await cache.get(absent) == 2
        assert await cache.get(key) == 2


def others():
    return [f"{anchors()[(SLOT + 1 + number * SLOTS // MASTERS) % SLOTS].decode()}beside" for number in range(MASTERS)]


def is_idle(cache):
    figures = cache.statistics().backends[""]
    return not (figures["waiting"] or figures["in_flight"])


async def test_a_master_that_became_a_replica_and_is_cut_off_is_not_trusted(replicated, opened, clock):
    """Guarantee 31: such a node answers a PING, and tells of no change any more."""
    (key,) = of_node(0)
    old, heir = replicated.nodes[0], replicated.replicas[0]
    async with opened(replicated.url) as cache:
        await cache.set(key, "old")
        assert await cache.get(key) == "old"
        await run_sync(take_over, heir)
        await run_sync(cut_off, old, heir)
        heir.command("SET", stored(key), 2)
        found = []
        for _ in range(9):
            found.append(await cache.get(key))
            await clock.advance(LAG / 8)
            await until(lambda: is_idle(cache))
        assert set(found[:4]) == {"old"}, "nothing has told of the change"
        assert found[-1] == 2


def cut_off(old, heir):
    """Have a replica hear of no further change."""
    until_in_thread(lambda: b"master_link_status:up" in old.command("INFO", "replication"))
    heir.command("ACL", "SETUSER", "default", "-psync", "-sync")
    heir.command("CLIENT", "KILL", "TYPE", "replica")
    until_in_thread(lambda: b"master_link_status:down" in old.command("INFO", "replication"))


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_load_whose_master_was_replaced_meanwhile_is_not_stored(replicated, opened, is_known):
    """Guarantee 10: a deletion at the new master was not told of, be that known by the time of storing or not."""
    key, beside = of_node(0, 2)
    old, heir = replicated.nodes[0], replicated.replicas[0]
    async with opened(replicated.url) as cache, opened(replicated.url) as other:

        @cache(ttl="1h", key=key.replace("{", "{{").replace("}", "}}"))
        async def load():
            await run_sync(take_over, heir)
            await run_sync(cut_off, old, heir)
            await other.delete(key)
            if is_known:
                await cache.exists(beside)
            return "old"

        assert await load() == "old"
        assert heir.command("EXISTS", stored(key)) == 0


async def test_a_load_is_not_stored_while_its_slot_moves(cache, cluster):
    """Guarantee 10: a deletion at the new node was not told of; it is stored again once the slot has moved."""
    key, *more = of_slot(SLOT, 4)
    ended = []

    @cache(ttl="1h", key="{key}")
    async def load(key):
        if key == more[0]:
            _, new = cluster.begin_move(SLOT)
            new.commands(("ASKING",), ("SET", stored(key), 1), ("ASKING",), ("DEL", stored(key)))
        if key == more[2] and key not in ended:
            cluster.end_move(SLOT)
            ended.append(key)
            await cache.exists(more[0])
        return "old"

    for each in (key, *more):
        assert await load(each) == "old"
    assert [await cache.exists(each) for each in (key, *more)] == [True, False, False, False]
    assert await load(more[2]) == "old"
    assert await cache.exists(more[2])
    assert await cache.get(key) == "old"


async def test_loads_of_every_node_are_overtaken_by_others(cache, opened, cluster):
    """Guarantee 10: also if the key was absent, where the server alone would tell of nothing."""
    async with opened() as other:

        @cache(ttl="1h", key="{key}")
        async def load(key, overtaken):
            if overtaken:
                await other.delete(key)
            return "old"

        for number in range(ROUNDS // MASTERS):
            for key in KEYS:
                overtaken = bool(number % 2)
                assert await load(key, overtaken) == "old"
                assert cluster.owner(slot_of(key)).command("EXISTS", stored(key)) is int(not overtaken)
                await cache.delete(key)


@pytest.mark.parametrize("way", ["tags", "match", "clear"])
async def test_each_node_is_heard_out_after_changes_of_keys_that_are_not_named(cache, cluster, way):
    """Guarantee 31: a node tells of the changes of a script behind the script's reply."""
    await cache.get_many(*KEYS)
    for node in cluster.nodes:
        node.forget_calls()
    await {"tags": cache.delete_tags, "match": cache.delete_match, "clear": cache.clear}[way](*["*"][: way != "clear"])
    assert [node.called().get("ping") for node in cluster.nodes] == [1] * MASTERS


@pytest.mark.parametrize("way", ["tags", "match", "clear", "many", "commit"])
async def test_ones_own_changes_of_keys_that_are_not_named_are_seen(cache, way):
    """Guarantee 31: at every node, right after the call."""
    keys = [key for number in range(MASTERS) for key in of_node(number, MANY)]
    for _ in range(3):
        for key in keys:
            await cache.set(key, 1, tags=["t"])
        assert await cache.get_many(*keys) == (1,) * len(keys)
        if way == "tags":
            await cache.delete_tags("t")
        elif way == "match":
            await cache.delete_match("{*")
        elif way == "clear":
            await cache.clear()
        elif way == "many":
            await cache.delete_many(*keys)
        else:
            for number in range(MASTERS):
                async with cache.transaction():
                    for key in of_node(number, MANY):
                        await cache.delete(key)
        for key in reversed(keys):
            assert await cache.get(key) is None


async def test_nothing_that_came_before_a_cut_is_served_after_it(cache, cluster):
    """Guarantee 31: of that node; what others have told of is served on."""
    nodes = [cluster.owner(slot_of(key)) for key in KEYS]
    for number in range(20):
        for key in KEYS:
            await cache.set(key, number)
            assert await cache.get(key) == number
        node, key = nodes[number % MASTERS], KEYS[number % MASTERS]
        before = cache.statistics().backends[""]["connects"]
        node.command("CLIENT", "KILL", "TYPE", "normal")
        node.command("SET", stored(key), -1)
        await until(lambda before=before: is_cut(cache, before))
        async with asking_nothing(cache):
            assert [await cache.get(each) for each in KEYS if each != key] == [number] * (MASTERS - 1)
        assert await cache.get(key) == -1


def is_cut(cache, connects):
    figures = cache.statistics().backends[""]
    return figures["connected"] < MASTERS or figures["connects"] > connects


def test_a_value_that_was_asked_for_before_its_slot_moved_is_not_kept():
    """Guarantee 31: a write of one's own may have gone to the new node meanwhile."""
    near = Near(10, 1_000)
    tracking = Tracking(near, RedisOptions(client_side=True), is_node=True)
    tracking.begin()
    inbox = Inbox(tracking)
    for replies, kind in (
        ((b"OK", -1, b"1"), partial(TrackedRead, "k")),
        ((b"OK", [-1, b"1"]), partial(TrackedReads, ("k",))),
    ):
        for moves in (True, False):
            inbox.post(b"", Place(), kind=kind, reads=False)
            inbox.batch(0.0, 5.0)
            if moves:
                tracking.lose_slots()
            for reply in replies:
                inbox.answer(reply)
            assert (near.find("k", 0.5) is None) is moves
        near.drop(("k",))


class Place:
    """A place for a reply that nobody waits for."""

    def done(self):
        return False

    def set_result(self, reply):
        pass
