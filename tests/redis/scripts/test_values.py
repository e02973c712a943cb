"""The scripts about single values, and about several at once."""

from __future__ import annotations

import struct

import hiredis
import pytest

from cashews.backends.redis.layout import headed
from cashews.backends.redis.scripts import assembled
from tests.redis.scripts.conftest import FOR_EVER, GONE, LIVE, SOON
from tests.servers import index_of

pytestmark = pytest.mark.redis

LARGEST = 2**63 - 1


def entry(hits, body=b"body"):
    """Return an entry that counts its readings, as it is stored."""
    return b"\0H" + struct.pack(">Q", hits) + body


def test_a_head_is_a_mark_its_size_and_each_tag_behind_its_own(run, server):
    stored = b"\0G\0\0\0\x11\0\0\0\x01t\0\0\0\x02uvvalue"
    assert headed(b"value", ("t", "uv")) == stored
    server.command("SET", "k", stored)
    assert run("get_key_tags", ["k"]) == [b"t", b"uv"]


# --- get_hit


@pytest.mark.parametrize("tags", [(), ("t", "u" * 300)])
def test_get_hit_counts_a_reading_in_the_entry(run, server, tags):
    stored, counted = (headed(entry(hits), tags) if tags else entry(hits) for hits in (6, 7))
    server.command("SET", "k", stored, "PX", SOON)
    assert run("get_hit", ["k"]) == [stored, 7]
    assert server.command("GET", "k") == counted
    assert server.command("PTTL", "k") in LIVE


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\0",
        b"7",
        b"\0E...",
        b"\0H",
        entry(1, b"")[:-1],
        b"\0G",
        b"\0G\0\0",
        b"\0G\xff\xff\xff\xff",
        headed(b"7", ("t",)),
        headed(entry(1)[:9], ("t",)),
    ],
)
def test_get_hit_leaves_a_value_without_a_count_alone(run, server, stored):
    """Guarantee 24: bytes that were cut off are no error."""
    server.command("SET", "k", stored)
    assert run("get_hit", ["k"]) == [stored, 0]
    assert server.command("GET", "k") == stored


def test_get_hit_finds_nothing_under_absent_and_expired_keys(run, server, expired):
    expired("SET", "k", entry(1))
    assert run("get_hit", ["k"]) == [None, 0]
    assert run("get_hit", ["never"]) == [None, 0]
    assert server.command("DBSIZE") == 0


def test_get_hit_refuses_another_type(run, server):
    server.command("RPUSH", "k", "a")
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        run("get_hit", ["k"])


# --- incr


def test_incr_gives_a_new_counter_its_time_to_live(run, server):
    assert run("incr", ["k"], 5, SOON) == b"5"
    assert server.command("PTTL", "k") in LIVE
    assert run("incr", ["k"], -7, 10 * SOON) == b"-2"
    assert server.command("PTTL", "k") <= SOON


def test_incr_gives_a_counter_without_expiry_none(run, server):
    server.command("SET", "k", 1)
    assert run("incr", ["k"], 1, SOON) == b"2"
    assert server.command("PTTL", "k") == -1


def test_incr_begins_anew_after_an_expired_counter(run, server, expired):
    expired("SET", "k", 100)
    assert run("incr", ["k"], 1, SOON) == b"1"
    assert server.command("PTTL", "k") > 0


@pytest.mark.parametrize(("name", "more"), [("incr", (SOON,)), ("incr_tagged", ())])
def test_counters_have_64_bits(run, server, name, more):
    server.command("SET", "k", LARGEST - 2)
    assert run(name, ["k"], 1, *more) == str(LARGEST - 1).encode()
    with pytest.raises(hiredis.ReplyError, match="overflow"):
        run(name, ["k"], 2, *more)
    assert server.command("GET", "k") == str(LARGEST - 1).encode()
    assert server.command("PTTL", "k") == -1


@pytest.mark.parametrize("value", [b"text", b"", b"1.5", str(LARGEST + 1).encode()])
def test_incr_refuses_what_is_no_counter(run, server, value):
    server.command("SET", "k", value)
    with pytest.raises(hiredis.ReplyError, match="not an integer"):
        run("incr", ["k"], 1, SOON)
    assert server.command("GET", "k") == value
    server.command("RPUSH", "list", "a")
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        run("incr", ["list"], 1, SOON)


# --- incr_tagged


def test_incr_tagged_counts_behind_the_head(run, server):
    server.command("SET", "k", headed(b"-3", ("t",)), "PX", SOON)
    assert run("incr_tagged", ["k"], 5) == b"2"
    assert server.command("GET", "k") == headed(b"2", ("t",))
    assert server.command("PTTL", "k") in LIVE
    assert run("incr_tagged", ["k"], LARGEST - 2) == str(LARGEST).encode()


