"""The scripts about tags on a cluster: `tick`, `raise_tag`, and the memberships of slots in the rosters of tags."""

from __future__ import annotations

import pytest

from cashews.backends.redis.layout import headed, index_key, record_key, roster_keys
from tests.redis.scripts.conftest import ANCHOR, FOR_EVER, LIVE, SOON, microseconds

pytestmark = pytest.mark.redis

MINUTE, HOUR = 60_000, 3_600_000
ROSTER, RAISED = roster_keys(b"t", b"{home}")
INDEX, RECORD = index_key(b"t", ANCHOR.encode()), record_key(b"t", ANCHOR.encode())


@pytest.fixture
def store(run_in_slot):
    """``store("k")``: the three parts of what `set_tagged` answers for a value with the tag."""
    value = headed(b"v", ("t",))
    return lambda key, ttl=SOON, since="": run_in_slot("set_tagged", [key], value, ttl, "", since, "", 1, "t")


@pytest.fixture
def enter(run_in_slot):
    """``enter(7)``: what is to be left once the slot was told of membership 7."""

    def ask(number, deleted=0, life=2 * SOON):
        _, left, wanted = run_in_slot("enter_slot", [RECORD], "t", number, deleted, life)
        assert wanted == []
        return left

    return ask


# --- tick and raise_tag


def test_tick_answers_the_time_and_never_the_same(run, server):
    before = microseconds(server)
    instants = [run("tick", ["clock"]) for _ in range(20)]
    assert before <= instants[0]
    assert instants == sorted(set(instants))
    server.command("SET", "clock", before + 10**12)
    assert run("tick", ["clock"]) == before + 10**12 + 1
    assert 3_599 <= server.command("TTL", "clock") <= 3_600


def test_raise_tag_notes_the_last_instant_and_reads_the_roster(run, server):
    assert run("raise_tag", [ROSTER, RAISED], 7) == []
    server.command("ZADD", ROSTER, 1, "{a}1", "+inf", "{b}2")
    assert run("raise_tag", [ROSTER, RAISED], 9) == [b"{a}1", b"{b}2"]
    run("raise_tag", [ROSTER, RAISED], 8)
    assert server.command("GET", RAISED) == b"9"
    assert 3_599 <= server.command("TTL", RAISED) <= 3_600


# --- join_roster and leave_roster


def test_join_roster_begins_a_membership_and_answers_the_last_deletion(run, server, now):
    begun = now()
    number, deleted = run("join_roster", [ROSTER, RAISED], "{a}", 0, SOON)
    assert deleted == b"0"
    assert begun * 1000 <= int(number)
    ends = float(server.command("ZSCORE", ROSTER, b"{a}" + number))
    assert begun + SOON + MINUTE - 1 <= ends <= now() + SOON + MINUTE + 5
    assert SOON < server.command("PTTL", ROSTER) <= SOON + MINUTE + 5
    run("raise_tag", [ROSTER, RAISED], 7)
    assert run("join_roster", [ROSTER, RAISED], "{a}", int(number) + 10**12, SOON) == [
        b"%d" % (int(number) + 10**12 + 1),
        b"7",
    ]


def test_a_roster_lives_as_long_as_its_last_membership(run, server):
    server.command("ZADD", ROSTER, 1, "{old}1")
    number, _ = run("join_roster", [ROSTER, RAISED], "{a}", 0, "")
    assert server.command("ZRANGE", ROSTER, 0, -1) == [b"{a}" + number]
    run("join_roster", [ROSTER, RAISED], "{b}", 0, SOON)
    assert server.command("PTTL", ROSTER) == -1
    run("leave_roster", [ROSTER], b"{a}" + number, "{never}1")
    assert 0 < server.command("PTTL", ROSTER) <= SOON + MINUTE + 5
    run("leave_roster", [ROSTER], *server.command("ZRANGE", ROSTER, 0, -1))
    assert server.command("EXISTS", ROSTER) == 0


# --- enter_slot, and values in a slot


def test_nothing_is_stored_before_the_slot_is_in_the_roster(store, enter, server):
    """Guarantee 18: else a deletion of the tag would miss the value."""
    assert store("k") == [None, [], [b"t", b"0", b"%d" % (2 * SOON)]]
    assert server.command("KEYS", "*") == []
    assert enter(7) == []
    assert store("k") == [1, [], []]
    assert server.command("EXISTS", "k", INDEX) == 2
    assert store("k", 3 * SOON) == [None, [], [b"t", b"7", b"%d" % (6 * SOON)]]
    assert store("k", "") == [None, [], [b"t", b"7", b""]]
    assert enter(8, life="") == [b"t", b"7"]
    assert store("k", "") == [1, [], []]
    assert server.command("PTTL", RECORD) in FOR_EVER


