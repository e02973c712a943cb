"""Values: what goes in comes out, what is absent is absent, and `exist=` means what it says."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest

from cashews.exceptions import EncodeError, WrongArgumentError, WrongTTLError, WrongTypeError
from cashews.strategies.entry import Entry, Raised, Returned
from cashews.structures.kinds import Members


class Colour(enum.IntEnum):
    RED = 1
    MINUS = -7


@dataclass
class Point:
    x: int
    y: int


VALUES = [
    None,
    0,
    1,
    -5,
    2**63 - 1,
    -(2**63),
    2**80,
    True,
    False,
    1.5,
    float("inf"),
    "",
    "text",
    "ключ\n\0",
    b"",
    b"\0\xff",
    b"12",
    "12",
    [],
    [1, [2]],
    {"a": {"b": 1}},
    (),
    {1, 2},
    frozenset({1}),
    Colour.RED,
    Colour.MINUS,
    Point(1, 2),
]


async def test_a_value_comes_back_as_it_went_in(cache):
    """Guarantee 26; D98, D99."""
    for value in VALUES:
        assert await cache.set("k", value)
        found = await cache.get("k", "default")
        assert found == value
        assert type(found) is type(value)
        assert await cache.get_many("k", default="default") == (value,)
        assert [pair async for pair in cache.get_match("k*")] == [("k", value)]
        assert await cache.exists("k")


async def test_raw_bytes_come_back_as_they_went_in(cache):
    assert await cache.get_raw("k") is None
    assert await cache.get_raw("k", "default") == "default"
    for value in (b"\0\xff", b"", b"7"):
        assert await cache.set_raw("k", value)
        assert await cache.get_raw("k") == value


async def test_raw_text_and_numbers_come_back_as_such_or_as_the_bytes_that_say_so(cache, subject):
    """A store of bytes does not know what they were."""
    for value in ("text", "ключ", 7, -7, 1.5):
        assert await cache.set_raw("k", value)
        assert await cache.get_raw("k") == (str(value).encode() if subject.served else value)


async def test_an_absent_key_answers_the_default(cache):
    nothing = object()
    assert await cache.get("k") is None
    assert await cache.get("k", nothing) is nothing
    assert await cache.get("k", default=0) == 0
    assert await cache.get_raw("k", nothing) is nothing
    assert await cache.get_many("k", "l") == (None, None)
    assert (await cache.get_many("k", default=nothing))[0] is nothing
    assert not await cache.exists("k")


async def test_a_stored_none_is_no_absence(cache):
    await cache.set("k", None)
    assert await cache.get("k", "default") is None
    assert await cache.get_many("k", default="default") == (None,)
    assert await cache.exists("k")
    assert not await cache.set("k", 1, exist=False)


async def test_the_last_value_holds(cache):
    for value in ("a", "b", 3, None, "c"):
        await cache.set("k", value)
    assert await cache.get("k") == "c"


async def test_any_text_is_a_key(cache):
    for key in ("", " ", "\n", "a\nb", "*", "?[x]", "ключ", "a:" * 500):
        await cache.set(key, 1)
        assert await cache.get(key) == 1
        assert await cache.exists(key)
        assert [each async for each in cache.scan("*")] == [key]
        assert await cache.delete(key)


async def test_a_key_that_is_no_text_is_refused(cache):
    for key in (None, 1, b"k", ("a",)):
        for command in (cache.set(key, 1), cache.set_raw(key, b"1"), cache.incr(key), cache.set_many({key: 1})):
            with pytest.raises(WrongArgumentError, match=r"key is .*; allowed: text"):
                await command
    assert await cache.get_keys_count() == 0


# --- exist=


async def test_exist_false_stores_only_where_nothing_is(cache):
    assert await cache.set("k", 1, exist=False) is True
    assert await cache.set("k", 2, exist=False) is False
    assert await cache.get("k") == 1
    await cache.delete("k")
    assert await cache.set("k", 3, exist=False) is True


async def test_exist_true_stores_only_over_a_value(cache):
    assert await cache.set("k", 1, exist=True) is False
    assert await cache.get("k") is None
    await cache.set("k", 1)
    assert await cache.set("k", 2, exist=True) is True
    assert await cache.get("k") == 2


async def test_a_refused_set_changes_no_ttl(cache):
    await cache.set("k", 1, expire=10)
    assert not await cache.set("k", 2, expire=100, exist=False)
    assert await cache.get_expire("k") == 10


async def test_exist_sees_an_expired_value_as_absent(cache, clock):
    """Guarantee 2; D34."""
    await cache.set("k", 1, expire=1)
    await cache.set("l", 1, expire=1)
    await clock.advance(1)
    assert await cache.set("k", 2, exist=True) is False
    assert await cache.set("l", 2, exist=False) is True
    assert await cache.get_many("k", "l") == (None, 2)


async def test_exist_sees_a_set_and_a_counter(cache):
    await cache.set_add("s", "a")
    await cache.incr("c")
    assert await cache.set("s", 1, exist=False) is False
    assert await cache.set("c", 1, exist=False) is False
    assert await cache.set("s", 1, exist=True) is True
    assert await cache.get("s") == 1


# --- many keys


async def test_get_many_answers_in_the_order_of_the_keys_duplicates_too(cache):
    """Guarantee 1; D84, D109."""
    await cache.set_many({"a": 1, "b": 2})
    assert await cache.get_many("b", "a", "b", "x", "a") == (2, 1, 2, None, 1)
    assert await cache.get_many("x", "x", default="-") == ("-", "-")
    assert await cache.get_many() == ()


async def test_get_many_keeps_places_among_values_of_other_kinds(cache):
    """D84."""
    await cache.set("a", 1)
    await cache.incr_bits("bits", 3)
    await cache.set("b", 2)
    assert await cache.get_many("a", "bits", "b") == (1, None, 2)


async def test_a_stored_zero_is_found_with_a_default_of_zero(cache):
    """D109."""
    await cache.set("k", 0)
    assert await cache.get_many("k", default=0) == (0,)
    assert await cache.get("k") == 0


async def test_set_many_stores_all_under_one_ttl(cache):
    assert await cache.set_many({"a": 1, "b": None}, expire="10s") is None
    assert await cache.get_many("a", "b", default="-") == (1, None)
    assert [await cache.get_expire(key) for key in "ab"] == [10, 10]
    assert await cache.set_many({}) is None


async def test_delete_says_whether_there_was_a_live_value(cache, clock):
    await cache.set("k", None)
    assert await cache.delete("k") is True
    assert await cache.delete("k") is False
    await cache.set("k", 1, expire=1)
    await clock.advance(1)
    assert await cache.delete("k") is False


async def test_delete_many_removes_what_is_there(cache):
    await cache.set_many({"a": 1, "b": 2, "c": 3})
    assert await cache.delete_many("a", "b", "a", "nothing") is None
    assert await cache.get_many("a", "b", "c") == (None, None, 3)
    assert await cache.delete_many() is None


# --- get_or_set


async def test_get_or_set_takes_a_value_a_function_or_an_awaitable(cache):
    """D26."""

    async def load():
        return "async"

    assert await cache.get_or_set("a", 1) == 1
    assert await cache.get_or_set("b", lambda: 2) == 2
    assert await cache.get_or_set("c", load) == "async"
    assert await cache.get_or_set("d", partial(load)) == "async"
    assert await cache.get_or_set("e", load(), expire=10) == "async"
    assert await cache.get_many(*"abcde") == (1, 2, "async", "async", "async")
    assert await cache.get_expire("e") == 10


async def test_get_or_set_leaves_a_stored_value_and_calls_nothing(cache):
    """D26: a coroutine that is not needed is closed, without a warning."""

    async def load():
        raise AssertionError

    for value in (None, 0, "x"):
        await cache.set("k", value)
        assert await cache.get_or_set("k", load) == value
        assert await cache.get_or_set("k", load()) == value


async def test_get_or_set_stores_nothing_if_the_function_fails(cache):
    def load():
        raise LookupError

    with pytest.raises(LookupError):
        await cache.get_or_set("k", load)
    assert not await cache.exists("k")


# --- the whole store


async def test_clear_removes_every_value(cache):
    await cache.set_many({f"k{number}": number for number in range(100)}, expire=10)
    await cache.set_add("s", "a")
    await cache.incr_bits("b", 1)
    await cache.slice_incr("w", 0, 1, 5)
    assert await cache.clear() is None
    assert await cache.get_keys_count() == 0
    assert [key async for key in cache.scan("*")] == []
    assert await cache.get_many("k1", "s") == (None, None)
    await cache.set("k1", "new")
    assert await cache.get("k1") == "new"
    assert await cache.get_expire("k1") == -1


async def test_keys_are_counted_each_once(cache):
    assert await cache.get_keys_count() == 0
    await cache.set_many({"a": 1, "b": 2})
    await cache.set("a", 3, expire=50)
    await cache.incr("c")
    await cache.set_add("s", "x", "y")
    assert await cache.get_keys_count() == 4
    await cache.delete("a")
    assert await cache.get_keys_count() == 3


async def test_ping_answers_or_echoes(cache):
    assert await cache.ping() == b"PONG"
    assert await cache.ping(b"hello") == b"hello"
    assert await cache.ping(message=b"") == b""


async def test_size_is_some_bytes_for_a_value_and_none_for_an_absent_one(cache, clock):
    assert await cache.get_size("k") == 0
    await cache.set("k", "x", expire=1)
    small = await cache.get_size("k")
    assert isinstance(small, int)
    assert small > 0
    await cache.set("l", Random(0).randbytes(10_000))  # a store may compress
    assert await cache.get_size("l") > small + 5_000
    await clock.advance(1)
    assert await cache.get_size("k") == 0


# --- values that cannot be stored, and classes that mislead


async def _coroutine():
    return 1


async def _agen():
    yield 1


def _coroutine_closed_later():
    coroutine = _coroutine()
    return coroutine, coroutine.close


ONCE = {
    "generator": lambda: ((number for number in range(3)), None),
    "coroutine": _coroutine_closed_later,
    "async generator": lambda: (_agen(), None),
}


async def _write_in_a_transaction(cache, pairs):
    async with cache.transaction():
        for key, value in pairs.items():
            await cache.set(key, value)


@pytest.mark.several_keys
@pytest.mark.no_transaction
@pytest.mark.parametrize("kind", ONCE)
@pytest.mark.parametrize("inside", [False, True])
async def test_a_value_that_can_be_used_only_once_is_refused(cache, kind, inside):
    value, close = ONCE[kind]()
    try:
        await cache.set("k", "before")
        stored = Entry(Returned(value), 1e12) if inside else value
        for store in (cache.set("k", stored), cache.set("k", stored, exist=True), cache.set_many({"k": stored})):
            with pytest.raises(EncodeError, match=f"'k'.*{kind.replace(' ', '_')}"):
                await store
        with pytest.raises(EncodeError):
            await _write_in_a_transaction(cache, {"other": 1, "k": stored})
        assert await cache.get_many("k", "other") == ("before", None)
    finally:
        if close is not None:
            close()


class NoHash(type):
    __hash__ = None  # type: ignore[assignment]  as classes with `__eq__` alone have it


class OfNoHash(metaclass=NoHash):
    def __deepcopy__(self, memo):
        return self


class Pretends:
    """An object that claims to be of another class, or fails when it is asked."""

    def __init__(self, claims):
        self.claims = claims

    @property
    def __class__(self):
        if self.claims is None:
            raise RuntimeError
        return self.claims

    def __reduce__(self):
        return Pretends, (self.claims,)


@pytest.mark.parametrize("claims", [None, Entry, Raised, int, bytes, str, Members])
async def test_a_value_that_pretends_to_be_of_another_class_is_a_value(cache, claims):
    await cache.set("k", Pretends(claims))
    found = await cache.get("k")
    assert type(found) is Pretends
    assert found.claims is claims
    assert type((await cache.get_many("k"))[0]) is Pretends
    with pytest.raises(WrongTypeError):
        await cache.incr("k")
    with pytest.raises(WrongTypeError):
        await cache.set_pop("k")
    assert await cache.get_size("k") > 0


@pytest.mark.several_keys
@pytest.mark.no_transaction
@pytest.mark.parametrize("inside", [False, True])
async def test_a_value_whose_class_has_no_hash_is_refused(cache, inside):
    value = Entry(Returned(OfNoHash()), 1e12) if inside else OfNoHash()
    await cache.set("k", "before")
    for store in (cache.set("k", value), cache.set("k", value, exist=True), cache.set_many({"k": value})):
        with pytest.raises(EncodeError, match=r"'k'.*NoHash"):
            await store
    with pytest.raises(EncodeError, match=r"'k'.*NoHash"):
        await _write_in_a_transaction(cache, {"other": 1, "k": value})
    assert await cache.get_many("k", "other") == ("before", None)


class Silent:
    """An object without a text."""

    def __repr__(self):
        raise RuntimeError


@pytest.mark.no_transaction
async def test_an_argument_without_a_text_is_refused_like_any_other(cache):
    for wrong in (cache.get(Silent()), cache.set("k", 1, expire=Silent()), cache.set(Silent(), 1)):
        with pytest.raises((WrongArgumentError, WrongTTLError), match="is an object of type Silent without a text"):
            await wrong
