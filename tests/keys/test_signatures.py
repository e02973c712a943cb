"""A key function is called just as the function that it makes keys for."""

import functools
import inspect

import pytest

from tests.keys.keys import compile_key


async def get_name(user, /, *args, version="v1", **kwargs): ...


def test_parameters_may_have_any_name():
    """D62: no name is reserved, not even those that the generated source might want."""
    names = "template ttl result with_callable key text repr getattr failures _text __text _error self f _1 format"

    async def function(template, ttl, result, with_callable, _text, __text, _error, self, _1, format=1): ...  # noqa: A002, PLR0917

    key = compile_key(function, "{template}{ttl!r}{_1.real}{format}{__text}{self:hash}{_error:>3}")
    assert key(*range(9)).startswith("01815")
    assert compile_key(function)(*range(9)).endswith("_text:4:__text:5:_error:6:self:7:_1:8:format:1")
    async_source = f"async def named({', '.join(names.split())}): ..."
    scope = {"__name__": "made"}
    exec(async_source, scope)
    assert compile_key(scope["named"], "{text}{getattr.real}{_1!r}")(*range(16)) == "5714"


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"get_name\(\) missing 1 required positional argument: 'user'"),
        ((), {"user": 1}, r"get_name\(\) missing 1 required positional argument: 'user'"),
    ],
)
def test_a_wrong_call_is_told_as_by_the_function_itself(args, kwargs, message):
    with pytest.raises(TypeError, match=message):
        compile_key(get_name)(*args, **kwargs)


def test_a_wrong_call_names_the_qualified_function():
    async def pair(a, *, b=1): ...

    for args, kwargs in (((), {}), ((1, 2), {}), ((1,), {"c": 2}), ((1,), {"a": 2})):
        with pytest.raises(TypeError) as expected:
            pair(*args, **kwargs)
        with pytest.raises(TypeError) as told:
            compile_key(pair)(*args, **kwargs)
        assert str(told.value) == str(expected.value)


def test_the_signature_is_the_function_s_own():
    async def function(a, /, b, c=2, *args, d, e=4, **kwargs): ...

    assert inspect.signature(compile_key(function, "x")) == inspect.signature(function)


def test_a_decorated_function_has_the_signature_of_what_it_wraps():
    @functools.wraps(get_name)
    async def wrapper(*args, **kwargs): ...

    assert compile_key(wrapper)("me") == compile_key(get_name)("me")


def test_a_partial_keeps_its_keyword():
    async def pair(a, b): ...

    key = compile_key(functools.partial(pair, b=2), "{a}{b}")
    assert key(1) == "12"
    assert key(1, b=3) == "13"


def test_annotations_need_not_exist():
    async def function(a: "Missing", b: "list[Missing]" = None): ...  # noqa: F821, RUF013

    assert compile_key(function, "{a.x}{b}")(type("Row", (), {"x": 1})) == "1"


def test_a_bound_method_is_called_without_self():
    class Client:
        def __str__(self):
            return "me"

        async def get(self, a): ...

    name = "test_a_bound_method_is_called_without_self.<locals>.Client.get"
    assert compile_key(Client().get)(1).endswith(f":{name}:self:me:a:1")
