"""Which tags a decorated function's values and registered keys carry."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cashews import Cache, key_context, noself, with_exceptions
from cashews.exceptions import WrongArgumentError, WrongKeyError, WrongTagError
from cashews.testing.clock import VirtualClock
from tests.internals import inside


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", clock=clock) as cache:
        yield cache


@dataclass
class User:
    id: int
    name: str = "Ann"


async def test_tags_are_templates_over_the_arguments(cache):
    """The specification's example."""

    @cache(ttl="1h", key="items:{page}", tags=["items", "page:{page}"])
    async def items(page=1):
        return [page]

    await items()
    await items(2)
    assert await cache.get_key_tags("items:1") == ("items", "page:1")
    await cache.delete_tags("page:1")
    assert (await items.peek(), await items.peek(2)) == (None, [2])
    await cache.delete_tags("items")
    assert await items.peek(2) is None


async def test_tags_are_templates_over_the_result_and_callables(cache):
    @cache(
        "1h", key="u:{name}", tags=["user:{result.id}", "{name:lower}", lambda result, name: [f"{name}:{result.id}"]]
    )
    async def user(name) -> User:
        return User(7, name)

    await user("Ann")
    assert await cache.get_key_tags("u:Ann") == ("ann", "user:7", "Ann:7")


async def test_a_callable_alone_gives_any_number_of_tags(cache):
    @cache("1h", key="users", tags=lambda result: [f"user:{user.id}" for user in result])
    async def users() -> list[User]:
        return [User(1), User(2), User(1)]

    await users()
    assert await cache.get_key_tags("users") == ("user:1", "user:2")


async def test_a_parameter_named_result_is_a_parameter(cache):
    @cache("1h", key="k:{result}", tags=["t:{result}"])
    async def function(result):
        return result * 2

    await function(4)
    assert await cache.get_key_tags("k:4") == ("t:4",)


async def test_a_callable_is_given_the_result_if_it_has_a_parameter_of_that_name(cache):
    def by_arguments(*args, **kwargs):
        return [f"{args}{kwargs}"]

    def by_name(name, *, result):
        return [f"{name} is {result}"]

    @cache("1h", key="k:{name}", tags=[by_arguments, by_name, lambda result, name: [f"{result}={name}"], str.split])
    async def function(name):  # noqa: ARG001  it makes the key
        return 7

    await function("ann")
    assert await cache.get_key_tags("k:ann") == ("('ann',){}", "ann", "ann is 7", "7=ann")


async def test_a_parameter_named_result_is_a_parameter_to_callables_too(cache):
    @cache("1h", key="k:{result}", tags=lambda result: [f"t:{result}"])
    async def function(result):
        return result * 2

    await function(4)
    assert await cache.get_key_tags("k:4") == ("t:4",)


async def test_values_of_the_context_and_of_a_method_make_tags(cache):
    class Users:
        @noself(cache)("1h", key="k:{n}", tags=["n:{n}", "tenant:{@:get(tenant)}", "r:{result}"])
        async def get(self, n, /, *rest, **more):
            return n

    with key_context(tenant="T"):
        await Users().get(1, 2, x=3)
    assert await cache.get_key_tags("k:1") == ("n:1", "tenant:T", "r:1")


async def test_arguments_make_tags_as_they_are_when_the_call_begins(cache):
    @cache("1h", key="k", tags=["first:{items[0]}"])
    async def function(items):
        items[0] = "changed"

    await function(["first"])
    assert await cache.get_key_tags("k") == ("first:first",)


async def test_a_remembered_exception_has_no_tags_of_a_result(cache):
    @cache("1h", key="k", condition=with_exceptions(KeyError), tags=["t", "user:{result.id}"])
    async def function() -> User:
        raise KeyError

    with pytest.raises(KeyError):
        await function()
    assert await cache.get_key_tags("k") == ("t",)


