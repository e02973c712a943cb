"""A transaction whose values go without a message: it answers, and leaves, what one of messages does in every state."""

from __future__ import annotations

import gc
import threading
from contextvars import ContextVar, copy_context
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews._steps import STEP
from cashews._typing import NOT_NOW
from cashews.engine.coordinator.modes import TransactionMode
from cashews.engine.coordinator.transaction import Transaction
from cashews.engine.engine import BUDGET
from cashews.exceptions import CacheError, EncodeError, TransactionError, WrongTypeError
from cashews.messages import CommitOutcome
from cashews.strategies.entry import Entry, Returned
from cashews.testing.clock import VirtualClock
from tests.engine.states import STATES, pass_through
from tests.engine.test_straight_lines import STRAIGHT
from tests.internals import inside

KEYS = ("a", "b", "c")
SEEDS = 150
PATIENCE = 20
"""Seconds after which a test that hangs fails."""
pytestmark = pytest.mark.parametrize("mode", TransactionMode, ids=lambda mode: mode.value)


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", check_interval=0, clock=clock) as cache:
        yield cache


def a_step(random: Random):
    """Return a command and its arguments: mostly one that may go without a message."""
    key, life = random.choice(KEYS), random.choice([None, None, 1, 5, 0, -1])
    value = random.choice([1, "text", [1], None, Entry(Returned(1), 9.0), (number for number in ())])
    plain = [("get", (key, "nothing")), ("set", (key, value, life)), ("set", (key, 1, life)), ("set", (key, 2))]
    others = [
        ("get", ("old", "nothing")),
        ("delete", (key,)),
        ("exists", (key,)),
        ("incr", (key,)),
        ("get_expire", (key,)),
        ("get_size", ("old",)),
        ("get_key_tags", (key,)),
        ("expire", (key, life)),
        ("set", (key, value, life, random.random() < 0.5)),
        ("set", (key, 1, life, None, ["t"])),
        ("delete_tags", ("t",)),
        ("get_many", KEYS),
        ("set_many", ({"a": 1, "b": 2}, life)),
        ("set_add", (key, "x")),
        ("delete_match", ("a*",)),
        ("get_keys_count", ()),
    ]
    return random.choice(others if random.random() < 0.3 else plain)


async def answer(cache, name, args):
    try:
        return await getattr(cache, name)(*args)
    except CacheError as error:
        return type(error)


async def play(cache, clock, mode, seed):
    """Run transactions, and return what the commands in them and the others answer."""
    random, told = Random(seed), []
    await cache.set("old", 0, expire=60, tags=["t"])
    await cache.set("b", [2], expire=3)
    for _ in range(3):
        told.append(cache.statistics().backends[""])
        try:
            async with cache.transaction(mode) as tx:
                for _ in range(random.randint(0, 6)):
                    name, args = a_step(random)
                    told.append((name, args, await answer(cache, name, args), inside(cache).transaction_locks))
                    if random.random() < 0.2:
                        await clock.advance(random.choice([0.3, 1, 4]))
                    if random.random() < 0.1:
                        told.append(await answer(tx, random.choice(["commit", "rollback"]), ()))
                if random.random() < 0.2:
                    raise KeyError  # noqa: TRY301  the body's own
        except (KeyError, CacheError) as error:
            told.append(type(error))
        told += [tx.outcome, tx.outcomes, inside(cache).transaction_locks]
        for key in (*KEYS, "old"):
            told.append((key, await cache.get(key), await cache.get_expire(key), await cache.get_key_tags(key)))
    return [repr(each).partition(" at 0x")[0] for each in told]


async def test_what_goes_straight_answers_and_leaves_what_messages_do(mode):
    """Guarantees 1, 15, 16."""
    for seed in range(SEEDS):
        played = []
        for middlewares in ([], [pass_through]):  # what is in the way of every message
            clock = VirtualClock(1_000)
            async with Cache.open("mem://", check_interval=0, clock=clock, middlewares=middlewares) as cache:
                played.append(await play(cache, clock, mode, f"{mode}, {seed}"))
        assert played[0] == played[1], seed


