"""The scripts about bits, windows, tallies, circuits and sets."""

from __future__ import annotations

import hiredis
import pytest

from tests.redis.scripts.conftest import FOR_EVER, LIVE, LONGER, SOON

pytestmark = pytest.mark.redis

# --- bits


@pytest.mark.parametrize("size", [1, 7, 8, 32, 52])
def test_bits_stay_within_their_range(run, server, size):
    most = 2**size - 1
    assert run("bits", ["k"], size, 1, 0, 3) == [1, 1]
    assert run("bits", ["k"], size, most, 3) == [most]
    assert run("bits", ["k"], size, "", 0, 1, 2, 3, 4) == [1, 0, 0, most, 0]
    assert run("bits", ["k"], size, -most - 1, 3, 0) == [0, 0]
    assert server.command("GETRANGE", "k", 0, 1) == b"\0B"


@pytest.mark.parametrize("size", [53, 63])
def test_wide_bits_are_answered_in_two_parts(run, size):
    most = 2**size - 1
    high, low = run("bits", ["k"], size, most, 2)[0]
    assert high << 32 | low == most
    assert run("bits", ["k"], size, "", 1, 3) == [[0, 0], [0, 0]]
    assert run("bits", ["k"], size, -(2**32), 2) == [[high - 1, low]]


def test_bits_are_read_without_being_made(run, server, expired):
    expired("SET", "k", "old")
    assert run("bits", ["k"], 8, "", 0, 10**6) == [0, 0]
    assert server.command("DBSIZE") == 0


def test_bits_refuse_other_values(run, server):
    server.commands(("SET", "text", "abc"), ("SET", "empty", ""), ("RPUSH", "list", "a"))
    for key in ("text", "empty", "list"):
        for by in ("", 1):
            with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
                run("bits", [key], 8, by, 0)
    assert server.command("MGET", "text", "empty") == [b"abc", b""]


# --- slice_incr


@pytest.fixture
def count(run):
    """``count(key, start, end, most, ttl)``: counts an event; returns how many events the window holds with it."""
    return lambda key, *window: run("slice_incr", [key], *window)[0]


def test_slice_incr_tells_the_oldest_event_of_a_full_window(run):
    """It leaves first, so there is room after it."""
    assert [run("slice_incr", ["k"], end - 10, end, 2, SOON) for end in (5, 7, 8)] == [[1, b""], [2, b""], [3, b"5"]]
    assert run("slice_incr", ["k"], 5, 15, 1, SOON) == [2, b"7"]


def test_slice_incr_counts_until_the_window_is_full(count):
    assert [count("k", 0, 10, 2, SOON) for _ in range(4)] == [1, 2, 3, 3]
    assert count("k", 0, 10, 5, SOON) == 3


def test_slice_incr_forgets_the_period_before(count, server):
    """The window is open at its start and closed at its end; a refused event does not count."""
    for end in (1, 2, 3):
        count("k", end - 10, end, 3, SOON)
    assert count("k", 0, 10, 3, SOON) == 4
    assert count("k", 1, 11, 3, SOON) == 3
    assert count("k", 1, 11, 3, SOON) == 4
    assert count("k", 11, 21, 3, SOON) == 1
    assert server.command("ZRANGE", "k", 0, -1) == [f"longest 10 {SOON}".encode(), b"21:0"]


def test_slice_incr_keeps_the_events_of_the_longest_window(count, server):
    """Each window counts as if it were alone; a refused event has its window remembered, too."""
    for end in (10, 50, 90):
        assert count("k", end - 100, end, 9, SOON) == (10, 50, 90).index(end) + 1
    assert count("k", 95, 100, 9, SOON) == 1
    assert count("k", 1, 101, 9, SOON) == 5
    assert count("k", -900, 101, 5, SOON) == 6
    assert count("k", 200, 205, 9, SOON) == 1
    assert count("k", -700, 300, 9, SOON) == 7
    assert server.command("ZRANGE", "k", 0, 0) == [f"longest 1001 {SOON}".encode()]


def test_slice_incr_has_the_log_live_for_the_longest_time_that_was_asked_for(count, server):
    count("k", 0, 10, 9, 5 * SOON)
    server.command("PEXPIRE", "k", SOON)
    count("k", 9, 10, 9, SOON)
    assert server.command("PTTL", "k") in LONGER
    server.command("PEXPIRE", "k", 9 * SOON)
    count("k", 9, 10, 9, SOON)
    assert server.command("PTTL", "k") > 5 * SOON
    server.command("PERSIST", "k")
    count("k", 9, 10, 9, SOON)
    assert server.command("PTTL", "k") in FOR_EVER
    count("k", 9, 10, 1, 100 * SOON)  # refused
    assert server.command("ZRANGE", "k", 0, 0) == [f"longest 10 {5 * SOON}".encode()]


