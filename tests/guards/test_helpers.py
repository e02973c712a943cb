"""The ready-made middlewares: right for every command, under every shape of message."""

from dataclasses import fields
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache, Command, add_prefix, all_keys_lower, fast_condition, memory_limit, with_exceptions
from cashews import messages as m
from cashews.exceptions import WrongArgumentError
from cashews.keys.pattern import Pattern
from cashews.messages import MESSAGES, DeleteMatch, Get, Set
from cashews.testing.clock import VirtualClock
from tests.internals import inside
from tests.subjects import on_memory

TEXT = "x" * 20
SIZE = getsizeof(TEXT)
"""Not the same in every Python."""


@pytest.fixture
def seen():
    return []


@pytest.fixture
def opened(clock, seen, subject):
    """Open a cache with a middleware, and one behind it that notes the keys which arrive."""

    async def watch(call, cmd, _backend, *args, **kwargs):
        seen.append((cmd, args, kwargs))
        return await call(*args, **kwargs)

    def opened(middleware):
        return subject.open(clock, middlewares=(middleware, watch))

    return opened


async def use_everything(cache):
    """Use every command on the key "Key", and return what they answered."""
    pairs = [pair async for pair in cache.get_match("K*")]
    return {
        "set": await cache.set("Key", 1),
        "set_raw": await cache.set_raw("Raw", 1),
        "set_many": await cache.set_many({"Key": 1, "Other": 2}),
        "get": await cache.get("Key"),
        "get_default": await cache.get("None", default="default"),
        "get_raw": await cache.get_raw("Raw"),
        "get_many": await cache.get_many("Key", "None", "Other", default="default"),
        "get_match": pairs + [pair async for pair in cache.get_match("K*")],
        "scan": sorted([key async for key in cache.scan("*")]),
        "incr": await cache.incr("Count", 2),
        "exists": await cache.exists("Key"),
        "expire": await cache.expire("Key", 10),
        "get_expire": await cache.get_expire("Key"),
        "get_size": await cache.get_size("Key") > 0,
        "incr_bits": await cache.incr_bits("Bits", 1, 2),
        "get_bits": await cache.get_bits("Bits", 1, 2, 3),
        "slice_incr": await cache.slice_incr("Slice", 0, 1, 5),
        "set_add": await cache.set_add("Set", "A", "B", "C"),
        "set_remove": await cache.set_remove("Set", "A", "B"),
        "set_pop": await cache.set_pop("Set"),
        "set_lock": await cache.set_lock("Lock", "token", 10),
        "is_locked": await cache.is_locked("Lock"),
        "locks": [key async for key, _ in cache.locks("L*")],
        "unlock": await cache.unlock("Lock", "token"),
        "break_lock": await cache.break_lock("Lock"),
        "set_tagged": await cache.set("Tagged", 1, tags=["t", "u"]),
        "get_key_tags": await cache.get_key_tags("Tagged"),
        "delete_tags": await cache.delete_tags("u", "v"),
        "tagged": await cache.exists("Tagged"),
        "count": await cache.get_keys_count(),
        "delete": await cache.delete("Raw"),
        "delete_many": await cache.delete_many("Count", "None"),
        "delete_match": await cache.delete_match("*ther"),
        "left": sorted([key async for key in cache.scan("*")]),
        "ping": await cache.ping(),
        "clear": await cache.clear(),
        "nothing": await cache.get_keys_count(),
    }


# --- add_prefix


async def test_every_command_answers_as_without_a_prefix(clock, opened, subject):
    """D43."""
    async with subject.open(clock) as plain, opened(add_prefix("P:")) as prefixed:
        assert await use_everything(prefixed) == await use_everything(plain)


async def test_every_key_and_pattern_has_its_prefix(opened, seen):
    """D43."""
    async with opened(add_prefix("P:")) as cache:
        await use_everything(cache)
    named = [(cmd, key) for cmd, args, kwargs in seen for key in keys_of(cmd, args, kwargs)]
    assert [(cmd, key) for cmd, key in named if not key.startswith("P:")] == []
    whole_store = {Command.CLEAR, Command.GET_KEYS_COUNT}
    assert {cmd for cmd, _ in named} == set(Command) - {Command.PING} - whole_store


def keys_of(cmd, args, kwargs):
    """Return the keys and tags among the arguments of a command."""
    many = cmd in {Command.GET_MANY, Command.DELETE_MANY, Command.DELETE_TAGS}
    named = [kwargs[name] for name in ("key", "pattern") if name in kwargs]
    return [*(args if many else args[:1]), *named, *kwargs.get("pairs", ())]


