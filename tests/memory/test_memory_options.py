"""The options of ``mem://``: size, copies, and what is refused."""

from __future__ import annotations

import threading

import pytest

from cashews import Cache, Cause
from cashews.exceptions import CacheError, UnknownOptionError, UnknownSchemeError, WrongOptionError
from tests.internals import inside

# --- size


async def test_at_most_so_many_values_are_kept():
    """Guarantee 27."""
    async with Cache.open("mem://?size=10") as cache:
        for number in range(100):
            await cache.set(str(number), number)
        assert await cache.get_keys_count() == 10
        assert await cache.get_many(*map(str, range(88, 92))) == (None, None, 90, 91)


@pytest.mark.parametrize(
    ("use", "keeps"),
    [
        (lambda cache: cache.get("a"), True),
        (lambda cache: cache.get_raw("a"), True),
        (lambda cache: cache.get_many("a"), True),
        (lambda cache: cache.set("a", 2), True),
        (lambda cache: cache.set("a", 2, exist=True), True),
        (lambda cache: cache.incr("a"), True),
        (lambda cache: cache.set("a", 2, exist=False), False),
        (lambda cache: cache.exists("a"), False),
        (lambda cache: cache.get_expire("a"), False),
    ],
)
async def test_reading_and_writing_a_value_keeps_it_and_asking_about_it_does_not(use, keeps):
    """Guarantee 27."""
    async with Cache.open("mem://", size=2) as cache:
        await cache.set("a", 1)
        await cache.set("b", 1)
        await use(cache)
        await cache.set("c", 1)
        assert await cache.exists("a") is keeps
        assert await cache.exists("b") is not keeps


async def test_locks_sets_windows_and_bits_are_not_evicted(clock):
    """Guarantee 27; seen under load: a rate limit in memory was reset by writing 1,000 other keys."""
    async with Cache.open("mem://", size=2, clock=clock) as cache:
        await cache.set_add("set", "a")
        await cache.slice_incr("window", 0, 1, 5)
        await cache.incr_bits("bits", 3)
        await cache.set_lock("lock", "token", 100)

        @cache.rate_limit(limit=1, period=100, key="limited")
        async def limited():
            return 1

        await limited()
        for number in range(1_000):
            await cache.set(str(number), number)
        assert await cache.slice_incr("window", 0, 1, 5) == 2
        assert await cache.get_bits("bits", 3) == (1,)
        assert await cache.is_locked("lock")
        assert await cache.set_pop("set") == ["a"]
        with pytest.raises(CacheError):
            await limited()


# --- copies


async def test_by_default_the_object_itself_is_kept_and_returned():
    """Guarantee 8."""
    async with Cache.open("mem://") as cache:
        value, lock = {"a": [1]}, threading.Lock()
        await cache.set("k", value)
        await cache.set("lock", lock)
        assert await cache.get("k") is value
        assert (await cache.get_many("k"))[0] is value
        assert await cache.get("lock") is lock


async def test_deep_copies_keep_what_was_stored_as_it_was():
    """Guarantee 8; D86."""
    async with Cache.open("mem://", copy="deep") as cache:
        for store in (
            lambda value: cache.set("k", value),
            lambda value: cache.set_many({"k": value}),
        ):
            value = {"a": [1]}
            await store(value)
            value["a"].append(2)
            value["b"] = 3
            assert await cache.get("k") == {"a": [1]}


async def test_deep_copies_may_be_changed_by_whoever_got_them():
    """Guarantee 8; D86."""
    async with Cache.open("mem://", copy="deep") as cache:
        await cache.set("k", {"a": [1]})
        for read in (
            lambda: cache.get("k"),
            lambda: cache.get_raw("k"),
            lambda: first(cache.get_many("k")),
            lambda: only_value(cache.get_match("k*")),
        ):
            (await read())["a"].append(2)
            assert await cache.get("k") == {"a": [1]}


async def first(values):
    return (await values)[0]


async def only_value(pairs):
    [(_, value)] = [pair async for pair in pairs]
    return value


