"""What `delete_tags` removes, and what it leaves: the same on every store."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cashews import Cache, Command, add_prefix, all_keys_lower
from cashews.exceptions import SettingsError, WrongArgumentError
from tests.internals import inside
from tests.subjects import each, on_memory


async def test_a_tag_deletes_every_key_that_carries_it_and_no_other(cache):
    """Guarantee 18."""
    await cache.set("a", 1, tags=["t", "u"])
    await cache.set("b", {"b": 2}, "1h", tags=["t"])
    await cache.set("c", 3, tags=["u"])
    await cache.set("d", 4)
    await cache.delete_tags("t")
    assert await cache.get_many("a", "b", "c", "d") == (None, None, 3, 4)


async def test_several_tags_are_deleted_at_once_and_a_tag_that_nothing_carries_does_no_harm(cache):
    await cache.set("a", 1, tags=["t"])
    await cache.set("b", 2, tags=["u"])
    await cache.delete_tags("t", "nobody", "u", "t")
    await cache.delete_tags()
    assert await cache.get_many("a", "b") == (None, None)


async def test_a_key_says_which_tags_it_carries(cache, clock):
    await cache.set("a", 1, 10, tags=["t", "u", "t"])
    assert await cache.get_key_tags("a") == ("t", "u")
    assert await cache.get_key_tags("absent") == ()
    await clock.advance(10)
    assert await cache.get_key_tags("a") == ()


@pytest.mark.parametrize("value", [1, -5, "text", b"bytes", {"a": [1]}, None, True, 1.5, "\0G\0\0\0\x09abc"])
async def test_a_value_with_tags_is_read_as_one_without(cache, value):
    """Guarantees 1, 26."""
    await cache.set("tagged", value, tags=["t", "u" * 300])
    await cache.set("plain", value)
    for read in (cache.get, cache.exists, cache.get_expire):
        assert await read("tagged") == await read("plain")
    raw = await cache.get_raw("tagged")
    await cache.set("tagged", value)
    assert type(raw) is type(await cache.get_raw("tagged"))
    assert b"uuu" not in raw if isinstance(raw, bytes) else raw == value
    assert await cache.get_many("tagged", "plain") == (value, value)
    assert dict([pair async for pair in cache.get_match("*")]) == {"tagged": value, "plain": value}


async def test_only_keys_of_users_are_listed_counted_and_matched(cache):
    await cache.set("a", 1, tags=["t"])
    await cache.delete_tags("other")
    assert [key async for key in cache.scan("*")] == ["a"]
    assert [key async for key in cache.scan("cashews/*")] == []
    assert await cache.get_keys_count() == 1
    await cache.delete_match("cashews/*")
    await cache.delete_tags("t")
    assert await cache.get("a") is None


# --- times to live: D65


async def test_a_tag_of_a_long_and_a_short_lived_key_still_deletes_the_long_lived_one(cache, clock):
    """Guarantee 18; D65."""
    await cache.set("for ever", 1, tags=["t"])
    await cache.set("long", 2, 3600, tags=["t"])
    await cache.set("short", 3, 0.2, tags=["t"])
    await clock.advance(1_000)
    assert await cache.get_many("for ever", "long", "short") == (1, 2, None)
    await cache.delete_tags("t")
    assert await cache.get_many("for ever", "long") == (None, None)


@pytest.mark.parametrize("longer", [3600, None])
async def test_a_key_that_is_given_more_time_keeps_its_tags(cache, clock, longer):
    """Guarantee 18; D65."""
    await cache.set("a", 1, 10, tags=["t"])
    assert await cache.expire("a", longer)
    await clock.advance(1_000)
    assert (await cache.get("a"), await cache.get_key_tags("a")) == (1, ("t",))
    await cache.delete_tags("t")
    assert await cache.get("a") is None


async def test_a_counter_keeps_its_tags_while_it_counts(cache):
    """Guarantee 26."""
    await cache.set("n", 2**62, 100, tags=["t"])
    assert await cache.incr("n", 2**61 + 1) == 2**62 + 2**61 + 1
    assert await cache.incr("n", -(2**62), expire=5) == 2**61 + 1
    with pytest.raises(OverflowError):
        await cache.incr("n", 2**63 - 1)
    assert (await cache.get("n"), await cache.get_key_tags("n")) == (2**61 + 1, ("t",))
    assert await cache.get_expire("n") == 100
    await cache.delete_tags("t")
    assert await cache.get("n") is None


async def test_a_value_that_is_no_counter_stays_as_it_is_with_its_tags(cache):
    await cache.set("a", "text", tags=["t"])
    with pytest.raises(TypeError):
        await cache.incr("a")
    assert (await cache.get("a"), await cache.get_key_tags("a")) == ("text", ("t",))


# --- writing over a tagged key


async def test_a_value_that_is_stored_anew_has_the_new_tags_only(cache):
    """D67."""
    await cache.set("a", 1, tags=["t", "u"])
    await cache.set("a", 2, 60, tags=["u", "v"])
    await cache.delete_tags("t")
    assert (await cache.get("a"), await cache.get_key_tags("a")) == (2, ("u", "v"))
    await cache.delete_tags("v")
    assert await cache.get("a") is None


OVERWRITES = {
    "set": lambda cache: cache.set("a", 2),
    "set_with_expire": lambda cache: cache.set("a", 2, 60),
    "set_many": lambda cache: cache.set_many({"a": 2, "b": 3}),
    "set_many_with_expire": lambda cache: cache.set_many({"a": 2, "b": 3}, 60),
    "set_raw": lambda cache: cache.set_raw("a", b"2"),
}


@pytest.mark.parametrize("how", OVERWRITES)
async def test_a_value_that_is_stored_without_tags_has_none(cache, how):
    await cache.set("a", 1, tags=["t"])
    await OVERWRITES[how](cache)
    await cache.delete_tags("t")
    assert await cache.exists("a")
    assert await cache.get_key_tags("a") == ()


async def test_a_write_that_is_refused_changes_no_tags(cache):
    await cache.set("a", 1, tags=["t"])
    assert not await cache.set("a", 2, exist=False, tags=["u"])
    assert not await cache.set("b", 2, exist=True, tags=["u"])
    assert await cache.set("a", 3, exist=True, tags=["v"])
    assert await cache.get_key_tags("a") == ("v",)
    await cache.delete_tags("t", "u")
    assert (await cache.get("a"), await cache.get("b")) == (3, None)


async def test_a_time_to_live_of_nothing_removes_a_tagged_key(cache):
    await cache.set("a", 1, tags=["t"])
    assert not await cache.set("a", 2, 0, tags=["t"])
    await cache.set("b", 1, tags=["t"])
    await cache.expire("b", 0)
    assert await cache.get_many("a", "b") == (None, None)
    assert await cache.get_key_tags("a") == ()


# --- several stores, prefixes, switches


async def test_a_tag_is_deleted_on_every_backend(cache):
    cache.setup("mem://", prefix="local:")
    await cache.set("local:a", 1, tags=["t"])
    await cache.set("b", 2, tags=["t"])
    await cache.delete_tags("t")
    assert await cache.get_many("local:a", "b") == (None, None)


async def test_applications_under_prefixes_do_not_delete_each_others_tags(subject, clock):
    """D43."""
    async with (
        subject.open(clock, middlewares=[add_prefix("A:")]) as cache,
        subject.open(clock, middlewares=[add_prefix("B:")]) as other,
    ):
        await cache.set("k", 1, tags=["t"])
        await other.set("k", 2, tags=["t"])
        assert await cache.get_key_tags("k") == ("t",)
        await cache.delete_tags("t")
        assert (await cache.get("k"), await other.get("k")) == (None, 2)
        await other.clear()
        assert await other.get("k") is None


async def test_tags_in_lower_case_are_still_found(subject, clock):
    """D43."""
    async with subject.open(clock, middlewares=[all_keys_lower()]) as cache:
        await cache.set("K", 1, tags=["Tag"])
        await cache.delete_tags("TAG")
        assert await cache.get("k") is None


async def test_switched_off_nothing_is_deleted_and_callbacks_hear_each_tag(cache):
    """Guarantees 19, 20."""
    heard = []
    await cache.set("a", 1, tags=["t"])
    with cache.disabling(Command.DELETE_TAGS, Command.GET_KEY_TAGS):
        await cache.delete_tags("t")
        assert await cache.get_key_tags("a") == ()
    with cache.callback(lambda key, result: heard.append((key, result)), Command.DELETE_TAGS):
        await cache.delete_tags("t", "u")
    assert heard == [("t", None), ("u", None)]
    assert await cache.get("a") is None


@on_memory
@pytest.mark.parametrize("tags", ["text", [1], None, [None]])
async def test_what_are_no_tags_is_an_error(cache, tags):
    with pytest.raises(WrongArgumentError, match="tags is"):
        await cache.set("a", 1, tags=tags)
    with pytest.raises(WrongArgumentError, match="tags is"):
        await cache.get_or_set("a", 1, tags=tags)
    assert await cache.get("a") is None


@on_memory
async def test_a_backend_for_tags_alone_is_checked_and_changes_nothing(cache):
    cache.setup_tags_backend("mem://?size=5")
    await cache.set("a", 1, tags=["t"])
    await cache.delete_tags("t")
    assert await cache.get("a") is None
    with pytest.raises(SettingsError, match="nonsense"):
        cache.setup_tags_backend("mem://?nonsense=5")
    assert len(inside(cache).stores) == 1


# --- against a model


KEYS, TAGS = st.sampled_from("abc"), st.lists(st.sampled_from("tuv"), max_size=3, unique=True)
TTL = st.sampled_from([None, 1, 5, 50])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, TTL, TAGS),
        st.tuples(st.just("expire"), KEYS, TTL),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("delete_many"), KEYS, KEYS),
        st.tuples(st.just("delete_match"), st.sampled_from(["*", "a*", "b"])),
        st.tuples(st.just("delete_tags"), TAGS),
        st.tuples(st.just("clear")),
        st.tuples(st.just("wait"), st.sampled_from([1, 3, 10])),
    ),
    min_size=5,
    max_size=25,
)


class Model:
    """Keys with tags and deadlines, each looked at one by one."""

    def __init__(self):
        self.now = 0
        self.keys = {}

    def live(self):
        return {key: tags for key, (tags, until) in self.keys.items() if until > self.now}

    def step(self, name, *arguments):
        self.keys = {key: kept for key, kept in self.keys.items() if kept[1] > self.now}
        getattr(self, name)(*arguments)

    def set(self, key, ttl, tags):
        self.keys[key] = (tuple(tags), self.until(ttl))

    def until(self, ttl):
        return float("inf") if ttl is None else self.now + ttl

    def expire(self, key, ttl):
        if key in self.keys:
            self.keys[key] = (self.keys[key][0], self.until(ttl))

    def delete_many(self, *keys):
        for key in keys:
            self.keys.pop(key, None)

    delete = delete_many

    def delete_match(self, pattern):
        self.delete_many(*[key for key in self.keys if pattern == "*" or key == pattern[0]])

    def delete_tags(self, tags):
        self.delete_many(*[key for key, (own, _) in self.keys.items() if set(own) & set(tags)])

    def clear(self):
        self.keys = {}

    def wait(self, seconds):
        self.now += seconds


async def do(cache, clock, name, *arguments):
    if name == "wait":
        await clock.advance(*arguments)
    elif name == "set":
        key, ttl, tags = arguments
        await cache.set(key, "value", ttl, tags=tags)
    elif name == "delete_tags":
        await cache.delete_tags(*arguments[0])
    else:
        await getattr(cache, name)(*arguments)


@given(steps=STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_done_the_live_keys_and_their_tags_are_those_of_the_model(cache: Cache, clock, steps):
    """Guarantee 18."""
    await cache.clear()
    model = Model()
    for step in steps:
        await do(cache, clock, *step)
        model.step(*step)
        assert {key: await cache.get_key_tags(key) for key in "abc" if await cache.exists(key)} == model.live()


@pytest.mark.parametrize("tag", ["\udc80", "\ufdd0", "\ufdd0dc80", "é"])
async def test_tags_are_any_text(cache, tag):
    """Also what has no form in UTF-8, as names of files may have."""
    await cache.set("k", 1, tags=[tag, "other"])
    await cache.set("another", 2, tags=["\ufdd0dc81"])
    assert sorted(await cache.get_key_tags("k")) == sorted([tag, "other"])
    await cache.delete_tags("\udc81", tag)
    assert await cache.get("k") is None
    assert await cache.get("another") == 2


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("subject", each(["mem", "redis", "disk"]), indirect=True)
async def test_a_value_may_carry_thousands_of_tags(cache, in_transaction):
    """More than the stack of a script has room for."""
    tags = [f"tag:{number}" for number in range(9_000)]
    async with cache.transaction() if in_transaction else nullcontext():
        assert await cache.set("k", 1, 60, tags=tags)
    assert await cache.get("k") == 1
    await cache.delete_tags("tag:8999")
    assert await cache.get("k") is None