@pytest.mark.parametrize("state", STATES)
async def test_a_value_goes_straight_where_nothing_is_in_the_way(cache, mode, state):
    engine = inside(cache).engine
    async with cache.transaction(mode) as tx:
        assert engine.look("k") is NOT_NOW, "the key has to be locked, or the store asked"
        with STATES[state](cache):
            stored, found = engine.put("k", 1, None), engine.look("k")
        assert (stored, found) == ((True, 1) if state in STRAIGHT else (NOT_NOW, NOT_NOW))
        await tx.rollback()
    cache.enable()
    assert await cache.get("k") is None


async def test_values_that_the_store_has_to_check_go_by_message(cache, mode):
    engine = inside(cache).engine

    @cache.transaction(mode)
    async def store():
        assert engine.put("k", (number for number in ()), None) is NOT_NOW
        assert engine.put("k", Entry(Returned(1), 9.0), None) is NOT_NOW
        assert await cache.set("other", 1)
        assert await cache.set("k", (number for number in ()))

    with pytest.raises(EncodeError):
        await store()
    assert await cache.get("other") is None
    assert inside(cache).transaction_locks == 0


async def test_nothing_goes_straight_past_a_load_that_runs(cache, mode):
    """Guarantee 10."""
    engine = inside(cache).engine
    async with cache.transaction(mode):
        with engine.permit("k", None) as permit:
            assert engine.put("k", 1, None) is NOT_NOW
            assert engine.put("k", 1, None, permit) is NOT_NOW
        assert engine.put("k", 1, None, permit) is NOT_NOW, "the values of loads are forgotten if others write"
        assert engine.put("k", 1, None) is True


async def test_nothing_goes_straight_into_a_transaction_that_has_ended(cache, mode):
    """Guarantee 17."""
    engine = inside(cache).engine
    go_on, written, answers = anyio.Event(), anyio.Event(), []

    async def late():
        await cache.set("k", 1)
        written.set()
        await go_on.wait()
        answers.extend((engine.put("k", 2, None), engine.look("k")))
        with pytest.raises(TransactionError):
            await cache.set("k", 2)
        with pytest.raises(TransactionError):
            await cache.get("k")

    async with anyio.create_task_group() as tasks:
        async with cache.transaction(mode):
            tasks.start_soon(late)
            await written.wait()
        go_on.set()
    assert answers == [NOT_NOW, NOT_NOW]
    assert await cache.get("k") == 1


async def test_nothing_goes_straight_to_a_key_that_another_transaction_holds(cache, mode):
    """Guarantee 16; a transaction of mode `FAST` holds none."""
    engine, taken, waiting = inside(cache).engine, anyio.Event(), anyio.Event()

    @cache.transaction(TransactionMode.LOCKED)
    async def other():
        await taken.wait()
        assert (engine.put("k", 2, None) is NOT_NOW) == (mode is not TransactionMode.FAST)
        assert (engine.look("k") is NOT_NOW) == (mode is not TransactionMode.FAST)
        waiting.set()
        assert await cache.set("k", 2)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            async with cache.transaction(mode):
                await cache.set("k", 1)
                taken.set()
                await waiting.wait()
    assert await cache.get("k") == (1 if mode is TransactionMode.FAST else 2)


async def test_nothing_goes_straight_before_a_serializable_transaction_has_its_turn_again(cache, mode):
    """Guarantee 16."""
    engine = inside(cache).engine
    async with cache.transaction(mode) as tx:
        assert engine.put("k", 1, None) is True
        await tx.commit()
        if mode is TransactionMode.SERIALIZABLE:
            assert engine.put("k", 2, None) is NOT_NOW
        assert inside(cache).transaction_locks == 0
        await cache.set("k", 2)
        assert engine.put("k", 3, None) is True
    assert await cache.get("k") == 3