@pytest.mark.parametrize("value", [b"text", str(LARGEST).encode()])
def test_incr_tagged_leaves_a_value_that_it_cannot_count_as_it_was(run, server, value):
    server.command("SET", "k", headed(value, ("t",)), "PX", SOON)
    with pytest.raises(hiredis.ReplyError, match=r"not an integer|overflow"):
        run("incr_tagged", ["k"], 1)
    assert server.command("GET", "k") == headed(value, ("t",))
    assert server.command("PTTL", "k") in LIVE


def test_incr_tagged_counts_bare_and_absent_counters_too(run, server, expired):
    expired("SET", "gone", headed(b"9", ("t",)))
    assert run("incr_tagged", ["gone"], 1) == b"1"
    server.command("SET", "k", 4)
    assert run("incr_tagged", ["k"], 1) == b"5"
    server.command("SADD", "set", "a")
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        run("incr_tagged", ["set"], 1)


# --- expire, delete


@pytest.mark.parametrize(("ttl", "left"), [(SOON, LIVE), ("", FOR_EVER), (0, GONE), (-5, GONE)])
def test_expire_gives_another_life_none_or_an_end(run, server, ttl, left):
    server.command("SET", "k", 1, "PX", 10 * SOON)
    assert run("expire", ["k"], ttl) == 1
    assert server.command("PTTL", "k") in left


def test_expire_finds_nothing_under_absent_and_expired_keys(run, server, expired):
    expired("SET", "k", 1)
    assert run("expire", ["k"], SOON) == 0
    assert run("expire", ["k"], "") == 0
    assert server.command("DBSIZE") == 0


def test_expire_moves_the_key_in_the_index_of_its_tag(run, server, index, now):
    run("set_tagged", ["k"], headed(b"v", ("t",)), 10 * SOON, "", "", "", 1, "t")
    before = now()
    run("expire", ["k"], SOON)
    assert before + SOON - 1 <= index("t")[b"k"] <= now() + SOON + 1
    run("expire", ["k"], "")
    assert index("t") == {b"k": float("inf")}
    assert server.command("PTTL", index_of("t")) == -1
    run("expire", ["k"], 0)
    assert server.command("DBSIZE") == 0


def test_delete_counts_the_keys_that_there_were(run, server, expired):
    expired("SET", "gone", 1)
    server.commands(("SET", "a", 1), ("SADD", "b", 1), ("SET", "c", 1))
    assert run("delete", ["a", "b", "a", "gone", "never"]) == 2
    assert server.command("KEYS", "*") == [b"c"]
    assert run("delete", []) == 0


def test_delete_takes_keys_out_of_the_indexes_of_their_tags(run, server, index):
    for key in ("a", "b"):
        run("set_tagged", [key], headed(b"v", ("t", key)), SOON, "", "", "", 2, "t", key)
    assert run("delete", ["a"]) == 1
    assert list(index("t")) == [b"b"]
    assert server.command("EXISTS", index_of("a")) == 0
    assert run("delete", ["b"]) == 1
    assert server.command("DBSIZE") == 0


def test_delete_tells_of_a_key_that_was_absent(server):
    """Whoever tracks the key hears of it: a key that is watched counts as changed."""
    for tells, told in ((1, True), (0, False)):
        watch, _, _, reply = server.commands(
            ("WATCH", "absent"), ("EVAL", assembled("delete"), 1, "absent", tells, ""), ("MULTI",), ("EXEC",)
        )
        assert watch == b"OK"
        assert (reply is None) is told
    assert server.command("DBSIZE") == 0


# --- read_many


def test_read_many_answers_times_to_live_and_values(run, server, expired):
    expired("SET", "gone", 1)
    server.commands(("SET", "a", "1", "PX", SOON), ("SET", "b", "2"), ("SADD", "c", "3"))
    left, *rest = run("read_many", ["a", "b", "c", "gone", "never", "b"])
    assert left in LIVE
    assert rest == [b"1", -1, b"2", -1, None, -2, None, -2, None, -1, b"2"]
    assert run("read_many", []) == []


# --- set_many, set_many_tagged


def test_set_many_stores_all_with_one_time_to_live(run, server):
    server.commands(("SET", "a", "old"), ("SADD", "b", "old"))
    assert run("set_many", ["a", "b"], SOON, b"1", b"2") is None
    assert server.command("MGET", "a", "b") == [b"1", b"2"]
    assert all(server.command("PTTL", key) in LIVE for key in "ab")


@pytest.mark.parametrize(("ttl", "left"), [(SOON, LIVE), ("", FOR_EVER)])
def test_set_many_tagged_takes_the_keys_out_of_the_indexes_of_their_tags(run, server, index, ttl, left):
    for key in ("a", "b"):
        run("set_tagged", [key], headed(b"v", ("t",)), 10 * SOON, "", "", "", 1, "t")
    assert run("set_many_tagged", ["a", "c"], ttl, b"1", b"2") is None
    assert server.command("MGET", "a", "c") == [b"1", b"2"]
    assert all(server.command("PTTL", key) in left for key in "ac")
    assert list(index("t")) == [b"b"]
