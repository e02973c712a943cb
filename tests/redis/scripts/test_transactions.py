"""The scripts of transactions: `peek` and `commit`."""

from __future__ import annotations

import hiredis
import pytest

from cashews.backends.redis.layout import headed
from tests.redis.scripts.conftest import FOR_EVER, LIVE, SOON, evaluated, microseconds
from tests.servers import lock_of, record_of

pytestmark = pytest.mark.redis

LOCK_A, LOCK_B = lock_of("a"), lock_of("b")
LARGEST = 2**63 - 1


def arguments(locks, writes, tags=()):
    """Return the keys and the arguments of a commit."""
    words = [len(locks), *locks.values(), len(tags), *tags]
    for write in writes:
        words += [len(write), *write]
    return [*locks, *(write[1] for write in writes if write)], words


@pytest.fixture
def commit(run):
    """``commit(*writes, locks={key: token}, tags=(...))``: what the script answers."""

    def ask(*writes, locks=None, tags=()):
        keys, words = arguments(locks or {}, writes, tags)
        return run("commit", keys, *words)

    return ask


# --- peek


def test_peek_answers_all_there_is_about_a_key(run, server, expired):
    server.commands(
        ("SET", "value", "v", "PX", SOON),
        ("SET", "tagged", headed(b"v", ("t", "u"))),
        ("SADD", "set", "a"),
        ("RPUSH", "list", "a"),
    )
    expired("SET", "gone", headed(b"v", ("t",)))
    kind, found, left, tags = run("peek", ["value"])
    assert (kind, found, tags) == (b"string", b"v", [])
    assert left in LIVE
    assert run("peek", ["tagged"]) == [b"string", headed(b"v", ("t", "u")), -1, [b"t", b"u"]]
    assert run("peek", ["set"]) == [b"set", [b"a"], -1, []]
    assert run("peek", ["list"]) == [b"list", None, -1, []]
    assert run("peek", ["gone"]) == run("peek", ["never"]) == [b"none", None, -2, []]


# --- commit: what is applied


def test_commit_applies_every_kind_of_write(commit, server, index):
    server.commands(
        ("SET", "deleted", 1), ("SET", "expires", 1), ("SADD", "set", "old"), ("SET", "counter", 5, "PX", SOON)
    )
    writes = [
        ("set", "k", b"v", "", "", 0),
        ("set", "short", b"v", SOON, "", 0),
        ("set", "tagged", headed(b"v", ("t",)), SOON, "", 1, "t"),
        ("del", "deleted"),
        ("del", "never"),
        ("incr", "counter", 2, 10 * SOON),
        ("incr", "new", -2, SOON),
        ("incr", "for ever", 1, ""),
        ("expire", "expires", SOON),
        ("expire", "never", SOON),
        ("sadd", "set", "", "a", "b"),
        ("srem", "set", "old", "b"),
        ("sadd", "new set", SOON, "a"),
        (),
    ]
    assert commit(*writes) == 1
    assert server.command("MGET", "k", "short", "tagged") == [b"v", b"v", headed(b"v", ("t",))]
    assert server.command("MGET", "counter", "new", "for ever") == [b"7", b"-2", b"1"]
    assert server.command("EXISTS", "deleted", "never") == 0
    assert (server.command("SMEMBERS", "set"), server.command("SMEMBERS", "new set")) == ([b"a"], [b"a"])
    assert list(index("t")) == [b"tagged"]
    for key in ("short", "tagged", "counter", "new", "expires", "new set"):
        assert server.command("PTTL", key) in LIVE, key
    for key in ("k", "for ever", "set"):
        assert server.command("PTTL", key) in FOR_EVER, key


def test_commit_applies_the_writes_of_one_key_in_their_order(commit, server):
    server.command("RPUSH", "list", "a")
    assert commit(("del", "list"), ("sadd", "list", "", "m"), ("set", "k", b"5", "", "", 0), ("incr", "k", 1, "")) == 1
    assert server.command("SMEMBERS", "list") == [b"m"]
    assert server.command("GET", "k") == b"6"


def test_commit_of_nothing_writes_nothing(commit, server):
    assert commit() == 1
    assert commit((), ()) == 1
    assert server.command("DBSIZE") == 0


def test_commit_counts_behind_heads_and_begins_anew_after_expired_counters(commit, server, expired):
    server.command("SET", "tagged", headed(b"5", ("t",)), "PX", SOON)
    expired("SET", "gone", 100)
    assert commit(("incr", "tagged", 1, ""), ("incr", "gone", 1, SOON)) == 1
    assert server.command("MGET", "tagged", "gone") == [headed(b"6", ("t",)), b"1"]
    assert server.command("PTTL", "tagged") in LIVE
    assert server.command("PTTL", "gone") in LIVE


# --- commit: locks


def test_commit_releases_its_locks_and_tells_their_channels(commit, server, listening):
    server.commands(("SET", LOCK_A, "one"), ("SET", LOCK_B, "two"))
    locks = {LOCK_A: "one", LOCK_B: "two"}
    with listening(LOCK_B) as messages:
        assert commit(("set", "k", b"v", "", "", 0), locks=locks) == 1
        assert messages() == [b""]
    assert sorted(server.command("KEYS", "*")) == [b"k"]


@pytest.mark.parametrize("token", ["another", None])
def test_commit_applies_nothing_if_a_lock_is_lost(commit, server, token):
    """Guarantee 16."""
    server.command("SET", LOCK_A, "one")
    if token is not None:
        server.command("SET", LOCK_B, token)
    before = sorted(server.command("KEYS", "*"))
    locks = {LOCK_A: "one", LOCK_B: "two"}
    assert commit(("set", "k", b"v", "", "", 0), locks=locks, tags=("t",)) == 0
    assert sorted(server.command("KEYS", "*")) == before


