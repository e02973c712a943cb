"""What a cached async generator replays: exactly one complete run, or nothing (guarantee 13)."""

import gc
import inspect
from contextlib import aclosing
from functools import partial
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import NOT_NONE, Cache, Command, noself
from cashews.engine.context import invalidate_further
from cashews.engine.engine import BUDGET
from cashews.exceptions import NotAsyncError, WrongArgumentError
from cashews.runners.streams import PACE
from cashews.strategies.entry import Returned
from cashews.testing.clock import VirtualClock
from tests.subjects import on_memory

LONG = 2 * PACE + 7
VERY_LONG = 20 * PACE


async def collect(stream):
    async with aclosing(stream):
        return [item async for item in stream]


async def take(stream, count):
    """Consume a part of a stream, and leave."""
    taken = []
    async with aclosing(stream):
        async for item in stream:
            taken.append(item)
            if len(taken) == count:
                break
    return taken


class Pages:
    """A source: yields what it is told, counts its runs and how many of them were closed."""

    def __init__(self, clock):
        self.clock = clock
        self.items = [0, 1, 2]
        self.runs = 0
        self.closed = 0
        self.takes = 0.0
        self.fails_after = None

    async def __call__(self):
        self.runs += 1
        try:
            for number, item in enumerate(list(self.items)):
                await self.clock.sleep(self.takes)
                if number == self.fails_after:
                    raise ConnectionError
                yield item
        finally:
            await checkpoint()  # closing may wait: a generator that is left to the collector could not
            self.closed += 1


@pytest.fixture
def pages(clock):
    return Pages(clock)


async def keys_of(cache):
    """How many keys the store holds; a store in memory says how many that are not swept yet, too."""
    held = cache.statistics().backends[""].get("keys")
    return await cache.get_keys_count() if held is None else held


# --- what is replayed


@pytest.mark.parametrize("items", [[], [None], [1, 0, 2], ["", b"", (), [], 0.0, False, None], [range(3), [1, 2]]])
async def test_a_run_is_replayed_exactly_falsy_items_and_all(cache, pages, items):
    """Guarantee 13; D8."""
    pages.items = items
    get = cache.iterator("10m", key="pages")(pages)
    assert await collect(get()) == await collect(get()) == items
    assert pages.runs == 1


@pytest.mark.parametrize("length", [1, PACE - 1, PACE, PACE + 1, 2 * PACE, LONG, VERY_LONG])
async def test_a_run_of_any_length_is_replayed(cache, pages, length):
    pages.items = list(range(length))
    get = cache.iterator("10m", key="pages")(pages)
    assert await collect(get()) == await collect(get()) == pages.items
    assert pages.runs == 1
    assert await keys_of(cache) == 1


async def test_each_call_has_its_own_run(cache):
    @cache.iterator("10m", key="upto:{end}")
    async def upto(end):
        for number in range(end):
            yield number

    assert await collect(upto(2)) == await collect(upto(end=2)) == [0, 1]
    assert await collect(upto(3)) == [0, 1, 2]


async def test_a_run_is_gone_at_its_deadline(cache, clock, pages):
    """Guarantee 2; the ttl counts from the end of the run, however long its items took."""
    pages.items, pages.takes = list(range(PACE + 1)), 1.0
    get = cache.iterator(10, key="pages")(pages)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, get())
        await clock.advance(PACE + 1)
    await clock.advance(9.99)
    assert await collect(get()) == pages.items
    assert pages.runs == 1
    pages.takes = 0
    await clock.advance(0.01)
    await collect(get())
    assert pages.runs == 2


async def test_without_a_ttl_a_run_stays(cache, clock, pages):
    pages.items = list(range(LONG))
    get = cache.iterator(None, key="pages")(pages)
    await collect(get())
    await clock.advance(10**9)
    assert await collect(get()) == pages.items
    assert (pages.runs, await keys_of(cache)) == (1, 1)


async def test_a_ttl_may_depend_on_the_arguments_and_on_the_items(cache):
    """D19."""
    seen = []

    def ttl(name, result):
        seen.append((name, result))
        return len(result) * 10

    @cache.iterator(ttl, key="letters:{name}")
    async def letters(name):
        for letter in name:
            yield letter

    await collect(letters("abc"))
    assert seen == [("abc", ["a", "b", "c"])]
    assert await cache.get_expire("letters:abc") == 30


class Half(Random):
    """Chance that has been decided."""

    def random(self):
        return 0.5