async def test_nothing_goes_straight_from_another_thread_into_a_transaction(cache, mode):
    engine, answers = inside(cache).engine, []

    def elsewhere():
        answers.extend((engine.put("k", 2, None), engine.look("k")))

    async with cache.transaction(mode):
        assert engine.put("k", 1, None) is True
        await anyio.to_thread.run_sync(elsewhere)
    assert answers == [NOT_NOW, NOT_NOW]
    assert await cache.get("k") == 1


async def test_nothing_goes_straight_into_a_transaction_of_another_cache(cache, mode, clock):
    async with Cache.open("mem://", clock=clock) as other, other.transaction(mode) as tx:
        assert inside(cache).engine.put("k", 1, None) is NOT_NOW
        assert await cache.set("k", 1)
        await tx.rollback()
    assert await cache.get("k") == 1


async def test_each_of_several_stores_has_its_own_branch(mode, clock):
    """Guarantee 15."""
    async with Cache.open("mem://", prefix="a:", clock=clock) as cache:
        cache.setup("mem://", prefix="b:")
        engine = inside(cache).engine
        async with cache.transaction(mode) as tx:
            for key in ("a:k", "b:k", "a:l", "b:l"):
                assert engine.put(key, key, None) is True
            assert [engine.look(key) for key in ("a:k", "b:k")] == ["a:k", "b:k"]
            assert engine.look("a:missing") is engine.look("b:missing") is NOT_NOW
        assert await cache.get_many("a:k", "b:k", "a:l", "b:l") == ("a:k", "b:k", "a:l", "b:l")
        assert tx.outcomes == {"a:": CommitOutcome.COMMITTED, "b:": CommitOutcome.COMMITTED}


async def test_removals_by_a_commit_of_plain_values_are_told(cache, mode):
    """A listener that comes after the values were put aside is told, too."""
    told = []
    await cache.set("k", 1)
    async with cache.transaction(mode):
        await cache.set("k", 2)
        stop = cache.on_remove(lambda key, value, cause: told.append((key, value, cause.value)))
    assert told == [("k", 1, "replaced")]
    stop()


async def test_values_put_aside_live_from_then_on(cache, mode, clock):
    """Guarantee 15: they keep their deadlines through the commit, and one that has passed removes the key."""
    await cache.set_many({"short": 0, "long": 0, "kept": 0})
    async with cache.transaction(mode):
        for key, life in {"short": 1, "long": 10, "kept": None}.items():
            assert await cache.set(key, 1, life)
        await clock.advance(4)
        assert await cache.get_many("short", "long", "kept") == (None, 1, 1)
    assert await cache.get_many("short", "long", "kept") == (None, 1, 1)
    assert await cache.get_expire("long") == 6
    assert await cache.get_expire("kept") == -1


async def test_no_more_values_go_straight_than_one_turn_may_store(cache, mode):
    """Guarantee 25."""
    engine, answers = inside(cache).engine, []
    async with cache.transaction(mode):
        for number in range(2 * STEP):
            engine.credit = BUDGET  # as other tasks have it renewed
            answers.append(engine.put(f"k{number}", number, None))
        await cache.set("last", 1)
    assert answers == [True] * STEP + [NOT_NOW] * STEP
    assert await cache.get_many("k0", f"k{STEP - 1}", f"k{STEP}", "last") == (0, STEP - 1, None, 1)


async def test_a_transaction_that_has_ended_leaves_nothing_to_the_garbage_collector(cache, mode):
    @cache.transaction(mode)
    async def write(command, *args):
        await command(*args)

    gc.collect()
    gc.disable()
    try:
        await write(cache.set, "k", 1)
        await write(cache.incr, "n")
        with pytest.raises(WrongTypeError):
            await write(cache.set_add, "n", "member")
        assert [each for each in gc.get_objects() if type(each) is Transaction] == []
    finally:
        gc.enable()