def test_slice_incr_counts_events_of_one_instant_each(count, server):
    count("k", 0, 5.5, 9, SOON)
    count("k", 0, 6, 9, SOON)
    server.command("ZREM", "k", "5.5:0")
    count("k", 0, 6, 9, SOON)
    assert count("k", 0, 6, 9, SOON) == 4 - 1


@pytest.mark.parametrize(("ttl", "left", "then"), [(SOON, LIVE, LONGER), ("", FOR_EVER, FOR_EVER)])
def test_slice_incr_renews_the_life_of_the_log_if_it_has_one(count, server, ttl, left, then):
    count("k", 0, 10, 2, ttl)
    assert server.command("PTTL", "k") in left
    count("k", 0, 10, 2, 10 * SOON)
    assert server.command("PTTL", "k") in then
    count("k", 0, 10, 2, SOON)  # refused
    assert server.command("PTTL", "k") in then


def test_slice_incr_begins_anew_after_an_expired_log_and_refuses_other_types(count, server, expired):
    expired("ZADD", "k", 5, "5:0")
    assert count("k", 0, 10, 2, SOON) == 1
    server.command("SET", "text", 1)
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        count("text", 0, 10, 2, SOON)


# --- admit


def test_admit_admits_up_to_the_limit_in_one_period(run, server):
    """A refusal tells the milliseconds until the end of the period."""
    first, second, *refused = [run("admit", ["k"], 2, SOON, "") for _ in range(4)]
    assert (first, second) == (0, 0)
    assert all(left in LIVE for left in refused)
    assert server.command("PTTL", "k") in LIVE


def test_admit_counts_anew_in_the_next_period(run, server, expired):
    expired("RPUSH", "k", 100)
    assert run("admit", ["k"], 1, SOON, 5 * SOON) == 0
    assert run("admit", ["k"], 1, SOON, 5 * SOON) in LONGER
    expired("RPUSH", "k", 2)
    assert run("admit", ["k"], 1, SOON, 5 * SOON) == 0
    assert server.command("PTTL", "k") in LIVE


def test_admit_counts_a_ban_from_the_first_refusal(run, server):
    assert run("admit", ["k"], 1, SOON, 5 * SOON) == 0
    assert server.command("PTTL", "k") in LIVE
    assert run("admit", ["k"], 1, SOON, 5 * SOON) in LONGER
    assert server.command("PTTL", "k") in LONGER
    server.command("PEXPIRE", "k", SOON)
    assert run("admit", ["k"], 1, SOON, 5 * SOON) in LIVE
    assert server.command("PTTL", "k") in LIVE


def test_admit_refuses_other_values(run, server):
    server.commands(("SET", "text", "abc"), ("SET", "number", 1), ("RPUSH", "list", "a"))
    for key in ("text", "number", "list"):
        with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
            run("admit", [key], 2, SOON, "")


# --- circuits

PERIOD, TTL, HALF_OPEN_TTL = 60_000, 10_000, 5_000


@pytest.fixture
def enter(run):
    """``enter()``: the instant at which a call enters the circuit `k`, or `None`, and after how long another may."""
    return lambda half_open_ttl=HALF_OPEN_TTL: run("enter_circuit", ["k"], 50, PERIOD, TTL, half_open_ttl, 2)


@pytest.fixture
def report(run):
    """``report(entered, failed)``: tell the circuit `k` how a call has ended."""
    return lambda entered, failed, half_open_ttl=HALF_OPEN_TTL: run(
        "report_circuit", ["k"], 50, PERIOD, TTL, half_open_ttl, 2, f"{entered:.3f}", int(failed)
    )


@pytest.fixture
def circuit(server):
    """``circuit(**state)``: puts the circuit `k` into a state, if one is given; returns its state."""

    def change(**state):
        if state:
            words = [word for name, value in state.items() for word in (name, value)]
            server.commands(("DEL", "k"), ("HSET", "k", *words), ("PEXPIRE", "k", SOON))
        flat = server.command("HGETALL", "k")
        return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}

    return change


def test_a_closed_circuit_lets_calls_in_and_opens_a_window(enter, circuit, server, now):
    before = now()
    entered = float(enter()[0])
    assert before - 1 <= entered <= now()
    state = circuit()
    assert (state["phase"], state["calls"]) == ("closed", "0")
    assert float(state["until"]) == pytest.approx(entered + PERIOD, abs=0.01)
    assert PERIOD - 1_000 < server.command("PTTL", "k") <= PERIOD
    enter()
    assert circuit() == state