async def test_a_default_is_never_copied():
    async with Cache.open("mem://", copy="deep") as cache:
        default = object()
        assert await cache.get("k", default) is default
        assert await cache.get_raw("k", default) is default
        assert all(value is default for value in await cache.get_many("k", "l", default=default))
        lock = threading.Lock()
        assert await cache.get("k", lock) is lock


async def test_a_value_that_cannot_be_copied_is_not_stored():
    """D86."""
    async with Cache.open("mem://", copy="deep") as cache:
        with pytest.raises(TypeError):
            await cache.set("k", threading.Lock())
        assert not await cache.exists("k")


async def test_removal_callbacks_get_the_stored_value():
    async with Cache.open("mem://", copy="deep") as cache:
        seen = []
        cache.on_remove(lambda *removal: seen.append(removal))
        await cache.set("k", [1])
        await cache.delete("k")
        assert seen == [("k", [1], Cause.DELETED)]


# --- what is refused


def test_options_are_given_in_the_url_or_as_keywords():
    for cache in (Cache.open("mem://?size=7&check_interval=1m&copy=deep"), Cache.open("mem://", size=7, copy="deep")):
        options = inside(cache).store()._options
        assert (options.size, options.copy) == (7, "deep")
    assert inside(Cache.open("mem://?check_interval=2.5")).store()._options.check_interval == 2.5
    assert inside(Cache.open("mem://?size=7", size=8)).store()._options.size == 8


@pytest.mark.parametrize("url", ["memory://", "://", " ", "mem", "mem:/", "http://x"])
def test_an_unknown_scheme_is_an_error_that_names_the_known_ones(url):
    with pytest.raises(UnknownSchemeError, match=r"known schemes: .*mem://"):
        Cache().setup(url)


@pytest.mark.parametrize("option", ["sizes", "Size", "ttl", "client_side"])
def test_an_unknown_option_is_an_error_that_names_the_known_ones(option):
    for setup in (lambda: Cache().setup(f"mem://?{option}=1"), lambda: Cache().setup("mem://", **{option: 1})):
        with pytest.raises(
            UnknownOptionError, match=rf"no option '{option}'; its options: check_interval, .*copy, .*secret, size"
        ):
            setup()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", 0),
        ("size", -1),
        ("size", "many"),
        ("size", 1.5),
        ("size", True),
        ("size", None),
        ("size", ""),
        ("check_interval", -1),
        ("check_interval", "often"),
        ("check_interval", None),
        ("check_interval", ""),
        ("copy", "shallow"),
        ("copy", ""),
        ("enable", "maybe"),
        ("disable", 2),
    ],
)
def test_a_wrong_value_is_an_error_that_says_what_is_allowed(option, value):
    """D51."""
    with pytest.raises(WrongOptionError, match=rf"option '{option}' is .*; allowed: ..."):
        Cache().setup("mem://", **{option: value})


@pytest.mark.parametrize(
    "url", ["mem://elsewhere", "mem://localhost:1", "mem:///path", "mem://size=5", "mem://u@localhost"]
)
def test_another_host_or_a_path_means_nothing_to_memory(url):
    with pytest.raises(WrongOptionError, match="mem://"):
        Cache().setup(url)


@pytest.mark.parametrize("url", ["mem://localhost", "mem://LOCALHOST/?size=7", "mem://127.0.0.1?size=7", "mem://[::1]"])
def test_the_host_of_a_url_may_be_this_one(url):
    cache = Cache.open(url)
    assert inside(cache).store()._options.size == (7 if "7" in url.partition("?")[2] else 1_000)


def test_a_refused_setup_changes_nothing():
    cache = Cache()
    cache.setup("mem://", size=5)
    with pytest.raises(WrongOptionError):
        cache.setup("mem://", size=0)
    assert inside(cache).store()._options.size == 5
    fresh = Cache()
    with pytest.raises(UnknownSchemeError):
        fresh.setup("nothing://")
    assert not fresh.is_setup()