@pytest.mark.parametrize("name", sorted({kind.__name__ for kind in MESSAGES} - {"Commit"}))
async def test_no_message_is_forgotten(name):
    """Whatever message there is or will be: what arrives in the store names keys under the prefix only."""
    kind, arrived = getattr(m, name), []

    async def proceed(message):
        arrived.append(message)
        return message.declined()

    named = {"key": "k", "many": ("k", "l"), "pairs": {"k": 1}, "pattern": "k*"}
    known = {**named, "indexes": (1,), "tags": ("t", "u"), "beside": ("v",)}
    message = kind(**{field.name: known.get(field.name) for field in fields(kind)})
    reply = await add_prefix("P:")(message, proceed)
    assert reply == message.declined()
    (there,) = arrived
    tags = (*getattr(there, "tags", ()), *getattr(there, "beside", ()))
    assert all(key.startswith("P:") for key in (*there.keys, *tags))
    if kind not in {m.Ping, m.DeleteTags}:
        assert there.keys or there.covers.startswith("P:")


async def test_a_store_is_shared_under_prefixes(opened):
    """What others keep in the store is neither seen nor touched."""
    async with opened(add_prefix("P:")) as cache:
        await cache.set("a", 1)
        backend = inside(cache).store()
        await backend.ask(Set("alien", 1))
        assert [key async for key in cache.scan("*")] == ["a"]
        assert await cache.get_keys_count() == 1
        await cache.delete_match("*")
        await cache.clear()
        assert await backend.ask(Get("alien")) == 1


async def test_many_keys_are_counted_in_pages():
    async with Cache.open("mem://?size=10000", clock=VirtualClock(), middlewares=(add_prefix("P:"),)) as cache:
        await cache.set_many({f"{number}": number for number in range(5000)})
        assert await cache.get_keys_count() == 5000
        assert len([key async for key in cache.scan("*")]) == 5000


async def test_prefixes_add_up_the_outer_one_next_to_the_key(clock, seen, subject):
    async def watch(call, _cmd, _backend, *args, **kwargs):
        seen.append(kwargs["key"])
        return await call(*args, **kwargs)

    middlewares = (add_prefix("inner:"), add_prefix("outer:"), watch)
    async with subject.open(clock, middlewares=middlewares) as cache:
        await cache.set("k", 1)
        assert seen == ["outer:inner:k"]


async def test_a_star_in_a_prefix_is_only_that_character(clock, subject):
    async with subject.open(clock) as plain:
        plain.add_middleware(add_prefix("*:"))
        await plain.set("mine", 1)
        await inside(plain).store().ask(Set("other:mine", 1))
        assert [key async for key in plain.scan("*")] == ["mine"]


async def test_the_cache_of_a_function_lives_under_the_prefix(opened):
    calls = []
    async with opened(add_prefix("P:")) as cache:

        @cache(ttl=10, key="k:{x}")
        async def function(x):
            calls.append(x)
            return x

        assert [await function(1), await function(1)] == [1, 1]
        await cache.delete("k:1")
        assert [await function(1), await function(1)] == [1, 1]
    assert calls == [1, 1]


# --- all_keys_lower


async def test_keys_and_patterns_of_every_command_are_lower_case(opened, seen):
    async with opened(all_keys_lower()) as cache:
        answers = await use_everything(cache)
    named = [key for cmd, args, kwargs in seen for key in keys_of(cmd, args, kwargs)]
    assert named == [key.lower() for key in named]
    assert answers["scan"] == ["key", "other", "raw"]
    assert answers["set_pop"] == ["C"]


async def test_keys_that_differ_in_case_are_one(opened):
    async with opened(all_keys_lower()) as cache:
        await cache.set("KEY", 1)
        assert await cache.get("key") == 1
        assert [pair async for pair in cache.get_match("K*")] == [("key", 1)]


async def test_stars_that_stand_for_themselves_stay_so():
    arrived = []

    async def proceed(message):
        arrived.append(message.pattern)

    for middleware in (all_keys_lower(), add_prefix("p")):
        await middleware(DeleteMatch(Pattern.of(("A*", ""))), proceed)
    assert [pattern.pieces for pattern in arrived] == [("a*", ""), ("pA*", "")]


# --- memory_limit


@pytest.mark.parametrize(("value", "stored"), [("x", False), ("x" * 20, True), ("x" * 60, False), (["x" * 1000], True)])
async def test_only_values_within_the_limits_are_stored(opened, value, stored):
    """The sizes are those of `sys.getsizeof`: the length and 49 bytes for a text, 41 since Python 3.12."""
    async with opened(memory_limit(60, 100)) as cache:
        assert await cache.set("set", value) is stored
        assert await cache.set_raw("raw", value if isinstance(value, str) else "x" * 20) is stored
        await cache.set_many({"many": value, "fitting": "y" * 20})
        held = [await cache.exists(key) for key in ("set", "raw", "many", "fitting")]
        assert held == [stored, stored, stored, True]