def test_a_circuit_opens_when_enough_calls_have_failed(enter, report, circuit, server, now):
    entered = float(enter()[0])
    report(entered, failed=True)
    assert circuit()["phase"] == "closed"
    before = now()
    report(entered, failed=False)
    report(entered, failed=True)
    state = circuit()
    assert state["phase"] == "open"
    assert before + TTL - 1 <= float(state["until"]) <= now() + TTL
    assert server.command("PTTL", "k") > PERIOD + TTL
    entered, left = enter()
    assert entered is None
    assert TTL - 1_000 < float(left) <= TTL


def test_a_circuit_stays_closed_below_its_rate(enter, report, circuit):
    entered = float(enter()[0])
    for failed in (False, False, True):
        report(entered, failed=failed)
    assert (circuit()["phase"], circuit()["calls"], circuit()["failures"]) == ("closed", "3", "1")


def test_a_window_that_is_over_does_not_count(report, circuit, now):
    instant = now()
    circuit(phase="closed", changed=0, until=instant - 1, calls=100, failures=49)
    report(instant, failed=True)
    assert (circuit()["phase"], circuit()["calls"], circuit()["failures"]) == ("closed", "1", "1")
    assert float(circuit()["until"]) >= instant + PERIOD - 1


def test_calls_that_entered_before_the_last_turn_do_not_count(report, circuit, now):
    instant = now()
    state = circuit(phase="closed", changed=instant, until=instant + PERIOD, calls=1, failures=1, tries=0)
    report(instant - 1, failed=True)
    assert circuit() == state
    state = circuit(phase="open", changed=instant, until=instant + TTL, calls=0, failures=0, tries=0)
    report(instant + 1, failed=True)
    assert circuit() == state


def test_a_half_open_circuit_lets_every_second_call_in(enter, circuit, now):
    circuit(phase="open", changed=0, until=f"{now() - 1:.3f}", calls=7, failures=7, tries=1)
    answers = [enter() for _ in range(4)]
    assert [entered is not None for entered, _ in answers] == [True, False, True, False]
    assert {left for _, left in answers} == {b"0"}
    state = circuit()
    assert (state["phase"], state["calls"], state["failures"], state["tries"]) == ("half open", "0", "0", "4")


def test_a_failure_in_a_half_open_circuit_opens_it_and_a_success_does_not_close_it(report, circuit, now):
    instant = now()
    half_open = {"phase": "half open", "changed": instant - 1, "until": instant + TTL}
    circuit(**half_open)
    report(instant, failed=False)
    assert circuit()["phase"] == "half open"
    report(instant, failed=True)
    assert circuit()["phase"] == "open"


@pytest.mark.parametrize(("half_open_ttl", "ago"), [("", 1), (HALF_OPEN_TTL, HALF_OPEN_TTL + 1)])
def test_a_circuit_closes_after_its_time(enter, circuit, now, half_open_ttl, ago):
    circuit(phase="open", changed=0, until=f"{now() - ago:.3f}")
    assert all(enter(half_open_ttl)[0] is not None for _ in range(3))
    assert circuit()["phase"] == "closed"


def test_circuits_refuse_other_types(enter, report, server):
    server.command("SET", "k", 1)
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        enter()
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        report(0, failed=True)
    server.commands(("DEL", "k"), ("HSET", "k", "another", "hash"))
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        enter()


# --- set_add


@pytest.mark.parametrize(
    ("before", "ttl", "left"),
    [
        (None, SOON, LIVE),
        (None, "", FOR_EVER),
        (SOON, 5 * SOON, LONGER),
        (5 * SOON, SOON, LONGER),
        (SOON, "", FOR_EVER),
        ("for ever", SOON, FOR_EVER),
    ],
)
def test_set_add_has_the_set_live_long_enough_and_never_shorter(run, server, before, ttl, left):
    if before:
        server.command("SADD", "k", "a")
    if before not in (None, "for ever"):
        server.command("PEXPIRE", "k", before)
    assert run("set_add", ["k"], ttl, "a", "b", "b") is None
    assert sorted(server.command("SMEMBERS", "k")) == [b"a", b"b"]
    assert server.command("PTTL", "k") in left


def test_set_add_begins_anew_after_an_expired_set_and_refuses_other_types(run, server, expired):
    expired("SADD", "k", "old")
    run("set_add", ["k"], SOON, "new")
    assert server.command("SMEMBERS", "k") == [b"new"]
    assert server.command("PTTL", "k") > 0
    server.command("SET", "text", 1)
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        run("set_add", ["text"], SOON, "a")
    assert server.command("PTTL", "text") == -1
