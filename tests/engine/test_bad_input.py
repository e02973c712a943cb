"""What a command or `setup()` is given wrongly is one error that names the argument; nothing is stored then."""

import math
from enum import IntEnum

import pytest

from cashews import Cache, Command
from cashews.api.settings import register_backend
from cashews.exceptions import CacheError, NotConfiguredError, SettingsError, WrongArgumentError
from cashews.messages.values import Cause

NO_TEXT = [1, None, b"k", ["k"], ("k",), {"k": 1}, True, object()]
NO_INTEGER = [1.5, True, False, "a", "1", None, [1], math.nan, math.inf]
NO_NUMBER = [True, "a", None, [1], math.nan, math.inf, -math.inf, 10**400]

BY_KEY = {
    "get": lambda cache, key: cache.get(key),
    "get_raw": lambda cache, key: cache.get_raw(key),
    "get_many": lambda cache, key: cache.get_many("a", key),
    "get_or_set": lambda cache, key: cache.get_or_set(key, 1),
    "set": lambda cache, key: cache.set(key, 1),
    "set_raw": lambda cache, key: cache.set_raw(key, b"1"),
    "incr": lambda cache, key: cache.incr(key),
    "exists": lambda cache, key: cache.exists(key),
    "delete": lambda cache, key: cache.delete(key),
    "delete_many": lambda cache, key: cache.delete_many("a", key),
    "delete_match": lambda cache, key: cache.delete_match(key),
    "expire": lambda cache, key: cache.expire(key, 10),
    "get_expire": lambda cache, key: cache.get_expire(key),
    "get_size": lambda cache, key: cache.get_size(key),
    "get_bits": lambda cache, key: cache.get_bits(key, 0),
    "incr_bits": lambda cache, key: cache.incr_bits(key, 0),
    "slice_incr": lambda cache, key: cache.slice_incr(key, 0, 1, 5),
    "set_add": lambda cache, key: cache.set_add(key, "a"),
    "set_remove": lambda cache, key: cache.set_remove(key, "a"),
    "set_pop": lambda cache, key: cache.set_pop(key),
    "set_lock": lambda cache, key: cache.set_lock(key, "token", 10),
    "unlock": lambda cache, key: cache.unlock(key, "token"),
    "is_locked": lambda cache, key: cache.is_locked(key),
}

AT_ONCE = {
    "get_match": lambda cache, key: cache.get_match(key),
    "scan": lambda cache, key: cache.scan(key),
    "lock": lambda cache, key: cache.lock(key),
}
"""What gives back something to iterate over or to enter says what is wrong before."""

