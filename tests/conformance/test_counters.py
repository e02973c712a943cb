"""Counters: signed, 64 bits, on every backend."""

from __future__ import annotations

import pytest

from cashews import messages as m
from cashews.exceptions import CacheError, CounterOverflowError, WrongArgumentError, WrongTypeError
from tests.internals import inside

MOST, LEAST = 2**63 - 1, -(2**63)
RULES = m.CircuitRules(errors_rate=1, period=5, ttl=5)


async def test_a_counter_begins_at_zero_and_adds(cache):
    assert [await cache.incr("k"), await cache.incr("k", 5), await cache.incr("k", value=-10)] == [1, 6, -4]
    assert await cache.get("k") == -4


async def test_a_stored_integer_is_a_counter(cache):
    await cache.set("k", -5, expire=10)
    assert await cache.incr("k", 2) == -3
    assert await cache.get_expire("k") == 10


async def test_adding_nothing_creates_a_counter(cache):
    assert await cache.incr("k", 0) == 0
    assert await cache.exists("k")
    assert await cache.get("k", "default") == 0


@pytest.mark.parametrize(("value", "by"), [(MOST, 1), (LEAST, -1), (MOST - 5, 6), (1, MOST), (-2, LEAST)])
async def test_an_overflow_is_an_error_and_the_value_stays(cache, value, by):
    """Guarantee 26."""
    await cache.set("k", value, expire=10)
    with pytest.raises(CounterOverflowError, match=r"'k'.*64-bit") as refused:
        await cache.incr("k", by)
    assert isinstance(refused.value, OverflowError)
    assert isinstance(refused.value, CacheError)
    assert await cache.get("k") == value
    assert await cache.get_expire("k") == 10


@pytest.mark.parametrize("by", [MOST + 1, LEAST - 1])
async def test_a_step_out_of_range_creates_no_counter(cache, by):
    """Guarantee 26."""
    with pytest.raises(CounterOverflowError):
        await cache.incr("k", by)
    assert not await cache.exists("k")


@pytest.mark.parametrize("value", [-1, "text"])
@pytest.mark.parametrize("by", [MOST + 1, LEAST - 1])
async def test_a_step_out_of_range_is_an_overflow_whatever_the_key_holds(cache, value, by):
    """Guarantee 26."""
    await cache.set("k", value)
    with pytest.raises(CounterOverflowError):
        await cache.incr("k", by)
    assert await cache.get("k") == value


@pytest.mark.parametrize("value", [MOST + 1, LEAST - 1, 2**80, -(10**400)], ids=["+1", "-1", "large", "very large"])
@pytest.mark.parametrize("by", [0, 1, -1])
async def test_an_integer_beyond_the_range_is_a_value_and_no_counter(cache, value, by):
    """Guarantee 26; a step back into the range is an overflow, too."""
    await cache.set("k", value, expire=10)
    with pytest.raises(CounterOverflowError):
        await cache.incr("k", by)
    assert await cache.get("k") == value
    assert await cache.get_expire("k") == 10


@pytest.mark.parametrize(("value", "by", "result"), [(MOST - 1, 1, MOST), (LEAST + 1, -1, LEAST), (LEAST, MOST, -1)])
async def test_the_whole_range_can_be_reached(cache, value, by, result):
    """Guarantee 26."""
    await cache.set("k", value)
    assert await cache.incr("k", by) == result
    assert await cache.get("k") == result


@pytest.mark.parametrize("value", ["text", b"bytes", 1.5, None, [1], {"a": 1}], ids=repr)
async def test_a_value_of_another_type_is_no_counter_and_stays(cache, value):
    await cache.set("k", value, expire=10)
    with pytest.raises(WrongTypeError, match=r"the key 'k' holds .*, the command needs an integer"):
        await cache.incr("k")
    assert await cache.get("k") == value
    assert await cache.get_expire("k") == 10


async def test_structures_are_no_counters(cache):
    await cache.set_add("set", "a")
    await cache.incr_bits("bits", 1)
    await cache.slice_incr("window", 0, 1, 5)
    await inside(cache).ask(m.Admit("tally", 5, 10.0))
    await inside(cache).ask(m.ReportCircuit("circuit", RULES, 0.0, failed=False))
    for key in ("set", "bits", "window", "tally", "circuit"):
        with pytest.raises(WrongTypeError, match=f"'{key}'"):
            await cache.incr(key)
        assert await cache.get(key) is None


@pytest.mark.no_transaction
async def test_a_counter_is_no_tally(cache):
    """Counters stay as they are, on every store."""
    await cache.incr("k", 5, expire=10)
    with pytest.raises(WrongTypeError, match="'k'"):
        await inside(cache).ask(m.Admit("k", 5, 10.0))
    assert await cache.get("k") == 5


async def test_a_counter_has_the_tags_of_its_creation(cache):
    assert await cache.incr("k", 5, expire=10, tags=["t", "u"]) == 5
    assert await cache.incr("k", tags=["other"]) == 6
    assert await cache.get_key_tags("k") == ("t", "u")
    assert await cache.get_expire("k") == 10
    await cache.delete_tags("u")
    assert await cache.get("k") is None
    assert await cache.incr("k", -1) == -1
    assert await cache.get_key_tags("k") == ()


async def test_a_counter_has_the_tags_that_are_registered_for_its_key(cache):
    cache.register_tag("user:{id}", "count:{id}")
    assert await cache.incr("count:7") == 1
    await cache.set("count:8", "text")
    with pytest.raises(WrongTypeError, match="'count:8'"):
        await cache.incr("count:8")
    await cache.delete_tags("user:7")
    assert await cache.get_many("count:7", "count:8") == (None, "text")


@pytest.mark.parametrize("tags", ["text", [5], 5])
async def test_wrong_tags_create_no_counter(cache, tags):
    with pytest.raises(WrongArgumentError, match="tags is"):
        await cache.incr("k", tags=tags)
    assert not await cache.exists("k")