@pytest.mark.parametrize("longer", [SOON * 10, ""])
def test_a_value_lives_no_longer_than_the_membership(store, enter, run_in_slot, server, longer):
    enter(7)
    store("k")
    asked, _, wanted = run_in_slot("expire", ["k"], longer)
    assert asked is None
    assert wanted[:2] == [b"t", b"7"]
    assert server.command("PTTL", "k") in LIVE
    words = ("set", "k", headed(b"v", ("t",)), longer, "", 1, "t")
    assert run_in_slot("commit", ["k"], 0, 0, len(words), *words)[2] == wanted
    assert run_in_slot("commit", ["k"], 0, 0, 3, "expire", "k", longer)[2] == wanted
    assert run_in_slot("expire", ["k"], SOON // 2) == [1, [], []]


def test_a_membership_ends_with_the_last_value(store, enter, run_in_slot, server):
    enter(7)
    store("a")
    store("b")
    assert run_in_slot("delete", ["a"], 0) == [1, [], []]
    assert run_in_slot("set_many_tagged", ["b"], "", "v") == [None, [b"t", b"7"], []]
    assert server.command("KEYS", "*") in ([b"b", RECORD], [RECORD, b"b"])
    assert 0 < server.command("PTTL", RECORD) <= MINUTE
    assert store("a")[2][:2] == [b"t", b"7"]


def test_a_membership_does_not_end_while_values_change(store, enter, run_in_slot):
    enter(7)
    store("a")
    assert store("a") == [1, [], []]
    words = ("set", "b", headed(b"v", ("t",)), SOON, "", 1, "t")
    assert run_in_slot("commit", ["a", "b"], 0, 0, 3, "del", "a", 0, len(words), *words) == [1, [], []]


def test_a_membership_that_is_told_of_too_late_does_not_count(store, enter, run_in_slot):
    """Guarantee 18: another one was told of first, and has ended."""
    enter(8)
    store("a")
    assert run_in_slot("delete", ["a"], 0)[1] == [b"t", b"8"]
    assert enter(7) == [b"t", b"7"]
    assert enter(8) == []
    assert store("a")[2] != []
    assert enter(9) == [b"t", b"8"]
    assert store("a") == [1, [], []]


def test_a_membership_that_ends_earlier_than_the_last_does_not_count(store, enter):
    enter(7, life="")
    store("a", "")
    assert enter(8) == [b"t", b"8"]
    assert store("b", "") == [1, [], []]


def test_a_load_that_a_deletion_has_overtaken_is_not_stored(store, enter, run_in_slot, server):
    """Guarantee 10: the deletion may have been before the slot was in the roster, or after."""
    since = microseconds(server)
    enter(7, deleted=since)
    assert store("a", since=since) == [None, [], []]
    assert store("a", since=since + 1) == [1, [], []]
    assert run_in_slot("delete_tag", [INDEX], "t", 500, "1", since + 2, 9) == [0, [b"t", b"9"], []]
    assert 0 < server.command("PTTL", RECORD) <= HOUR
    enter(10)
    assert store("b", since=since + 2) == [None, [], []]
    assert store("b", since=since + 3) == [1, [], []]


def test_a_deletion_shuts_memberships_out_that_are_not_told_of_yet(enter, run_in_slot):
    enter(7)
    assert run_in_slot("delete_tag", [INDEX], "t", 500, "1", 5, 9)[1] == [b"t", b"9"]
    assert enter(9) == []
    assert enter(8) == [b"t", b"8"]


def test_an_index_is_pruned_in_its_slot(store, enter, run_in_slot, server):
    enter(7)
    store("a")
    store("b")
    server.command("DEL", "a")
    assert run_in_slot("prune_tag", [INDEX], "t", 0, 500) == [-1, [], []]
    assert server.command("ZRANGE", INDEX, 0, -1) == [b"b"]
    server.command("DEL", "b")
    assert run_in_slot("prune_tag", [INDEX], "t", 0, 500) == [-1, [b"t", b"7"], []]
