"""The scripts about tags: `set_tagged`, `get_key_tags`, `delete_tag` and `prune_tag`."""

from __future__ import annotations

from hashlib import sha1

import pytest

from cashews.backends.redis.layout import headed
from tests.redis.scripts.conftest import LIVE, SOON, microseconds
from tests.servers import index_of, record_of

pytestmark = pytest.mark.redis

HOUR = 3_600_000_000
RECORD = record_of("t")


@pytest.fixture
def store(run):
    """``store("k", "t", "u")``: what `set_tagged` answers for a value that carries these tags."""

    def ask(key, *tags, ttl=SOON, exist="", since="", before="", beside=()):
        value = headed(b"v", tags) if tags else b"v"
        return run("set_tagged", [key], value, ttl, exist, since, before, len(tags), *tags, *beside)

    return ask


# --- set_tagged


def test_set_tagged_stores_a_value_and_joins_the_indexes(store, server, index, now):
    before = now()
    assert store("k", "t", "u") == 1
    assert server.command("GET", "k") == headed(b"v", ("t", "u"))
    assert server.command("PTTL", "k") in LIVE
    for tag in "tu":
        assert before + SOON - 1 <= index(tag)[b"k"] <= now() + SOON + 1
        assert SOON < server.command("PTTL", index_of(tag)) <= SOON + 1_001


def test_set_tagged_without_a_time_to_live_has_its_index_stay(store, server, index):
    store("short", "t")
    store("k", "t", ttl="")
    assert server.command("PTTL", "k") == -1
    assert index("t")[b"k"] == float("inf")
    assert server.command("PTTL", index_of("t")) == -1
    store("k", "t")
    assert 0 < server.command("PTTL", index_of("t")) <= SOON + 1_001


@pytest.mark.parametrize(
    ("exist", "there", "stored"), [("NX", False, 1), ("NX", True, None), ("XX", False, None), ("XX", True, 1)]
)
def test_set_tagged_stores_only_over_a_value_or_only_where_there_is_none(store, server, exist, there, stored):
    if there:
        server.command("SET", "k", "old")
    assert store("k", "t", exist=exist) == stored
    assert server.command("EXISTS", index_of("t")) == bool(stored)
    assert server.command("GET", "k") == (headed(b"v", ("t",)) if stored else b"old" if there else None)


def test_set_tagged_over_an_expired_value_is_over_none(store, expired):
    expired("SET", "k", 1)
    assert store("k", "t", exist="XX") is None
    assert store("k", "t", exist="NX") == 1


def test_set_tagged_leaves_the_indexes_of_the_tags_before(store, server, index):
    store("k", "t", "u")
    store("k", "u", "v")
    assert (index("t"), list(index("u")), list(index("v"))) == ({}, [b"k"], [b"k"])
    store("k")
    assert server.command("KEYS", "*") == [b"k"]
    server.command("DEL", "k")
    server.command("RPUSH", "k", "a")
    assert store("k", "t") == 1


@pytest.mark.parametrize("tags", [(), ("own",)])
def test_set_tagged_stores_no_load_that_the_deletion_of_a_tag_beside_has_overtaken(run, store, server, index, tags):
    before = microseconds(server)
    assert store("k", *tags, since=before, beside=("t",)) == 1
    assert not index("t")
    run("delete_tag", [], "t", 100, 1)
    assert store("k", *tags, since=before, beside=("u", "t")) is None
    assert store("k", *tags, since=before, beside=("u",)) == 1


@pytest.mark.parametrize("stored", [b"v", headed(b"v", ()), headed(b"v", ("old",))])
def test_set_tagged_replaces_one_value_alone(store, server, stored):
    digest = sha1(b"v", usedforsecurity=False).hexdigest()
    assert store("k", "t", before=digest) is None
    server.command("SET", "k", headed(b"other", ("old",)))
    assert store("k", "t", before=digest) is None
    server.command("SET", "k", stored)
    assert store("k", "t", before=digest) == 1
    assert server.command("GET", "k") == headed(b"v", ("t",))
    server.commands(("DEL", "k"), ("SADD", "k", "a"))
    assert store("k", "t", before=digest) is None


def test_set_tagged_stores_no_load_that_a_deletion_has_overtaken(run, store, server):
    """Guarantee 10."""
    before = microseconds(server)
    run("delete_tag", [], "t", 500, "1")
    after = microseconds(server) + 1
    assert store("k", "u", "t", since=before) is None
    assert server.command("EXISTS", "k") == 0
    assert store("k", "u", since=before) == 1
    assert store("k", "t", since=after) == 1


