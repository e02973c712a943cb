"""Default keys: module, name and parameters, exactly as the specification shows them (guarantee 5)."""

import functools
import warnings

import pytest

from cashews.exceptions import UnstableKeyWarning
from cashews.keys.compile import default_template, get_cache_key_template
from tests.keys.keys import compile_key


async def get_name(user, *args, version="v1", **kwargs): ...


async def get_pair(a=1, b=5): ...


async def no_parameters(): ...


async def positional_only(a, /, b): ...


async def starred(*args): ...


async def keyworded(**kwargs): ...


class Client:
    def __init__(self, host):
        self._host = host

    async def get_name(self, user, version="v1"): ...

    @classmethod
    async def made(cls, user): ...


class Named(Client):
    def __str__(self):
        return self._host


def test_the_template_of_a_function_is_its_module_its_name_and_its_parameters():
    assert (
        default_template(get_name)
        == f"{__name__}.get_name:user:{{user}}:{{__args__}}:version:{{version}}:{{__kwargs__}}"
    )


def test_the_template_of_a_method_has_the_class_and_self():
    assert (
        default_template(Client.get_name)
        == f"{__name__}:Client.get_name:self:{{self}}:user:{{user}}:version:{{version}}"
    )


def test_parameters_can_be_left_out():
    assert default_template(Client.get_name, exclude={"self", "version"}) == f"{__name__}:Client.get_name:user:{{user}}"


def test_a_function_inside_of_a_function_is_no_method():
    async def inner(a): ...

    name = "test_a_function_inside_of_a_function_is_no_method.<locals>.inner"
    assert default_template(inner) == f"{__name__}.{name}:a:{{a}}"


def test_a_method_of_a_class_inside_of_a_function_is_a_method():
    class Inner:
        async def get(self): ...

    assert default_template(Inner.get).startswith(f"{__name__}:test_")
    assert default_template(Inner.get).endswith(".<locals>.Inner.get:self:{self}")


@pytest.mark.parametrize(
    ("function", "rest"),
    [(no_parameters, ""), (positional_only, ":a:{a}:b:{b}"), (starred, ":{__args__}"), (keyworded, ":{__kwargs__}")],
)
def test_every_kind_of_parameter_has_its_place(function, rest):
    assert default_template(function) == f"{__name__}.{function.__name__}{rest}"


def test_a_partial_has_the_name_and_all_parameters_of_its_function():
    assert default_template(functools.partial(get_pair, 1)) == f"{__name__}.get_pair:a:{{a}}:b:{{b}}"


def test_a_callable_object_has_the_name_of_its_class_and_its_own_text():
    class Getter:
        async def __call__(self, a): ...

    assert default_template(Getter()).endswith("<locals>.Getter:self:{self}:a:{a}")


@pytest.mark.parametrize(
    ("args", "kwargs", "rest"),
    [
        (("me",), {"version": "v2"}, "user:me::version:v2"),
        (("me",), {"version": "v1", "foo": "bar"}, "user:me::version:v1:foo:bar"),
        (("me", "opt", "attr"), {"opt": "opt", "attr": "attr"}, "user:me:opt:attr:version:v1:attr:attr:opt:opt"),
        (("me",), {}, "user:me::version:v1"),
    ],
)
def test_the_keys_of_the_specification(args, kwargs, rest):
    assert compile_key(get_name)(*args, **kwargs) == f"{__name__}.get_name:{rest}"


def test_no_args_leave_a_colon_and_no_kwargs_leave_none():
    assert compile_key(starred)() == f"{__name__}.starred:"
    assert compile_key(keyworded)() == f"{__name__}.keyworded"
    assert compile_key(keyworded)(b=1, a=2) == f"{__name__}.keyworded:a:2:b:1"


def test_positional_keyword_and_defaulted_calls_have_one_key():
    """D56: the defaults are part of the key, however the call is written."""
    key = compile_key(get_pair)
    assert key() == key(1) == key(a=1) == key(1, 5) == key(b=5, a=1) == f"{__name__}.get_pair:a:1:b:5"
    assert len({key(a=1), key(a=1, b=None), key(2)}) == 3


def test_the_text_of_an_instance_is_in_the_key():
    key = compile_key(Client.get_name)
    rest = "self:http://example.com:user:me:version:v1"
    assert key(Named(host="http://example.com"), "me") == f"{__name__}:Client.get_name:{rest}"


def test_a_memory_address_in_a_key_warns_once():
    """D59: after the object has died, its address is another object's."""

    class Nameless:
        async def get(self): ...

    key = compile_key(Nameless.get)
    with pytest.warns(UnstableKeyWarning, match=r"Nameless.*memory address.*__str__.*noself") as told:
        key(Nameless())
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert " object at 0x" in key(Nameless())


def test_a_template_needs_no_text_of_self():
    key = compile_key(Client.get_name, "{self._host}:name:{user}:{version}")
    assert key(Client(host="http://example.com"), "me") == "http://example.com:name:me:v1"


def test_noself_leaves_self_out_of_the_default_key():
    key = compile_key(Client.get_name, noself=True)
    assert key(Client("any"), "me", version="v2") == f"{__name__}:Client.get_name:user:me:version:v2"
    assert compile_key(Client.made.__func__, noself=True)(Client, "me") == f"{__name__}:Client.made:user:me"


def test_noself_is_of_one_function_and_not_of_the_next():
    """D60: what one method is compiled to changes nothing for another."""
    first, second = compile_key(Client.get_name, noself=True), compile_key(Client.made.__func__, noself=True)
    assert first(None, "me") != second(None, "me")


def test_noself_takes_nothing_from_a_function_or_a_bound_method():
    assert compile_key(get_pair, noself=True)(1) == f"{__name__}.get_pair:a:1:b:5"
    assert compile_key(Client("any").get_name, noself=True)("me").endswith("get_name:user:me:version:v1")


def test_a_prefix_stands_before_the_template():
    assert compile_key(get_pair, "pair:{a}", prefix="v2")(7) == "v2:pair:7"
    assert compile_key(get_pair, prefix="v2")(7) == f"v2:{__name__}.get_pair:a:7:b:5"


def test_the_template_of_a_decorated_function_can_be_asked_for():
    assert get_cache_key_template(get_pair) == default_template(get_pair)
    assert get_cache_key_template(get_pair, "pair:{a}", "v2") == "v2:pair:{a}"
    assert get_cache_key_template(get_pair, "") == ""
    assert "self" not in get_cache_key_template(Client.get_name, noself=True)