async def test_nothing_goes_straight_into_a_transaction_that_began_in_another_thread(mode):
    """The cache lives in this one by now."""
    cache = Cache()
    cache.setup("mem://")
    contexts = []

    async def begin():
        await cache.transaction(mode).__aenter__()
        await cache.set("k", 1)
        assert inside(cache).engine.put("k", 1, None) is True
        contexts.append(copy_context())

    thread = threading.Thread(target=anyio.run, args=(begin,))
    thread.start()
    thread.join()
    await cache.get("other")
    assert contexts[0].run(inside(cache).engine.put, "k", 2, None) is NOT_NOW
    assert contexts[0].run(inside(cache).engine.look, "k") is NOT_NOW


async def test_nothing_goes_straight_into_a_transaction_that_is_ending(mode):
    """Guarantee 17: one store applies many writes while the line to the other one is open."""
    answers, over = set(), anyio.Event()

    async def late(engine):
        while not over.is_set():
            answers.add(engine.put("small:k", 2, None))
            await checkpoint()

    async with Cache.open("mem://", prefix="small:") as cache, anyio.create_task_group() as tasks:
        cache.setup("mem://?size=5000", prefix="large:")
        async with cache.transaction(mode):
            await cache.set("small:k", 1)
            await cache.set_many({f"large:{number}": 0 for number in range(3_000)})
            tasks.start_soon(late, inside(cache).engine)
        over.set()
        assert answers == {NOT_NOW}
        assert await cache.get("small:k") == 1


async def test_nothing_goes_straight_into_a_transaction_that_gives_its_keys_back(mode):
    """Guarantee 17."""
    answers, over = set(), anyio.Event()

    async def late(engine):
        while not over.is_set():
            answers.add(engine.put("k", 2, None))
            await checkpoint()

    async with Cache.open("mem://") as cache, anyio.create_task_group() as tasks:

        @cache.transaction(mode)
        async def fail():
            await cache.set_many({f"k{number}": 0 for number in range(3_000)})
            await cache.set("k", 1)
            tasks.start_soon(late, inside(cache).engine)
            raise KeyError

        with pytest.raises(KeyError):
            await fail()
        over.set()
        assert answers == (set() if mode is TransactionMode.FAST else {NOT_NOW})
        assert await cache.get("k") is None


async def test_a_loop_of_plain_values_lets_others_run(cache, mode):
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        async with cache.transaction(mode):
            for _ in range(1_000):
                await cache.set("k", 1)
                await cache.get("k")
        tasks.cancel_scope.cancel()
    assert turns >= 1_000 // BUDGET


async def test_several_values_are_stored_in_the_home_of_the_cache_alone(cache, mode):
    route, answers = inside(cache).engine.route_of("k"), []
    async with cache.transaction(mode):
        await cache.set("k", 1)
    thread = threading.Thread(target=lambda: answers.append(route.direct.put_all({"k": (2, None, 0.0)})))
    thread.start()
    thread.join()
    assert answers == [False]
    assert await cache.get("k") == 1


TENANT = ContextVar("tenant", default="")


async def by_tenant(call, _cmd, _backend, *args, key, **kwargs):
    return await call(*args, key=TENANT.get() + key, **kwargs)


async def test_tenants_that_a_middleware_tells_apart_have_turns_of_their_own(clock, mode):
    """Guarantee 16: serializable transactions of one tenant run one at a time."""
    entered = []

    async def enter(cache, tenant):
        TENANT.set(tenant)
        async with cache.transaction(mode):
            entered.append(tenant)
            await anyio.sleep_forever()

    async with Cache.open("mem://", clock=clock, middlewares=[by_tenant]) as cache, anyio.create_task_group() as tasks:
        for tenant in ("one", "one", "other", "other"):
            tasks.start_soon(enter, cache, tenant)
        await clock.settle()
        tasks.cancel_scope.cancel()
    assert sorted(entered) == (
        ["one", "other"] if mode is TransactionMode.SERIALIZABLE else ["one", "one", "other", "other"]
    )