async def test_jitter_shortens_the_ttl_at_random(clock, pages, subject):
    async with subject.open(clock, random=Half()) as cache:
        await collect(cache.iterator(1000, key="pages", jitter=0.2)(pages)())
        assert await cache.get_expire("pages") == 900


async def test_a_ttl_that_is_not_above_zero_stores_nothing(cache, pages):
    pages.items = list(range(LONG))
    get = cache.iterator(lambda: 0, key="pages")(pages)
    await collect(get())
    assert await keys_of(cache) == 0


# --- what is not stored


async def test_a_run_left_early_is_not_stored(cache, pages):
    get = cache.iterator("10m", key="pages")(pages)
    assert await take(get(), 3) == [0, 1, 2]  # all of them: but that it was all, this consumer never heard
    assert (await keys_of(cache), pages.closed) == (0, 1)
    assert await collect(get()) == [0, 1, 2]


async def test_a_run_that_raised_is_not_stored(cache, pages):
    pages.fails_after = 2
    get = cache.iterator("10m", key="pages")(pages)
    with pytest.raises(ConnectionError):
        await collect(get())
    assert (await keys_of(cache), pages.closed) == (0, 1)
    pages.fails_after = None
    assert await collect(get()) == [0, 1, 2]


@pytest.mark.parametrize("condition", [NOT_NONE, "not_none", "skip_none"])
async def test_an_item_that_the_condition_refuses_keeps_the_run_from_being_stored(cache, pages, condition):
    """It is yielded all the same; D9."""
    pages.items = [1, None, 2]
    get = cache.iterator("10m", key="pages", condition=condition)(pages)
    assert await collect(get()) == await collect(get()) == [1, None, 2]
    assert (pages.runs, await keys_of(cache)) == (2, 0)
    pages.items = [1, 2]
    assert await collect(get()) == await collect(get()) == [1, 2]
    assert pages.runs == 3


async def test_a_condition_sees_every_item_and_may_be_async(cache):
    seen = []

    async def condition(item, args, kwargs, key):
        await checkpoint()
        seen.append((item, args, kwargs, key))
        return "yes"  # truthy is enough, D17

    @cache.iterator("10m", key="letters:{name}", condition=condition)
    async def letters(name, *, upper=False):
        for letter in name:
            yield letter.upper() if upper else letter

    assert await collect(letters("ab", upper=True)) == await collect(letters("ab", upper=True)) == ["A", "B"]
    assert seen == [("A", ("ab",), {"upper": True}, "letters:ab"), ("B", ("ab",), {"upper": True}, "letters:ab")]


async def test_a_condition_is_not_asked_again_once_it_has_refused(cache, pages):
    asked = []
    get = cache.iterator("10m", key="pages", condition=lambda item, *_, **__: asked.append(item))(pages)
    assert await collect(get()) == [0, 1, 2]
    assert asked == [0]


async def test_the_time_condition_counts_the_generator_and_not_its_consumer(cache, clock, pages):
    get = cache.iterator("10m", key="pages", time_condition=3)(pages)

    async def slowly():
        async for _ in get():
            await clock.sleep(100)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slowly)
        await clock.advance(301)
    assert await keys_of(cache) == 0
    pages.takes = 1.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, get())
        await clock.advance(3)
    assert await keys_of(cache) == 1


async def test_a_run_that_is_too_long_is_yielded_and_not_stored(cache, pages):
    get = cache.iterator("10m", key="pages", max_items=3)(pages)
    pages.items = [1, 2, 3, 4]
    assert await collect(get()) == [1, 2, 3, 4]
    assert await keys_of(cache) == 0
    pages.items = [1, 2, 3]
    assert await collect(get()) == await collect(get()) == [1, 2, 3]
    assert pages.runs == 2


async def test_a_disabled_cache_runs_the_function_each_time(cache, pages):
    get = cache.iterator("10m", key="pages")(pages)
    with cache.disabling():
        assert await collect(get()) == await collect(get()) == [0, 1, 2]
    assert (pages.runs, await keys_of(cache)) == (2, 0)
    with cache.disabling(Command.SET):
        await collect(get())
    assert await keys_of(cache) == 0


# --- a run that is not there any more


@pytest.mark.parametrize("foreign", [None, 7, "pages", [0, 1, 2], (0, 1, 2), Returned([0, 1, 2])])
async def test_a_foreign_value_under_the_key_counts_as_absent(cache, pages, foreign):
    await cache.set("pages", foreign)
    get = cache.iterator("10m", key="pages")(pages)
    assert await collect(get()) == await collect(get()) == [0, 1, 2]
    assert pages.runs == 1