@pytest.mark.parametrize("tag", ["{unknown}", "{n.nothing}", "{result.nothing}", "{n:nothing}", "{n"])
async def test_a_wrong_template_fails_at_decoration(cache, tag):
    """Guarantee 6; D64."""
    with pytest.raises(WrongKeyError, match=r"n"):

        @cache("1h", tags=[tag])
        async def function(n: int) -> User:
            return User(n)


@pytest.mark.parametrize("tags", ["text", 5, [5], None, [None]])
async def test_what_are_no_tags_fails_at_decoration(cache, tags):
    with pytest.raises(WrongArgumentError, match="tags is"):
        cache("1h", tags=tags)
    with pytest.raises(WrongArgumentError, match="tags is"):
        cache.iterator("1h", tags=tags)


async def test_a_callable_that_returns_no_tags_costs_the_call_its_caching(cache, caplog):
    """Guarantee 29."""

    @cache("1h", key="k", tags=[lambda result: [result]])
    async def function():
        return 5

    assert await function() == 5
    assert not await cache.exists("k")
    assert "tags is 5" in caplog.text


async def test_a_template_with_a_field_used_twice_is_no_error(cache):
    """D64."""

    @cache("1h", key="k:{x[0]}:{x[name]}:{x[0]}", tags=["t:{x[0]}:{x[0]}:{x[name]}"])
    async def function(x):
        return x

    await function({0: "a", "name": "b"})
    assert await cache.get_key_tags("k:a:b:a") == ("t:a:a:b",)


async def test_calls_register_nothing(cache):
    """D6."""

    @cache("1h", key="k:{n}", upper=True, tags=["t:{n}"])
    async def function(n):
        return n

    for n in range(500):
        await function(n)
    assert inside(cache).tag_rules == 0


# --- registered tags


async def test_keys_carry_the_tags_that_were_registered_for_them(cache):
    """The specification's example."""
    cache.register_tag("my_tag", key_template="key{i}")
    cache.register_tag("my_tag", key_template="key{i}")
    assert inside(cache).tag_rules == 1
    await cache.set("key1", "value", expire="1d", tags=["my_tag"])
    await cache.set("key2", "value", tags=["other"])
    await cache.set_many({"key3": 3, "another": 4})
    await cache.get_or_set("key4", 4)
    assert await cache.get_key_tags("key1") == ("my_tag",)
    assert await cache.get_key_tags("key2") == ("my_tag", "other")
    await cache.delete_tags("my_tag")
    assert [key async for key in cache.scan("*")] == ["another"]


@pytest.mark.parametrize(
    ("tag", "template", "key", "expected"),
    [
        ("tag:{x}", "k:{x}:{y}", "k:a:b:c", "tag:a"),
        ("tag:{y}", "k:{x}:{y}", "k:a:b:c", "tag:b:c"),
        ("tag", "k:{x}:{y}", "k:a", None),
        ("tag", "k", "k", "tag"),
        ("tag", "k", "kk", None),
        ("{x}", "{x}:end", "a:b:end", "a:b"),
        ("{x}", "{x}:end", "a:ending", None),
        ("{x}", "{x}:{x}", "a:a", "a"),
        ("{x}", "{x}:{x}", "a:b", None),
        ("{x}", "{x}", "", ""),
        ("{x}-{y}", "{x}.{y}!", "1.2!", "1-2"),
        ("t", "aa{x}aa", "aaa", None),
    ],
)
async def test_a_field_is_the_shortest_text_that_fits(cache, tag, template, key, expected):
    """D67."""
    cache.register_tag(tag, template)
    assert inside(cache).tags_of(key) == (() if expected is None else (expected,))


async def test_a_tag_with_a_field_that_the_key_has_not_is_an_error(cache):
    with pytest.raises(WrongTagError, match="no such field"):
        cache.register_tag("tag:{z}", "key{i}")
    with pytest.raises(WrongTagError, match="before"):
        cache.register_tag("tag", "{a}{b}")
    with pytest.raises(WrongKeyError):
        cache.register_tag("tag", "key{")
