"""The way of one value without a message: it answers what the message answers, in every state of the engine."""

from __future__ import annotations

import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, Command, NotConfiguredError
from cashews._typing import ABSENT, NOT_NOW
from cashews.messages import Get, GetHit, Set
from cashews.strategies.entry import Entry, Returned
from tests.engine.states import STATES
from tests.internals import inside

KEYS = ("stored", "expiring", "expired", "member", "absent")


LOCKS = {"callback on set_lock", "callback on unlock", "set_lock is off", "unlock is off"}
STRAIGHT = {"plain", "two stores"} | LOCKS
"""The states in which nothing is in the way."""


@pytest.fixture
async def cache(clock):
    async with Cache.open(
        "mem://", check_interval=0, clock=clock
    ) as cache:  # expired values stay until they are touched
        await cache.set("stored", None)
        await cache.set("expiring", [1], expire=60)
        await cache.set("expired", 2, expire=5)
        await cache.set_add("member", "m")
        await clock.advance(10)
        yield cache


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("key", KEYS)
async def test_a_look_answers_as_the_message_does(cache, state, key):
    engine = inside(cache).engine
    with STATES[state](cache):
        found = engine.look(key)
    assert (found is not NOT_NOW) == (state in STRAIGHT)
    if found is not NOT_NOW:
        assert found is inside(cache).in_place(Get(key, ABSENT))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("expire", [None, 30.0, 0.0, -1.0])
async def test_a_put_stores_as_the_message_does(cache, state, key, expire):
    engine, value = inside(cache).engine, object()
    with STATES[state](cache):
        stored = engine.put(key, value, expire)
    assert (stored is not NOT_NOW) == (state in STRAIGHT)
    if stored is not NOT_NOW:
        after = (await cache.get(key), await cache.get_expire(key), await cache.exists(key))
        assert stored is inside(cache).in_place(Set(key, value, expire))
        assert after == (await cache.get(key), await cache.get_expire(key), await cache.exists(key))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "make", [lambda: None, lambda: [1], lambda: Entry(Returned(1), 9.0)], ids=["none", "list", "entry"]
)
async def test_a_look_that_counts_answers_as_the_message_does(cache, state, make):
    engine, found = inside(cache).engine, make()
    await cache.set("stored", found)
    for count in (1, 3):
        with STATES[state](cache):
            looked = engine.look_hit("stored")
        if state not in STRAIGHT:
            assert looked is NOT_NOW
            continue
        assert looked is found
        assert not isinstance(looked, Entry) or looked.hits == count
        assert inside(cache).in_place(GetHit("stored", ABSENT)) == found
    if state in STRAIGHT:
        assert engine.look_hit("expired") is engine.look_hit("absent") is ABSENT


async def test_nothing_is_put_past_a_load_that_runs(cache):
    """The permit of the load has to be voided first."""
    engine = inside(cache).engine
    with engine.permit("stored", None) as permit:
        assert engine.put("stored", 1, None) is NOT_NOW
        await cache.set("stored", 1)
        assert permit.void
    assert engine.put("stored", 2, None) is True, "the load has ended"


@pytest.mark.parametrize("options", [{"copy": "deep"}, {"pickle_type": "json"}], ids=str)
async def test_nothing_goes_straight_to_a_store_that_copies(options):
    async with Cache.open("mem://", **options) as cache:
        value = [1]
        assert inside(cache).engine.put("k", value, None) is NOT_NOW
        await cache.set("k", value)
        value.append(2)
        assert inside(cache).engine.look("k") is NOT_NOW
        assert await cache.get("k") == [1]


async def test_nothing_goes_straight_from_another_thread(cache):
    answers = []

    def elsewhere():
        answers.extend((inside(cache).engine.look("stored"), inside(cache).engine.put("stored", 1, None)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [NOT_NOW, NOT_NOW]
    assert await cache.get("stored") is None


async def test_nothing_goes_straight_into_a_closed_cache(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        await cache.set("k", 1)
        engine = inside(cache).engine
    assert engine.look("k") is NOT_NOW
    assert engine.put("k", 1, None) is NOT_NOW


async def test_nothing_goes_straight_while_a_long_commit_is_applied(cache):
    """Others see all of its writes or none."""
    engine, answers = inside(cache).engine, set()

    async def watch(done):
        while not done.is_set():
            answers.add(engine.look("w0") in (ABSENT, NOT_NOW) or engine.look("w2999"))
            await checkpoint()

    done = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, done)
        async with cache.transaction():
            for number in range(3000):
                await cache.set(f"w{number}", True)
        done.set()
    assert answers == {True}
    assert engine.look("w2999") is True


@pytest.mark.parametrize("block", ["get is off in this context", "invalidating"])
async def test_a_change_in_a_context_leaves_the_lines_of_all_others_straight(cache, block):
    """The settings of a context are looked at by each call in it, and are no part of what is worked out for all."""
    engine, turns = inside(cache).engine, inside(cache).turns_in_place("k")
    with STATES[block](cache), cache.callback(lambda *_: None, Command.PING):
        pass
    assert inside(cache).turns_in_place("k") == turns
    assert engine.look("stored") is None
    with STATES[block](cache):
        assert engine.look("stored") is NOT_NOW
        assert await cache.get("stored", "none") == "none"


async def test_each_of_several_stores_has_its_own_straight_lines(clock):
    async with Cache.open("mem://", prefix="far:", clock=clock) as cache:
        cache.setup("mem://", prefix="far:copied:", copy="deep")
        cache.setup("mem://", prefix="far:off:", disable=True)
        engine = inside(cache).engine
        assert engine.put("far:k", 1, None) is True
        assert engine.look("far:k") == await cache.get("far:k") == 1
        assert engine.look_hit("far:k") == 1
        for key in ("far:copied:k", "far:off:k", "elsewhere:k"):
            assert engine.put(key, 1, None) is engine.look(key) is engine.look_hit(key) is NOT_NOW
        with pytest.raises(NotConfiguredError):
            await cache.get("elsewhere:k")
        cache.enable(prefix="far:off:")
        assert engine.put("far:off:k", 2, None) is True
        cache.setup("mem://")
        assert engine.look("elsewhere:k") is ABSENT
        cache.disable(prefix="far:off:")
        assert engine.look("far:off:k") is NOT_NOW
