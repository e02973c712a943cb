"""Bit fields, windows and sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from cashews import messages as m
from cashews.exceptions import WrongTypeError
from tests.internals import inside

# --- bits


async def test_bits_that_were_never_written_are_zero(cache):
    assert await cache.get_bits("k", 0, 5, 10**6) == (0, 0, 0)
    assert not await cache.exists("k")


async def test_bits_are_set_and_read_in_the_order_of_the_indexes(cache):
    assert await cache.incr_bits("k", 3, 0) == (1, 1)
    assert await cache.get_bits("k", 0, 1, 2, 3, 4, 3) == (1, 0, 0, 1, 0, 1)


async def test_no_indexes_are_no_fields(cache):
    assert await cache.get_bits("k") == ()
    assert await cache.incr_bits("k") == ()


async def test_an_index_given_twice_is_incremented_twice(cache):
    assert await cache.incr_bits("k", 2, 2, size=4) == (1, 2)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 63])
async def test_a_field_of_any_size_stays_within_its_range(cache, size):
    most = 2**size - 1
    assert await cache.incr_bits("k", 1, size=size, by=most) == (most,)
    assert await cache.incr_bits("k", 1, size=size) == (most,)
    assert await cache.incr_bits("k", 1, size=size, by=-1) == (most - 1,)
    assert await cache.incr_bits("k", 1, size=size, by=-most - 5) == (0,)
    assert await cache.get_bits("k", 0, 1, 2, size=size) == (0, 0, 0)


@pytest.mark.parametrize("size", [1, 3, 5, 8, 12])
async def test_fields_of_one_size_do_not_touch_each_other(cache, size):
    """Against a dict."""
    random, most, model = Random(size), 2**size - 1, {}
    for _ in range(150):
        index, by = random.randrange(40), random.randint(-most - 1, most + 1)
        model[index] = max(0, min(model.get(index, 0) + by, most))
        assert await cache.incr_bits("k", index, size=size, by=by) == (model[index],)
    everything = await cache.get_bits("k", *range(45), size=size)
    assert everything == tuple(model.get(index, 0) for index in range(45))


async def test_fields_of_several_sizes_share_the_bits(cache):
    """Fields are counted from the first bit, the highest bit first."""
    await cache.incr_bits("k", 0, size=8, by=0b1010_0101)
    assert await cache.get_bits("k", *range(8)) == (1, 0, 1, 0, 0, 1, 0, 1)
    assert await cache.get_bits("k", 0, 1, size=4) == (0b1010, 0b0101)


async def test_wrong_sizes_and_indexes_are_refused(cache):
    for command in (cache.get_bits("k", 1, size=0), cache.incr_bits("k", 1, size=-1)):
        with pytest.raises(ValueError, match=r"size is .*; allowed: an integer from 1"):
            await command
    for command in (cache.get_bits("k", -1), cache.incr_bits("k", 1, -1)):
        with pytest.raises(ValueError, match="indexes is -1; allowed: integers from 0"):
            await command
    assert not await cache.exists("k")


# --- windows


async def test_events_of_the_same_instant_all_count(cache):
    """D25."""
    assert [await cache.slice_incr("k", 0, 10, 5) for _ in range(3)] == [1, 2, 3]


async def test_a_full_window_refuses_and_what_is_refused_does_not_count(cache):
    """Reading h; steady overload still admits as many as the limit says."""
    admitted = [await cache.slice_incr("k", now - 10, now, 3) for now in range(100)]
    assert admitted.count(4) == 100 - 30
    assert [now for now, count in enumerate(admitted) if count <= 3] == [n for n in range(100) if n % 10 < 3]


async def test_the_window_is_open_at_its_start_and_closed_at_its_end(cache):
    assert await cache.slice_incr("k", 0, 10, 5) == 1
    assert await cache.slice_incr("k", 10, 20, 5) == 1
    assert await cache.slice_incr("k", 19, 21, 5) == 2


@pytest.mark.parametrize("seed", range(5))
async def test_it_is_a_true_window(cache, seed):
    """Against counting all admitted events, at random instants with ties and with bursts."""
    random, limit, span, events, now = Random(seed), 4, 7.5, [], 0.0
    for _ in range(200):
        now += random.choice([0, 0, 0.25, 1, 3])
        inside = sum(now - span < event <= now for event in events)
        if inside < limit:
            events.append(now)
        assert await cache.slice_incr("k", now - span, now, limit) == min(inside, limit) + 1


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_window_without_room_admits_nothing_and_stores_nothing(cache, limit):
    """Guarantee 27."""
    assert await cache.slice_incr("k", 0, 1, limit) == limit + 1
    assert not await cache.exists("k")


async def test_each_admitted_event_renews_the_time_to_live(cache, clock):
    await cache.slice_incr("k", 0, 1, 2, expire=10)
    await clock.advance(6)
    await cache.slice_incr("k", 0, 2, 2, expire=10)
    await clock.advance(6)
    assert await cache.get_expire("k") == 4
    await cache.slice_incr("k", 0, 3, 2, expire=10)  # refused
    assert await cache.get_expire("k") == 4


@pytest.mark.parametrize("seed", range(4))
async def test_windows_of_several_lengths_on_one_key_each_count_what_is_in_them(cache, clock, seed):
    """Against counting all admitted events. The longest window comes first: before it, no event is kept for it."""
    random, events, spans = Random(seed), [], [60.0, 2.0, 10.0]
    for turn in range(150):
        await clock.advance(random.choice([0, 0, 0.5, 1, 4]))
        now, span, limit = clock.now(), random.choice(spans) if turn else spans[0], random.choice([2, 5, 20])
        inside = sum(now - span < event <= now for event in events)
        if inside < limit:
            events.append(now)
        assert await cache.slice_incr("k", now - span, now, limit, expire=span) == min(inside, limit) + 1


async def test_a_window_is_kept_for_the_longest_time_that_was_asked_for(cache):
    await cache.slice_incr("k", 0, 1, 5, expire=100)
    await cache.slice_incr("k", 0, 2, 5, expire=1)
    assert await cache.get_expire("k") == 100
    await cache.slice_incr("k", 0, 3, 5)
    assert await cache.get_expire("k") == 100
    await cache.slice_incr("k", 0, 4, 5, expire=1_000)
    assert await cache.get_expire("k") == 1_000


@pytest.mark.no_transaction
async def test_the_time_that_a_user_gives_a_window_counts(cache, clock):
    await cache.slice_incr("k", 0, 1, 5, expire=10)
    await cache.expire("k", 1_000)
    await cache.slice_incr("k", 0, 2, 5, expire=10)
    assert await cache.get_expire("k") == 1_000
    await clock.advance(500)
    assert await cache.slice_incr("k", 0, 3, 5, expire=10) == 3


# --- tallies


@pytest.mark.no_transaction
@pytest.mark.parametrize("periods", [[100, 10], [10, 100], [100, 99.9, 50, 0.5]])
async def test_a_tally_that_meets_other_periods_goes_on_until_its_own_ends(cache, clock, periods):
    """A period may depend on the call: the seconds until midnight, for instance."""
    admit = inside(cache).ask
    waits = [await admit(m.Admit("k", 3, periods[n % len(periods)])) for n in range(8)]
    assert waits == [0] * 3 + [pytest.approx(periods[0], abs=0.05)] * 5
    await clock.advance(periods[0])
    assert [await admit(m.Admit("k", 1, 10)) for _ in range(2)] == [0, pytest.approx(10, abs=0.05)]


@pytest.mark.no_transaction
async def test_a_ban_is_no_shorter_for_other_periods(cache, clock):
    admit = inside(cache).ask
    assert [await admit(m.Admit("k", 1, 5, ban=1_000)) for _ in range(2)] == [0, pytest.approx(1_000, abs=0.05)]
    await clock.advance(500)
    assert await admit(m.Admit("k", 1, 5, ban=10)) == pytest.approx(500, abs=0.05)


@pytest.mark.no_transaction
async def test_a_full_window_tells_when_it_has_room_again(cache, clock):
    """Another, longer window on the key keeps older events."""
    admit = inside(cache).ask
    for _ in range(3):
        now = clock.now()
        assert await cache.slice_incr("k", now - 100, now, 50, expire=100) > 0
        await clock.advance(4)
    now = clock.now()
    assert await admit(m.AdmitSlice("k", now - 10, now, 2, 10.0)) == pytest.approx(2)
    assert await admit(m.AdmitSlice("k", now - 10, now, 3, 10.0)) == 0


# --- circuits


@pytest.mark.no_transaction
async def test_a_circuit_is_remembered_for_the_longest_time_of_its_rules(cache, clock):
    long, short = m.CircuitRules(1, period=5, ttl=1_000), m.CircuitRules(1, period=5, ttl=1)
    ask = inside(cache).ask
    for _ in range(2):
        entered = await ask(m.EnterCircuit("k", long))
        if not isinstance(entered, m.Refusal):
            await ask(m.ReportCircuit("k", long, entered, failed=True))
    assert entered.retry_after == pytest.approx(1_000, abs=0.05)
    await clock.advance(500)
    refused = await ask(m.EnterCircuit("k", short))
    assert refused.retry_after == pytest.approx(500, abs=0.05)
    await ask(m.ReportCircuit("k", short, clock.now(), failed=True))
    assert isinstance(await ask(m.EnterCircuit("k", long)), m.Refusal)


# --- sets


@pytest.mark.parametrize("count", [2**31, 2**32, 2**63, 2**80])
async def test_more_members_are_popped_than_any_set_has(cache, count):
    assert await cache.set_pop("k", count) == []
    await cache.set_add("k", "a", "b")
    assert sorted(await cache.set_pop("k", count)) == ["a", "b"]


async def test_members_are_taken_out_each_once(cache):
    assert await cache.set_add("k", "a", "b", "a") is None
    await cache.set_add("k", "b", "c")
    assert sorted(await cache.set_pop("k", 2) + await cache.set_pop("k")) == ["a", "b", "c"]
    assert await cache.set_pop("k") == []


async def test_members_can_be_removed(cache):
    await cache.set_add("k", "a", "b", "c")
    assert await cache.set_remove("k", "a", "c", "nothing") is None
    await cache.set_remove("nothing", "a")
    assert await cache.set_pop("k") == ["b"]


async def test_pop_takes_at_most_so_many(cache):
    await cache.set_add("k", *map(str, range(250)))
    sizes = [len(await cache.set_pop("k")) for _ in range(4)]
    assert sizes == [100, 100, 50, 0]
    with pytest.raises(ValueError, match="count is 0; allowed: an integer from 1"):
        await cache.set_pop("k", 0)


async def test_an_empty_set_is_absent(cache):
    await cache.set_add("never")
    assert not await cache.exists("never")
    await cache.set_add("popped", "a")
    await cache.set_pop("popped")
    await cache.set_add("removed", "a", "b")
    await cache.set_remove("removed", "a", "b")
    for key in ("popped", "removed"):
        assert not await cache.exists(key)
        assert await cache.get_expire(key) == -2
    assert await cache.get_keys_count() == 0


async def test_a_set_lives_as_long_as_the_longest_ttl_it_was_given(cache):
    """Guarantee 18: tags are kept as long as the longest-lived key that carries them."""
    await cache.set_add("k", "a", expire=10)
    await cache.set_add("k", "b", expire=100)
    await cache.set_add("k", "c", expire=1)
    assert await cache.get_expire("k") == 100
    await cache.set_add("k", "d")
    assert await cache.get_expire("k") == -1
    await cache.set_add("k", "e", expire=5)
    assert await cache.get_expire("k") == -1


async def test_a_set_that_was_emptied_begins_anew(cache):
    await cache.set_add("k", "a", expire=10)
    await cache.set_pop("k")
    await cache.set_add("k", "b")
    assert await cache.get_expire("k") == -1


async def test_any_text_is_a_member(cache):
    members = ["", " ", "*", "a\nb", "ключ", "a,b"]
    await cache.set_add("k", *members)
    assert sorted(await cache.set_pop("k")) == sorted(members)


# --- the wrong kind


COMMANDS = {
    "bits": [lambda cache: cache.get_bits("k", 0), lambda cache: cache.incr_bits("k", 0)],
    "window": [lambda cache: cache.slice_incr("k", 0, 1, 5)],
    "set": [
        lambda cache: cache.set_add("k", "a"),
        lambda cache: cache.set_remove("k", "a"),
        lambda cache: cache.set_pop("k"),
    ],
    "value": [lambda cache: cache.incr("k")],
}
MAKERS = {
    "bits": lambda cache: cache.incr_bits("k", 1),
    "window": lambda cache: cache.slice_incr("k", 0, 1, 5),
    "set": lambda cache: cache.set_add("k", "a"),
    "value": lambda cache: cache.set("k", "text"),
}


@pytest.mark.no_transaction
@pytest.mark.parametrize("kind", MAKERS)
async def test_a_command_for_another_kind_of_value_is_an_error_and_the_value_stays(cache, kind):
    await MAKERS[kind](cache)
    size = await cache.get_size("k")
    foreign = [command for other in COMMANDS if other != kind or kind == "value" for command in COMMANDS[other]]
    for command in foreign:
        with pytest.raises(WrongTypeError, match="the key 'k' holds"):
            await command(cache)
    assert await cache.get_size("k") == size
    assert await cache.delete("k") is True


async def _refilled(cache):
    await cache.set_add("k", "b")
    return await cache.set_pop("k")


RULES = m.CircuitRules(errors_rate=1, period=5, ttl=5)
AFTER: dict[str, tuple[Callable[[Any], Awaitable[Any]], object]] = {
    "bits": (lambda cache: cache.get_bits("k", 1), (0,)),
    "window": (lambda cache: cache.slice_incr("k", 0, 1, 5), 1),
    "tally": (lambda cache: inside(cache).ask(m.Admit("k", 1, 5)), 0),
    "circuit": (lambda cache: inside(cache).ask(m.ReportCircuit("k", RULES, 0.0, failed=False)), None),
    "set": (_refilled, ["b"]),
    "value": (lambda cache: cache.incr("k"), 1),
}
"""What is first asked of a key, and the answer if there is nothing."""


@pytest.mark.no_transaction
@pytest.mark.parametrize("kind", ["bits", "window", "set"])
@pytest.mark.parametrize("other", AFTER)
async def test_what_has_expired_leaves_nothing_to_any_kind(cache, clock, kind, other):
    """Guarantee 2; swept or not."""
    await MAKERS[kind](cache)
    await cache.expire("k", 10)
    await clock.advance(10)
    command, answer = AFTER[other]
    assert await command(cache) == answer
    if other == "tally":
        assert await command(cache) > 0


@pytest.mark.parametrize("kind", ["bits", "window", "set"])
async def test_a_value_may_be_set_over_any_kind(cache, kind):
    await MAKERS[kind](cache)
    await cache.expire("k", 10)
    assert await cache.set("k", "value") is True
    assert await cache.get("k") == "value"
    assert await cache.get_expire("k") == -1
    assert await cache.get_keys_count() == 1