WRONG = {
    "incr value": ("value", NO_INTEGER, lambda cache, wrong: cache.incr("k", wrong)),
    "set exist": ("exist", [1, 0, "yes", []], lambda cache, wrong: cache.set("k", 1, exist=wrong)),
    "set_many pairs": ("pairs", [1, None, "ab", [("k", 1)]], lambda cache, wrong: cache.set_many(wrong)),
    "set_many key": ("key", [1, None, b"k"], lambda cache, wrong: cache.set_many({"k": 1, wrong: 2})),
    "ping": ("message", [1, "text", True], lambda cache, wrong: cache.ping(wrong)),
    "get_bits index": ("indexes", [*NO_INTEGER, -1, 2**30], lambda cache, wrong: cache.get_bits("k", 0, wrong)),
    "incr_bits index": ("indexes", [*NO_INTEGER, -1, 2**30], lambda cache, wrong: cache.incr_bits("k", 0, wrong)),
    "incr_bits wide": ("indexes", [2**30 // 63, 2**30], lambda cache, wrong: cache.incr_bits("k", wrong, size=63)),
    "get_bits size": ("size", [*NO_INTEGER, 0, -1, 64], lambda cache, wrong: cache.get_bits("k", 0, size=wrong)),
    "incr_bits size": ("size", [*NO_INTEGER, 0, -1, 64], lambda cache, wrong: cache.incr_bits("k", 0, size=wrong)),
    "incr_bits by": ("by", NO_INTEGER, lambda cache, wrong: cache.incr_bits("k", 0, by=wrong)),
    "slice_incr start": ("start", NO_NUMBER, lambda cache, wrong: cache.slice_incr("k", wrong, 1, 5)),
    "slice_incr end": ("end", NO_NUMBER, lambda cache, wrong: cache.slice_incr("k", 0, wrong, 5)),
    "slice_incr maxvalue": ("maxvalue", NO_INTEGER, lambda cache, wrong: cache.slice_incr("k", 0, 1, wrong)),
    "set_add values": ("values", NO_TEXT, lambda cache, wrong: cache.set_add("k", "a", wrong)),
    "set_remove values": ("values", NO_TEXT, lambda cache, wrong: cache.set_remove("k", "a", wrong)),
    "set_pop count": ("count", [*NO_INTEGER, 0, -1], lambda cache, wrong: cache.set_pop("k", wrong)),
    "set_lock value": ("value", NO_TEXT, lambda cache, wrong: cache.set_lock("k", wrong, 10)),
    "unlock value": ("value", NO_TEXT, lambda cache, wrong: cache.unlock("k", wrong)),
}


@pytest.mark.parametrize("name", BY_KEY)
async def test_a_key_that_is_no_text_is_one_error_and_nothing_is_stored(cache, stored_in, name):
    for wrong in NO_TEXT:
        with pytest.raises(WrongArgumentError, match=r"^(key|keys|pattern) is .*; allowed: text$"):
            await BY_KEY[name](cache, wrong)
    assert stored_in(cache) == []


@pytest.mark.parametrize("name", AT_ONCE)
async def test_a_key_that_is_no_text_is_told_before_the_first_step(cache, name):
    for wrong in NO_TEXT:
        with pytest.raises(WrongArgumentError, match=r"^(key|pattern) is .*; allowed: text$"):
            AT_ONCE[name](cache, wrong)


@pytest.mark.parametrize("name", WRONG)
async def test_every_wrong_value_is_one_error_that_names_its_argument(cache, stored_in, name):
    argument, values, command = WRONG[name]
    for wrong in values:
        with pytest.raises(WrongArgumentError, match="; allowed: ") as caught:
            await command(cache, wrong)
        assert caught.value.argument == argument
    assert stored_in(cache) == []


@pytest.mark.parametrize("command", ["get_match", "scan"])
async def test_a_wrong_batch_size_is_told_before_the_first_step(cache, command):
    for wrong in [*NO_INTEGER, 0, -1]:
        with pytest.raises(WrongArgumentError, match=r"batch_size is .*; allowed: an integer from 1"):
            getattr(cache, command)("*", wrong)


async def test_a_lock_needs_a_lease_that_lasts(cache):
    for wrong in (0, -1, "0s", -0.5):
        with pytest.raises(WrongArgumentError, match=r"expire is .*; allowed: a duration above 0"):
            cache.lock("k", wrong)
    for wrong in ("soon", True, [], math.nan):
        with pytest.raises(CacheError, match="expire is "):
            cache.lock("k", wrong)


class Size(IntEnum):
    """Integers of another type."""

    SMALL = 2


class Key(str):
    """Text of another type."""

    __slots__ = ()


async def test_what_is_allowed_passes(cache):
    assert await cache.incr("n", Size.SMALL) == 2
    assert type(await cache.incr("n", -1)) is int
    assert await cache.get_many(Key("n"), "m") == (1, None)
    assert await cache.get(Key("n")) == 1
    assert await cache.set("k", 1, None, exist=False)
    assert await cache.set("k", 2, expire=None, exist=True)
    await cache.set_many({})
    assert await cache.get_many() == ()
    assert await cache.incr_bits("b", 0, Size.SMALL, size=63, by=2**63) == (2**63 - 1,) * 2
    assert await cache.get_bits("b", 2**30 - 1) == (0,)
    assert await cache.slice_incr("w", -1.5, 10**9, Size.SMALL) == 1
    async with cache.lock("l", expire=None):
        assert await cache.is_locked("l")
    assert await cache.set_lock("l", "token", None)
    assert [key async for key in cache.scan("n", Size.SMALL)] == ["n"]


@pytest.mark.parametrize("url", [None, 1, b"mem://", ["mem://"], "mem://[", "redis://:secret@[", "mem", " ", "mem:/"])
def test_a_wrong_url_is_a_settings_error_that_keeps_secrets(url):
    cache = Cache()
    with pytest.raises(SettingsError) as caught:
        cache.setup(url)
    assert "secret" not in str(caught.value)
    assert not cache.is_setup()


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"prefix": 1}, "prefix"),
        ({"prefix": None}, "prefix"),
        ({"middlewares": [3]}, "middlewares"),
        ({"middlewares": 3}, "middlewares"),
        ({"middlewares": None}, "middlewares"),
        ({"middlewares": "ab"}, "middlewares"),
    ],
)
def test_what_setup_is_given_wrongly_mounts_nothing(wrong, argument):
    cache = Cache()
    with pytest.raises(WrongArgumentError) as caught:
        cache.setup("mem://", **wrong)
    assert caught.value.argument == argument
    assert not cache.is_setup()


