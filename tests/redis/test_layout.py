"""The layout of a database: texts and their bytes, names of ours that no text has, raw values as they were given."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cashews import Cache, TransactionMode, add_prefix
from cashews.backends.redis.layout import DELETED, FENCE, HEAD, INDEX, LOCK, OURS, bare, headed, raw
from cashews.backends.redis.wire import encoded, text_of
from tests.servers import index_of, lock_of, record_of

pytestmark = pytest.mark.redis

TEXTS = st.text(st.characters(exclude_categories=())) | st.text("\udcc3\udca9\ud83d\ude00\U0001f600é\xc3\xa9k\0")
HEADED = [HEAD, HEAD + b"value", headed(b"", ()), headed(b"value", ()), headed(b"value", ("t",)), HEAD + b"\xff" * 10]


@given(TEXTS, TEXTS)
@example("é", "\udcc3\udca9")
@example("\U0001f600", "\ud83d\ude00")
@example("\udc80", "\x80")
def test_different_texts_have_different_bytes_and_come_back(one, other):
    """Guarantee 5: otherwise one user gets the value of another."""
    assert (encoded(one) == encoded(other)) is (one == other)
    assert text_of(encoded(one)) == one


@given(st.binary(), TEXTS)
def test_bytes_are_the_text_that_they_were_made_of_or_none(stored, text):
    for each in (stored, encoded(text) + stored, encoded(text)[1:]):
        found = text_of(each)
        assert found is None or encoded(found) == each


@given(TEXTS, TEXTS, st.sampled_from(OURS))
def test_no_text_is_a_name_of_ours(name, text, end):
    assert encoded(text) != encoded(name) + end
    assert not encoded(text).endswith(OURS)
    assert text_of(encoded(name) + end) is None


@given(TEXTS, TEXTS)
def test_no_name_of_ours_is_another_one(one, other):
    names = [encoded(text) + end for text in {one, other} for end in OURS]
    assert len(set(names)) == len(names)


@given(st.binary() | st.sampled_from(HEADED) | st.binary().map(HEAD.__add__))
def test_raw_bytes_are_read_as_they_were_given(value):
    assert bare(raw(value)) == value
    assert raw(value) == value or value.startswith(HEAD)


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0\0\0\x05value", b"\0\0\0\x0cvalue", b"\xff" * 10])
def test_a_head_whose_size_makes_no_sense_is_part_of_the_value(rest):
    """Another program has stored it."""
    assert bare(HEAD + rest) == HEAD + rest


@pytest.mark.parametrize("value", HEADED, ids=repr)
@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("tagged", [False, True])
async def test_raw_bytes_that_look_like_ours_come_back(cache, value, in_transaction, tagged):
    if tagged:
        await cache.set("other", 1, tags=["t"])
    async with cache.transaction() if in_transaction else nullcontext():
        assert await cache.set_raw("k", value)
        assert await cache.get_raw("k") == value
    assert await cache.get_raw("k") == value
    assert await cache.get_key_tags("k") == ()
    await cache.delete_tags("t")
    assert await cache.get_raw("k") == value


@pytest.mark.parametrize("text", ["\0G", "\0G\0\0\0\x06value", "value"])
async def test_raw_text_that_looks_like_ours_comes_back(cache, text):
    assert await cache.set_raw("k", text)
    assert await cache.get_raw("k") == text.encode()


def forms(name):
    """Return the texts by which somebody may try to reach a name of ours."""
    ways = [("latin-1", "strict"), ("utf-8", "surrogateescape"), ("utf-8", "replace"), ("utf-8", "ignore")]
    return [name.decode(*way) for way in ways]


ATTACKS = {
    "delete": lambda cache, key: cache.delete(key),
    "delete_many": lambda cache, key: cache.delete_many(key),
    "delete_match": lambda cache, key: cache.delete_match(key),
    "delete_match, beginning": lambda cache, key: cache.delete_match(key[:1] + "*"),
    "clear": lambda cache, _: cache.clear(),
    "set": lambda cache, key: cache.set(key, 1),
    "set_raw": lambda cache, key: cache.set_raw(key, b"1"),
    "set_many": lambda cache, key: cache.set_many({key: 1}),
    "expire": lambda cache, key: cache.expire(key, 0),
    "incr": lambda cache, key: cache.incr(key),
    "set_add": lambda cache, key: cache.set_add(key + "s", "a"),
    "tag": lambda cache, key: cache.set(key, 1, tags=[key]),
    "delete_tags": lambda cache, key: cache.delete_tags(key),
    "lock": lambda cache, key: cache.set_lock(key, "another", 10),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_nobody_reaches_what_is_ours_by_a_key(cache, server, attack):
    """Locks stay held, tags are known, and their deletions remembered."""
    await cache.set_lock("job", "token", 60)
    await cache.set("k", 1, tags=["t"])
    await cache.delete_tags("gone")
    names = [lock_of("job"), b"job" + FENCE, index_of("t"), record_of("gone")]
    if attack == "clear":
        names.remove(index_of("t"))
    before = {name: server.command("DUMP", name) for name in names}
    for name in (*names, b"cashews/lock/job", b"cashews/fence", b"cashews/tag/keys/t", b"cashews/tag/deleted/gone"):
        for key in forms(name):
            await ATTACKS[attack](cache, key)
    assert {name: server.command("DUMP", name) for name in names} == before
    assert None not in before.values()
    assert await cache.unlock("job", "token")


async def test_all_keys_begin_with_the_prefix_of_the_cache(server):
    async with Cache.open(server.url, suppress=False, middlewares=[add_prefix("shop:")]) as cache:
        async with cache.lock("job", expire=10), cache.transaction() as transaction:
            await cache.set("k", 1, tags=["t"])
            await cache.delete_tags("u")
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            await cache.incr("n")
            keys = server.command("KEYS", "*")
        await cache.set_add("s", "a")
    keys += server.command("KEYS", "*")
    assert [key for key in keys if not key.startswith(b"shop:")] == []
    assert {end for end in OURS if any(key.endswith(end) for key in keys)} == {LOCK, FENCE, INDEX, DELETED}
    assert transaction.outcome.value == "committed"