async def test_a_replay_that_has_begun_needs_its_run_no_more(cache, pages):
    pages.items = list(range(LONG))
    get = cache.iterator("10m", key="pages")(pages)
    await collect(get())
    async with aclosing(get()) as replay:
        first = await anext(replay)
        await cache.clear()
        assert [first, *[item async for item in replay]] == pages.items
    assert pages.runs == 1


async def test_nothing_of_a_run_outlives_its_deadline(cache, clock, pages):
    """Guarantee 2."""
    pages.items = list(range(LONG))
    get = cache.iterator(10, key="pages")(pages)
    await collect(get())
    await clock.advance(10)
    assert await cache.get_keys_count() == 0


# --- invalidation


async def test_an_invalidated_run_is_not_replayed(cache, pages):
    """D10: what is left of an old run never mixes with a new one."""
    pages.items = list(range(5 * PACE))
    get = cache.iterator("10m", key="pages")(pages)
    await collect(get())
    assert await get.invalidate()
    assert not await get.invalidate()
    pages.items = ["a", "b"]
    assert await collect(get()) == await collect(get()) == ["a", "b"]
    assert pages.runs == 2


INVALIDATIONS = {
    "invalidate": lambda _, get: get.invalidate(),
    "delete": lambda cache, _: cache.delete("pages"),
    "delete_many": lambda cache, _: cache.delete_many("other", "pages"),
    "delete_match": lambda cache, _: cache.delete_match("pages"),
    "delete_tags": lambda cache, _: cache.delete_tags("all"),
    "clear": lambda cache, _: cache.clear(),
}


@pytest.mark.parametrize("invalidate", INVALIDATIONS.values(), ids=INVALIDATIONS)
@pytest.mark.parametrize("ttl", [None, "10m"])
async def test_nothing_of_a_run_outlives_the_deletion_of_its_key(cache, pages, invalidate, ttl):
    """D12: nor can a part of it go alone."""
    pages.items = list(range(VERY_LONG))
    get = cache.iterator(ttl, key="pages", tags=["all"])(pages)
    await collect(get())
    assert await cache.get_keys_count() == 1
    await invalidate(cache, get)
    assert await cache.get_keys_count() == 0


@pytest.mark.parametrize("invalidate", INVALIDATIONS.values(), ids=INVALIDATIONS)
async def test_a_run_that_was_invalidated_meanwhile_is_not_stored(cache, pages, invalidate):
    """Guarantee 10; D14. Its consumer gets it all."""
    pages.items = list(range(LONG))
    get = cache.iterator("10m", key="pages", tags=["all"])(pages)
    async with aclosing(get()) as stream:
        first = await anext(stream)
        await invalidate(cache, get)
        assert [first, *[item async for item in stream]] == pages.items
    assert await keys_of(cache) == 0
    assert cache.statistics().loads == 0


async def test_a_run_replaces_another_as_a_whole(cache, pages):
    """Guarantee 13."""
    pages.items = list(range(LONG))
    get = cache.iterator("10m", key="pages")(pages)
    async with aclosing(get()) as late:
        first = await anext(late)
        pages.items = ["a"]
        assert await collect(get()) == await collect(get()) == ["a"]
        assert [first, *[item async for item in late]] == list(range(LONG))
        assert await collect(get()) == list(range(LONG))
    assert (pages.runs, await keys_of(cache)) == (2, 1)


# --- concurrent consumers


async def test_concurrent_runs_do_not_mix(cache, subject):
    """D11: each cold consumer has its own run; the last that came to its end is replayed."""
    runs = iter("abc")

    @cache.iterator("10m", key="pages")
    async def pages():
        run = next(runs)
        for number in range(LONG):
            await checkpoint()
            yield run, number

    found = []

    async def consume():
        found.append(await collect(pages()))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(consume)
    assert sorted(run[0][0] for run in found) == ["a", "b", "c"]
    assert all(run == [(run[0][0], number) for number in range(LONG)] for run in found)
    replayed = await collect(pages())
    assert replayed in found
    if subject.name == "mem":  # others' replies come to several tasks at once, in any order
        assert replayed == found[-1]


async def test_a_consumer_may_interleave_two_streams_of_one_key(cache, pages):
    """Neither waits for the other: sharing a run would be a deadlock here."""
    get = cache.iterator("10m", key="pages")(pages)
    async with aclosing(get()) as left, aclosing(get()) as right:
        assert [(await anext(left), await anext(right)) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]