def test_commit_without_a_token_wants_the_lock_to_be_free_and_leaves_it_so(commit, server, listening):
    """Guarantee 16."""
    server.command("SET", LOCK_B, "two")
    with listening(LOCK_A) as messages:
        assert commit(("set", "k", b"v", "", "", 0), locks={LOCK_A: "", LOCK_B: "two"}) == 1
        assert messages() == []
    server.command("SET", LOCK_A, "another")
    assert commit(("set", "k", b"new", "", "", 0), locks={LOCK_A: ""}) == 0
    assert server.commands(("GET", "k"), ("GET", LOCK_A), ("EXISTS", LOCK_B)) == [b"v", b"another", 0]


def test_commit_applies_nothing_if_a_lease_has_expired(commit, server, expired):
    expired("SET", LOCK_A, "one")
    assert commit(("set", "k", b"v", "", "", 0), locks={LOCK_A: "one"}) == 0
    assert server.command("EXISTS", "k") == 0


# --- commit: tags


def test_commit_deletes_tags_before_it_writes(commit, run, server, index):
    run("set_tagged", ["old"], headed(b"v", ("t", "u")), SOON, "", "", "", 2, "t", "u")
    before = microseconds(server)
    assert commit(("set", "new", headed(b"v", ("t",)), SOON, "", 1, "t"), tags=("t", "never")) == 1
    assert server.command("EXISTS", "old", "new") == 1
    assert (list(index("t")), index("u")) == ([b"new"], {})
    for tag in ("t", "never"):
        assert before <= int(server.command("GET", record_of(tag))) <= microseconds(server)


def test_commit_deletes_more_carriers_than_one_step_has(commit, server):
    fill = """
        for i = 1, 2500 do
            redis.call('SET', 'k' .. i, ARGV[1])
            redis.call('ZADD', 't\\255tag', '+inf', 'k' .. i)
        end
    """
    server.command("EVAL", fill, 0, headed(b"v", ("t",)))
    assert commit(tags=("t",)) == 1
    assert sorted(server.command("KEYS", "*")) == [record_of("t")]


def test_commit_stores_no_load_that_a_deletion_has_overtaken(commit, run, server):
    """Guarantee 10: the other writes are applied."""
    before = microseconds(server)
    run("delete_tag", [], "t", 500, "1")
    writes = [
        ("set", "late", headed(b"v", ("t",)), "", before, 1, "t"),
        ("set", "late", b"v", "", before, 0, "t"),
        ("set", "k", headed(b"v", ("u",)), "", before, 1, "u", "beside"),
    ]
    assert commit(*writes) == 1
    assert server.command("EXISTS", "late") == 0
    assert server.command("GET", "k") == headed(b"v", ("u",))


# --- commit: what is refused

REFUSED = {
    "a counter that is text": (("incr", "text", 1, ""), "not an integer"),
    "a counter that is a list": (("incr", "list", 1, ""), "WRONGTYPE"),
    "a counter that overflows": (("incr", "largest", 1, ""), "overflow"),
    "a counter with tags that overflows": (("incr", "tagged", 1, ""), "overflow"),
    "a set that is a list": (("sadd", "list", "", "a"), "WRONGTYPE"),
    "a set that is text": (("srem", "text", "a"), "WRONGTYPE"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_commit_applies_nothing_if_one_write_is_refused(commit, server, refused):
    """Guarantee 15."""
    write, reason = REFUSED[refused]
    server.commands(
        ("SET", "text", "abc"),
        ("RPUSH", "list", "a"),
        ("SET", "largest", LARGEST),
        ("SET", "tagged", headed(str(LARGEST).encode(), ("t",)), "PX", SOON),
        ("SET", "counter", 5, "PX", SOON),
        ("SET", LOCK_A, "one"),
    )
    before = {key: server.command("DUMP", key) for key in server.command("KEYS", "*")}
    writes = [
        ("set", "k", b"v", "", "", 0),
        ("incr", "counter", 1, ""),
        ("incr", "new", 1, ""),
        write,
        ("del", "counter"),
    ]
    with pytest.raises(hiredis.ReplyError, match=reason):
        commit(*writes, locks={LOCK_A: "one"}, tags=("t",))
    assert {key: server.command("DUMP", key) for key in server.command("KEYS", "*")} == before
    assert all(server.command("PTTL", key) in LIVE for key in ("counter", "tagged"))


@pytest.mark.parametrize("refused", [name for name, (_, reason) in REFUSED.items() if reason != "overflow"])
def test_commit_answers_the_first_refusal(commit, server, refused):
    write, reason = REFUSED[refused]
    server.commands(("SET", "text", "abc"), ("RPUSH", "list", "a"), ("SET", "largest", LARGEST))
    with pytest.raises(hiredis.ReplyError, match=reason):
        commit(write, ("incr", "largest", 1, ""))


def test_commit_applies_nothing_if_memory_runs_out(own_server):
    with own_server() as server:
        server.commands(("SET", "k", 1), ("SET", LOCK_A, "one"))
        server.command("CONFIG", "SET", "maxmemory", 1)
        keys, words = arguments({LOCK_A: "one"}, [("del", "k"), ("set", "l", b"v", "", "", 0)])
        with pytest.raises(hiredis.ReplyError, match="OOM"):
            evaluated(server, "commit", keys, *words)
        assert sorted(server.command("KEYS", "*")) == [LOCK_A, b"k"]