def test_set_tagged_stores_no_load_that_began_before_the_records(store, server):
    assert store("k", "t", since=microseconds(server) - HOUR - 1) is None
    assert store("k", "t", since=-1) is None
    assert store("k", "t", since=microseconds(server) - HOUR + 10_000_000) == 1


def test_set_tagged_takes_stale_members_out_of_the_index(store, server, index):
    server.command("ZADD", index_of("t"), 1, "x", 2, "y", 3, "z")
    store("k", "t")
    assert list(index("t")) == [b"k"]


def test_set_tagged_without_expiry_takes_stale_members_out_wherever_they_are(store, server, index):
    for number in range(9):
        server.command("ZADD", index_of("t"), "+inf", f"x{number}")
    for _ in range(200):
        store("k", "t", ttl="")
    assert b"k" in index("t")
    assert len(index("t")) <= 2  # of two members the server always takes the same one first


# --- get_key_tags


@pytest.mark.parametrize("tags", [("t",), ("t", "", "ü", "u"), tuple(f"tag-{number}" for number in range(100))])
def test_get_key_tags_answers_the_tags_of_a_value(run, store, tags):
    store("k", *tags)
    assert run("get_key_tags", ["k"]) == [tag.encode() for tag in tags]


@pytest.mark.parametrize("stored", [b"", b"7", b"\0G", b"\0G\0\0\0\xff\0\0\0\1t", b"\0G\0\0\0\3v", b"\0G\0\0\0\6"])
def test_get_key_tags_finds_none_on_a_value_without_a_whole_head(run, server, stored):
    server.command("SET", "k", stored)
    assert run("get_key_tags", ["k"]) == []


def test_get_key_tags_finds_none_on_other_types_and_absent_keys(run, server, expired):
    server.command("RPUSH", "list", "a")
    expired("SET", "gone", headed(b"v", ("t",)))
    assert run("get_key_tags", ["list"]) == run("get_key_tags", ["gone"]) == run("get_key_tags", ["never"]) == []


# --- delete_tag


def test_delete_tag_removes_its_carriers_in_steps(run, store, server, index):
    """Guarantee 18."""
    for number in range(5):
        store(f"k{number}", "t", "u", ttl=SOON + number * 100)
    store("other", "u")
    assert run("delete_tag", [], "t", 2, "1") == 3
    assert run("delete_tag", [], "t", 2, "0") == 1
    assert run("delete_tag", [], "t", 2, "0") == 0
    assert list(index("u")) == [b"other"]
    assert sorted(server.command("KEYS", "*")) == sorted([b"other", index_of("u"), RECORD])


def test_delete_tag_remembers_its_beginning_for_an_hour(run, server):
    before = microseconds(server)
    assert run("delete_tag", [], "t", 500, "0") == 0
    assert server.command("EXISTS", RECORD) == 0
    run("delete_tag", [], "t", 500, "1")
    assert before <= int(server.command("GET", RECORD)) <= microseconds(server)
    assert 3_599 <= server.command("TTL", RECORD) <= 3_600


def test_delete_tag_leaves_members_that_do_not_carry_the_tag(run, store, server):
    store("k", "t")
    server.command("SET", "k", headed(b"v", ("u",)))
    server.command("ZADD", index_of("t"), 1, "list", 2, "never")
    server.command("RPUSH", "list", "a")
    assert run("delete_tag", [], "t", 500, "1") == 0
    assert server.command("EXISTS", "k", "list") == 2
    assert server.command("EXISTS", index_of("t")) == 0


# --- prune_tag


def test_prune_tag_takes_out_what_does_not_carry_the_tag_and_answers_where_to_go_on(run, store, server, index):
    for number in range(4):
        store(f"k{number}", "t", ttl=SOON + number * 100)
    server.command("DEL", "k0", "k2")
    assert run("prune_tag", [], "t", 0, 2) == 1
    assert run("prune_tag", [], "t", 1, 2) == 2
    assert run("prune_tag", [], "t", 2, 2) == -1
    assert list(index("t")) == [b"k1", b"k3"]


def test_prune_tag_has_the_index_live_as_long_as_its_last_member(run, store, server):
    store("k", "t")
    store("long", "t", ttl=10 * SOON)
    server.command("DEL", "long")
    assert run("prune_tag", [], "t", 0, 500) == -1
    assert 0 < server.command("PTTL", index_of("t")) <= SOON + 1_001
    server.command("DEL", "k")
    assert run("prune_tag", [], "t", 0, 500) == -1
    assert server.command("DBSIZE") == 0
    assert run("prune_tag", [], "never", 0, 500) == -1