async def test_a_late_consumer_of_an_unfinished_run_runs_the_function(cache, pages):
    get = cache.iterator("10m", key="pages")(pages)
    async with aclosing(get()) as first:
        await anext(first)
        assert await collect(get()) == [0, 1, 2]
        assert [item async for item in first] == [1, 2]
    assert pages.runs == 2


async def test_a_long_replay_lets_others_run(cache, pages):
    pages.items = list(range(3 * PACE))
    get = cache.iterator("10m", key="pages")(pages)
    await collect(get())
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await collect(get())
        tasks.cancel_scope.cancel()
    assert turns >= 2


# --- the source is closed


async def test_the_source_is_closed_at_once_when_the_consumer_leaves(cache, pages):
    """Guarantee 13; D13: not when the collector comes."""
    get = cache.iterator("10m", key="pages")(pages)
    gc.disable()
    try:
        await take(get(), 1)
        assert pages.closed == 1
    finally:
        gc.enable()
    assert cache.statistics().loads == 0


async def test_the_source_is_closed_when_the_consumer_is_cancelled(cache, clock, pages):
    pages.takes = 10
    get = cache.iterator("10m", key="pages")(pages)
    with clock.move_on_at(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, get())
            await clock.advance(20)
    assert pages.runs == 1
    assert (await keys_of(cache), cache.statistics().loads) == (0, 0)


async def test_an_error_of_the_consumer_closes_the_source(cache, pages):
    get = cache.iterator("10m", key="pages")(pages)

    async def consume():
        async with aclosing(get()) as stream:
            async for item in stream:
                1 / item

    with pytest.raises(ZeroDivisionError):
        await consume()
    assert (pages.closed, await keys_of(cache)) == (1, 0)


async def test_the_source_is_closed_before_the_run_is_stored(cache):
    """So a run whose clean-up fails is not complete."""

    @cache.iterator("10m", key="pages")
    async def pages():
        try:
            yield 1
        finally:
            raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await collect(pages())
    assert await keys_of(cache) == 0


# --- copies


@on_memory
async def test_what_the_consumer_does_to_an_item_is_not_stored_where_the_store_copies(clock):
    """Guarantees 8 and 13."""
    async with Cache.open("mem://?copy=deep", clock=clock) as cache:

        @cache.iterator("10m", key="pages")
        async def pages():
            yield {"tags": ["a"]}
            yield {"tags": ["b"]}

        for _ in range(3):
            seen = []
            async for page in pages():
                seen.append(list(page["tags"]))
                page["tags"].append("mine")
            assert seen == [["a"], ["b"]]


async def test_an_item_that_cannot_be_copied_keeps_the_run_from_being_stored(clock, caplog):
    """Where the store copies; the consumer gets it."""

    def numbers():
        yield from range(3)

    async with Cache.open("mem://?copy=deep", clock=clock) as cache:

        @cache.iterator("10m", key="pages")
        async def pages():
            yield numbers()  # a generator has no copy
            yield 1

        first, second = await collect(pages())
        assert (list(first), second) == ([0, 1, 2], 1)
        assert await keys_of(cache) == 0
        assert cache.statistics().uncached == {"copy failed": 1}
    assert "pages" in caplog.text


@on_memory
async def test_a_store_that_shares_its_objects_shares_items(cache):
    page = object()

    @cache.iterator("10m", key="pages")
    async def pages():
        yield page

    await collect(pages())
    (found,) = await collect(pages())
    assert found is page


# --- as a function


async def test_a_cached_generator_function_is_still_one(cache):
    @cache.iterator("10m", key="pages:{name}")
    async def get(name: str):
        """Get pages."""
        yield name

    assert inspect.isasyncgenfunction(get)
    assert list(inspect.signature(get).parameters) == ["name"]
    assert (get.__name__, get.__doc__) == ("get", "Get pages.")
    assert get.key("a") == get.key(name="a") == "pages:a"
    assert await collect(get("a")) == ["a"]


async def test_default_keys_prefixes_and_methods(cache):
    @cache.iterator("10m", prefix="v2")
    async def get(name):
        yield name

    assert get.key("a").startswith("v2:")
    assert get.key("a").endswith(".get:name:a")

    class Users:
        def __init__(self, names):
            self.names = names

        @noself(cache.iterator)("10m")
        async def all(self, prefix):
            for name in self.names:
                yield prefix + name

    users = Users(["a", "b"])
    assert await collect(users.all("x")) == ["xa", "xb"]
    users.names = []
    assert await collect(users.all("x")) == ["xa", "xb"]
    assert Users.all.key(users, "x").endswith("Users.all:prefix:x")
    assert await Users.all.invalidate(users, "x")
    assert await collect(users.all("x")) == []


