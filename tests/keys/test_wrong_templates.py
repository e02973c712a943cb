"""A wrong template fails at decoration, with the function and the field in the error (guarantee 6, D61)."""

import enum
import functools
import types
import typing
from dataclasses import dataclass

import pytest

from cashews.exceptions import CacheError, WrongKeyError
from tests.keys.keys import compile_key


class Address:
    __slots__ = ("city",)


@dataclass(frozen=True)
class Account:
    number: int
    address: Address


class User:
    id: int
    account: Account

    def __init__(self, name):
        self.name = name
        object.__setattr__(self, "nick", name)

    @property
    def main(self) -> Account:
        return Account(1, Address())

    @property
    def anything(self):
        return None

    @functools.cached_property
    def spare(self) -> Account:
        return self.main

    def load(self):
        self.loaded = True

    @functools.lru_cache  # noqa: B019  what it does is not the point
    def count(self):
        self.counted = 1

    @classmethod
    def make(cls):
        made = cls("made")
        made.official = True
        return made


class Child(User):
    def __init__(self):
        super().__init__("child")
        self.parent = None


class Open:
    def __getattr__(self, name):
        return name


class Filled:
    def __init__(self, **values):
        self.__dict__.update(values)


class Colour(enum.Enum):
    RED = 1


class Row(typing.NamedTuple):
    first: int


AnyUser = typing.TypeVar("AnyUser", bound=User)


def template_for(annotation, template):
    async def get_user(u): ...

    get_user.__annotations__["u"] = annotation
    return compile_key(get_user, template)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{userid}", "no such parameter; parameters: user_id, other"),
        ("{__args__}", "no such parameter"),
        ("{__kwargs__}", "no such parameter"),
        ("{user_id:nope}", "no function 'nope'; functions: default, get, hash, jwt, len, lower, upper"),
        ("{user_id:nope(1)}", "no function 'nope'"),
        ("{user_id:hash(sha0)}", "sha0"),
        ("{user_id:hash(shake_128)}", "hash"),
        ("{user_id:lower(1)}", "lower: too many positional arguments"),
        ("{user_id:jwt}", "jwt: missing a required argument: 'field'"),
        ("{user_id!x}", "conversion"),
        ("{user_id:{other}}", "nested"),
        ("{}", "parameter's name"),
        ("{0}", "parameter's name"),
        ("{user_id.}", "parameter's name"),
        ("{user_id[}", "'}'"),
        ("{user id}", "parameter's name"),
        ("{user_id", "'}'"),
        ("user_id}", "'}'"),
    ],
)
def test_what_fails_at_decoration(template, reason):
    async def get_user(user_id, other=1): ...

    with pytest.raises(WrongKeyError) as told:
        compile_key(get_user, template)
    assert f"{__name__}.test_what_fails_at_decoration.<locals>.get_user" in str(told.value)
    assert reason in str(told.value)
    assert template.strip("{}").rstrip("[") in str(told.value)
    assert isinstance(told.value, CacheError)


@pytest.mark.parametrize(
    ("annotation", "path", "reason"),
    [
        (User, "idd", "User has no attribute 'idd'"),
        (User, "account.numbr", "Account has no attribute 'numbr'"),
        (User, "account.address.town", "Address has no attribute 'town'"),
        (User, "spare.numbr", "Account has no attribute 'numbr'"),
        (User, "main.numbr", "Account has no attribute 'numbr'"),
        (Child, "parents", "Child has no attribute 'parents'"),
        (Row, "second", "Row has no attribute 'second'"),
        (str, "nme", "str has no attribute 'nme'"),
        ("User", "idd", "User has no attribute 'idd'"),
    ],
)
def test_an_unknown_attribute_of_an_annotated_class(annotation, path, reason):
    with pytest.raises(WrongKeyError, match=reason):
        template_for(annotation, f"user:{{u.{path}}}")


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (User, "id"),
        (User, "name"),
        (User, "nick"),
        (User, "loaded"),
        (User, "counted"),
        (User, "official"),
        (User, "anything.at.all"),
        (User, "account.address.city"),
        (User, "account[0].x"),
        (User, "__class__.__name__"),
        (Child, "name"),
        (Child, "parent.x"),
        (Row, "first"),
        (Colour, "name"),
        (Open, "what"),
        (Filled, "what"),
        (types.SimpleNamespace, "what"),
        (ValueError, "what"),
        (object, "what"),
        (typing.Any, "what"),
        (User | None, "what"),
        (AnyUser, "what"),
        (list[int], "what"),
        ("Unresolvable", "what"),
    ],
)
def test_what_may_exist_is_left_to_the_call(annotation, path):
    template_for(annotation, f"user:{{u.{path}}}")


@pytest.mark.parametrize(
    ("template", "value", "reason"),
    [
        ("{u.idd}", User("n"), "no attribute 'idd'"),
        ("{u[5]}", [1], "IndexError"),
        ("{u[a]}", {}, "KeyError"),
        ("{u[a]}", 5, "TypeError"),
        ("{u:get(a)}", {}, "KeyError"),
        ("{u:%Y}", [1], "unsupported format string"),
        ("{u:jwt(client_id)}", "no token", "no field 'client_id' in the JWT"),
        ("{u:jwt(client_id)}", "a.!!!!.c", "no field 'client_id' in the JWT"),
        ("{u:jwt(client_id)}", "a.e30.c", "no such field"),
        ("{u:jwt(client_id)}", "a.W10.c", "JSON object"),
        ("{u:jwt(client_id)}", "é.é.é", "JSON object"),
        ("{u:jwt(client_id)}", "a." + "W1tb" * 100_000 + ".c", "JSON object"),
    ],
)
def test_what_is_missing_at_a_call_is_never_an_empty_field(template, value, reason):
    key = template_for(typing.Any, f"user:{template}")
    with pytest.raises(WrongKeyError) as told:
        key(value)
    assert reason in str(told.value)
    assert "get_user" in told.value.function
    assert told.value.field == template[1:-1]


def test_a_malformed_token_is_in_no_error():
    with pytest.raises(WrongKeyError) as told:
        template_for(str, "{u:jwt(a)}")("x.c2VjcmV0.y")
    error = told.value
    while error is not None:
        assert "secret" not in str(error)
        assert "c2VjcmV0" not in str(error)
        error = error.__cause__


def test_a_name_from_kwargs_is_looked_up_at_the_call():
    async def get_user(**kwargs): ...

    key = compile_key(get_user, "user:{name}")
    assert key(name="me") == "user:me"
    with pytest.raises(WrongKeyError, match=r"field \{name\}: KeyError: 'name'"):
        key(nam="me")