@pytest.mark.parametrize(
    ("use", "argument"),
    [
        (lambda cache: cache.add_middleware(3), "middleware"),
        (lambda cache: cache.disable("get"), "commands"),
        (lambda cache: cache.enable(3), "commands"),
        (lambda cache: cache.disabling("get").__enter__(), "commands"),
        (lambda cache: cache.is_disable("get"), "commands"),
        (lambda cache: cache.is_enable("get"), "commands"),
        (lambda cache: cache.callback(3, Command.GET), "callback"),
        (lambda cache: cache.callback(print, "get"), "cmd"),
        (lambda cache: cache.on_remove(3), "listener"),
        (lambda _: register_backend(1, print), "scheme"),
        (lambda _: register_backend("mine", 1), "factory"),
    ],
)
def test_what_controls_and_watchers_are_given_wrongly_is_an_error(use, argument):
    cache = Cache()
    cache.setup("mem://")
    with pytest.raises(WrongArgumentError) as caught:
        use(cache)
    assert caught.value.argument == argument
    assert cache.is_enable()


def test_only_what_has_a_backend_is_switched_off():
    cache = Cache()
    cache.setup("mem://")
    for use in (cache.disable, cache.enable):
        with pytest.raises(NotConfiguredError, match="'unknown'"):
            use(prefix="unknown")
    with pytest.raises(NotConfiguredError, match="'unknown'"), cache.disabling(prefix="unknown"):
        pytest.fail("the block ran")
    with cache.disabling(prefix=""):
        assert cache.is_full_disable


async def test_a_listener_that_can_be_called_is_told(cache):
    told = []
    cache.on_remove(lambda *removal: told.append(removal))
    await cache.set("k", 1)
    await cache.delete("k")
    assert told == [("k", 1, Cause.DELETED)]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("mem://elsewhere?secret=hush", {}),
        ("mem://user:hush@localhost", {}),
        pytest.param(*("redis://:hush?hush@localhost/", {}), marks=pytest.mark.redis),
        pytest.param(*("redis://:hush\u2100@localhost/", {}), marks=pytest.mark.redis),
        pytest.param(*("redis://localhost/?password=hush&password=hush", {}), marks=pytest.mark.redis),
        pytest.param(*("redis://localhost/", {"password": b"hush"}), marks=pytest.mark.redis),
        pytest.param(*("redis://localhost/", {"secret": 5.5}), marks=pytest.mark.redis),
        pytest.param(*("redis://:hush@localhost/?nonsense=1", {}), marks=pytest.mark.redis),
    ],
)
def test_no_error_of_a_wrong_setting_shows_a_secret(url, options):
    with pytest.raises(SettingsError) as caught:
        Cache().setup(url, **options)
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(caught.value.__cause__)
