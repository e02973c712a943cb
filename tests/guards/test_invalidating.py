"""`@cache.invalidate`: when the function has returned, the keys of a template are gone."""

import pytest

from cashews import Cache
from cashews.exceptions import WrongKeyError


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