@pytest.mark.parametrize(
    ("limits", "stored"),
    [((0, SIZE), True), ((SIZE, None), True), ((SIZE + 1, None), False), ((0, SIZE - 1), False)],
)
async def test_the_limits_themselves_are_allowed(opened, limits, stored):
    async with opened(memory_limit(*limits)) as cache:
        assert await cache.set("k", TEXT) is stored


async def test_what_is_refused_leaves_the_key_as_it_was(opened):
    async with opened(memory_limit(max_bytes=60)) as cache:
        await cache.set("k", "old")
        assert await cache.set("k", "x" * 100) is False
        assert await cache.get("k") == "old"


async def test_set_many_of_nothing_that_fits_does_not_reach_the_store(opened, seen):
    async with opened(memory_limit(max_bytes=60)) as cache:
        assert await cache.set_many({"k": "x" * 100}) is None
    assert seen == []


@pytest.mark.parametrize("strategy", ["early", "hit", "soft", "failover"])
async def test_the_value_counts_and_not_what_a_strategy_remembers_with_it(opened, strategy):
    calls = []
    async with opened(memory_limit(max_bytes=1000)) as cache:
        options = {"cache_hits": 5} if strategy == "hit" else {}

        @getattr(cache, strategy)(ttl=10, key="{size}", **options)
        async def function(size):
            calls.append(size)
            return "x" * size

        for size in (10, 5000):
            await function(size)
        assert [(await function.peek(size)) is not None for size in (10, 5000)] == [True, False]


@pytest.mark.parametrize(("limits", "argument"), [((-1, 10), "min_bytes"), ((10, 9), "max_bytes")])
def test_limits_that_allow_nothing_are_refused(limits, argument):
    with pytest.raises(WrongArgumentError) as refused:
        memory_limit(*limits)
    assert refused.value.argument == argument


@on_memory
@pytest.mark.parametrize(("size", "runs"), [(getsizeof(LookupError()), 1), (getsizeof(LookupError()) - 1, 2)])
async def test_a_memory_limit_is_about_a_remembered_exception_too(clock, subject, size, runs):
    ran = []

    async with subject.open(clock, middlewares=(memory_limit(max_bytes=size),)) as cache:

        @cache(ttl=60, key="k", condition=with_exceptions(LookupError))
        async def fail():
            ran.append(1)
            raise LookupError

        for _ in range(2):
            with pytest.raises(LookupError):
                await fail()
    assert len(ran) == runs


@on_memory
async def test_reads_are_served_in_place_beside_a_memory_limit(clock, subject):
    """A middleware that says which commands concern it costs the others nothing."""
    async with subject.open(clock, middlewares=(memory_limit(),)) as cache:
        kinds = inside(cache).turns_in_place("k")
    assert "Get" in kinds
    assert not kinds & {"Set", "SetRaw", "SetMany"}


# --- fast_condition


@pytest.mark.parametrize(("known", "runs"), [(None, 1), (0, 1), ("known", 2)])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_result_is_stored_only_if_the_getter_does_not_know_the_key(cache, known, runs, is_async):
    asked, told, calls = [], [], []

    def getter(key):
        asked.append(key)
        return known

    def setter(key, result):
        told.append((key, result))

    async def async_getter(key):
        return getter(key)

    async def async_setter(key, result):
        setter(key, result)

    condition = fast_condition(async_getter, async_setter) if is_async else fast_condition(getter, setter)

    @cache(ttl=10, key="k:{x}", condition=condition)
    async def function(x):
        calls.append(x)
        return x * 10

    assert [await function(1), await function(1)] == [10, 10]
    assert len(calls) == runs
    assert asked == ["k:1"] * runs
    assert told == ([] if known else [("k:1", 10)])


@pytest.mark.parametrize("setter", [None, "async"])
async def test_the_setter_may_be_missing_or_async(cache, setter):
    told = {}

    async def store(key, result):
        told[key] = result

    condition = fast_condition(told.get, store if setter else None)

    @cache(ttl=10, key="k", condition=condition)
    async def function():
        return 10

    assert [await function(), await function()] == [10, 10]
    assert told == ({"k": 10} if setter else {})


@given(prefix=st.text(max_size=4), keys=st.sets(st.text(max_size=4), max_size=12), head=st.text(max_size=2))
async def test_scanning_under_a_prefix_finds_what_scanning_without_finds(prefix, keys, head):
    found = []
    for middlewares in ((), (add_prefix(prefix),)):
        async with Cache.open("mem://", clock=VirtualClock(), middlewares=middlewares) as cache:
            for key in keys:
                await cache.set(key, key)
            found.append(
                (
                    {key async for key in cache.scan(head + "*")},
                    {pair async for pair in cache.get_match(head + "*")},
                )
            )
    assert found[0] == found[1]