async def coroutine():
    return [1]


def generator():
    yield 1


@pytest.mark.parametrize("function", [coroutine, generator, lambda: None, partial(coroutine), 7])
def test_other_functions_are_refused(function):
    """D27."""
    with pytest.raises(NotAsyncError, match="async generator functions"):
        Cache().iterator("10m", key="k")(function)


async def test_a_partial_is_a_generator_function_too(cache):
    async def upto(end):
        for number in range(end):
            yield number

    get = cache.iterator("10m", key="two")(partial(upto, 2))
    assert await collect(get()) == await collect(get()) == [0, 1]


@pytest.mark.parametrize("wrong", [{"max_items": 0}, {"jitter": 2}, {"condition": "sometimes"}])
def test_wrong_arguments_are_refused_at_decoration(wrong):
    with pytest.raises(WrongArgumentError):
        Cache().iterator("10m", **wrong)


async def test_the_first_item_is_not_kept_waiting(cache, clock, pages):
    """A run is passed on as it comes."""
    pages.takes = 1
    get = cache.iterator("10m", key="pages")(pages)
    seen = []

    async def consume():
        seen.extend([(item, clock.now()) async for item in get()])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consume)
        await clock.advance(3)
    assert [at for _, at in seen] == [1, 2, 3]


# --- with the rest of the cache


async def test_a_replay_is_detected_and_a_run_is_not(cache, pages, subject):
    get = cache.iterator("10m", key="pages")(pages)
    with cache.detect as detector:
        await collect(get())
        assert detector.calls == {}
        await collect(get())
    assert detector.calls == {"pages": [{"name": "iterator", "ttl": 600, "backend": subject.name}]}


async def test_under_invalidate_further_a_new_run_is_stored(cache, pages):
    """Guarantee 21."""
    get = cache.iterator("10m", key="pages")(pages)
    await collect(get())
    pages.items = list(range(LONG))
    with invalidate_further():
        assert await collect(get()) == pages.items
    assert await collect(get()) == pages.items
    assert pages.runs == 2


async def test_a_run_is_stored_by_one_command_and_found_by_one(clock, pages, subject):
    commands = []

    async def middleware(call, cmd, _backend, *args, **kwargs):
        commands.append(cmd)
        return await call(*args, **kwargs)

    async with subject.open(clock, middlewares=[middleware]) as cache:
        pages.items = list(range(VERY_LONG))
        get = cache.iterator("10m", key="pages")(pages)
        assert await collect(get()) == await collect(get())
    assert commands == [Command.GET, Command.SET, Command.GET]


def test_a_cache_may_be_decorated_with_before_it_is_set_up():
    cache = Cache(clock=VirtualClock())

    @cache.iterator("10m", key="k")
    async def get():
        yield 1

    cache.setup("mem://")
    assert get.key() == "k"


# --- the straight line


async def replay_beside(get, times):
    """Replay some times; returns how often another task had its turn meanwhile."""
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        for _ in range(times):
            assert await collect(get()) == [0, 1, 2]
        tasks.cancel_scope.cancel()
    return turns


@on_memory
async def test_short_replays_draw_on_the_budget_of_messages(cache, pages):
    get = cache.iterator("10m", key="pages")(pages)
    await collect(get())
    await replay_beside(get, BUDGET)  # and is spent somewhere in it
    assert await replay_beside(get, BUDGET // 2) <= 1
    assert await replay_beside(get, 4 * BUDGET) >= 2


async def test_a_replay_is_seen_by_detectors(cache, pages):
    get = cache.iterator("10m", key="pages")(pages)
    await collect(get())
    with cache.detect as detector:
        assert await collect(get()) == [0, 1, 2]
    assert [record["name"] for record in detector.calls["pages"]] == ["iterator"]


async def test_a_generator_function_takes_its_arguments_by_name(cache):
    @cache.iterator("10m")
    async def pages_of(book, /, first=0, *, last):
        """Yield pages."""
        for page in range(first, last):
            yield book, page

    assert inspect.isasyncgenfunction(pages_of)
    assert (pages_of.__name__, pages_of.__doc__) == ("pages_of", "Yield pages.")
    assert await collect(pages_of("b", last=2)) == [("b", 0), ("b", 1)]
    assert await collect(pages_of("b", 0, last=2)) == [("b", 0), ("b", 1)]
    assert cache.statistics().calls.hits == 1
    with pytest.raises(TypeError, match="last"):
        pages_of("b")
