"""`@cache.invalidate`: when the function has returned, the keys of a template are gone."""

import pytest

from cashews import Cache, noself
from cashews.exceptions import WrongArgumentError, WrongKeyError


async def keys(cache):
    return sorted([key async for key in cache.scan("*")])


@pytest.fixture
async def filled(cache):
    await cache.set_many({f"user:{user}:{kind}": 1 for user in ("ann", "bob") for kind in ("name", "age")})
    return cache


async def test_a_field_is_filled_with_the_argument(filled):
    @filled.invalidate("user:{user}:name")
    async def rename(user):
        return user

    assert await rename("ann") == "ann"
    assert await keys(filled) == ["user:ann:age", "user:bob:age", "user:bob:name"]


async def test_a_star_of_the_template_matches_any_text(filled):
    @filled.invalidate("user:{user}:*")
    async def forget(user):
        pass

    await forget("ann")
    assert await keys(filled) == ["user:bob:age", "user:bob:name"]


@pytest.mark.parametrize("user", ["*", "a*", "ann*"])
async def test_a_star_in_an_argument_is_only_that_character(filled, user):
    """Guarantee 4."""

    @filled.invalidate("user:{user}:*")
    async def forget(user):
        pass

    await forget(user)
    assert len(await keys(filled)) == 4


async def test_a_parameter_may_stand_for_a_field_of_another_name(filled):
    @filled.invalidate("user:{user}:{kind}", args_map={"user": "login"}, defaults={"kind": "age"})
    async def forget(login):
        pass

    await forget("bob")
    assert await keys(filled) == ["user:ann:age", "user:ann:name", "user:bob:name"]


async def test_a_mapped_parameter_goes_before_a_default(filled):
    @filled.invalidate("user:{user}:name", args_map={"user": "login"}, defaults={"user": "ann"})
    async def forget(login):
        pass

    await forget("bob")
    assert await keys(filled) == ["user:ann:age", "user:ann:name", "user:bob:age"]


async def test_a_default_is_text_and_no_template(cache):
    await cache.set_many({"user:{login}": 1, "user:bob": 1})

    @cache.invalidate("user:{user}", defaults={"user": "{login}"})
    async def forget(login):
        pass

    await forget("bob")
    assert await keys(cache) == ["user:bob"]


async def test_a_function_that_fails_removes_nothing(filled):
    @filled.invalidate("user:{user}:name")
    async def fail(user):
        raise LookupError(user)

    with pytest.raises(LookupError):
        await fail("ann")
    assert len(await keys(filled)) == 4


def test_a_field_that_nothing_stands_for_is_an_error_at_decoration():
    """Guarantee 6."""

    async def function(user):
        pass

    with pytest.raises(WrongKeyError, match=r"nobody.*may also be in args_map or defaults"):
        Cache().invalidate("user:{nobody}")(function)


CACHING = {
    "simple": lambda cache, **more: cache("1h", **more),
    "early": lambda cache, **more: cache.early("1h", **more),
    "hit": lambda cache, **more: cache.hit("1h", 5, **more),
    "failover": lambda cache, **more: cache.failover("1h", **more),
}


@pytest.mark.parametrize("key", [None, "user:{user}:{page}", "*:{page}:{user:lower}"])
@pytest.mark.parametrize("decorate", CACHING.values(), ids=CACHING)
async def test_a_cached_function_stands_for_its_keys(cache, decorate, key):
    """The prefix of its strategy is part of them, and a star in its template is that character."""

    @decorate(cache, key=key)
    async def load(user, page=1):
        return user, page

    @cache.invalidate(load, args_map={"user": "name"}, defaults={"page": 2})
    async def rename(name):
        return name

    for user, page in (("ann", 1), ("ann", 2), ("bob", 2)):
        await load(user, page)
    await cache.set("any:2:ann", 1)
    await rename("ann")
    assert [await load.peek(*call) for call in (("ann", 1), ("ann", 2), ("bob", 2))] == [("ann", 1), None, ("bob", 2)]
    assert await cache.exists("any:2:ann")


async def test_a_cached_iterator_and_a_cached_method_stand_for_their_keys(cache):
    class Users:
        def __str__(self):
            return "users"

        @cache("1h")
        async def get(self, user):
            return user

        @cache.invalidate(get)
        async def rename(self, user):
            pass

    @cache.iterator("1h", key="pages:{user}")
    async def pages(user):
        yield user

    users = Users()
    await users.get("ann")
    assert [page async for page in pages("ann")] == ["ann"]
    await cache.invalidate(pages)(users.rename)("ann")
    assert await users.get.peek("ann") is None
    assert [key async for key in cache.scan("*")] == []
    renames = cache.invalidate(users.get, defaults={"self": users})

    @renames
    async def rename(user):
        pass

    await users.get("ann")
    await rename("ann")
    assert await users.get.peek("ann") is None


async def test_a_cached_function_whose_parameters_have_no_counterpart_is_refused(cache):
    @cache("1h")
    async def load(user, page=1):
        return user, page

    with pytest.raises(WrongKeyError, match="page"):

        @cache.invalidate(load)
        async def rename(user):
            pass


def test_what_stands_for_no_keys_is_refused():
    cache = Cache()

    class Users:
        @noself(cache)("1h")
        async def get(self, user):
            return user

    for wrong in (Users.get, Users, len, None):
        with pytest.raises(WrongArgumentError, match=r"key_template is .*; allowed: text, or a cached function"):
            cache.invalidate(wrong)
