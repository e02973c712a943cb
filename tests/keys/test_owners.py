"""Default keys of functions that bring arguments along, and of functions with one name (guarantee 5)."""

import functools
import gc
import warnings

import pytest

from cashews import Cache, noself
from cashews.exceptions import SharedKeyError, SharedKeyWarning, WrongKeyError
from cashews.keys.compile import default_template
from cashews.keys.names import Claims
from tests.keys.keys import compile_key


async def pair(a, b=5): ...


async def starred(*args, **kwargs): ...


class Client:
    def __init__(self, host):
        self.host = host

    def __str__(self):
        return self.host

    async def get(self, user): ...

    @classmethod
    async def made(cls, user): ...

    async def __call__(self, user): ...


class Special(Client):
    async def get(self, user):
        return await super().get(user)


class Textless:
    async def get(self, user=1): ...


@pytest.fixture
def cache():
    return Cache()


# --- arguments that a function brings along


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "same"),
    [
        (functools.partial(pair, 1), (2,), {}, (1, 2)),
        (functools.partial(pair, 1), (), {}, (1,)),
        (functools.partial(pair, b=2), (1,), {}, (1, 2)),
        (functools.partial(pair, b=2), (1,), {"b": 3}, (1, 3)),
        (functools.partial(functools.partial(pair, 1), 2), (), {}, (1, 2)),
    ],
)
def test_a_partial_has_the_keys_of_its_function(function, args, kwargs, same):
    assert compile_key(function)(*args, **kwargs) == compile_key(pair)(*same)


def test_the_further_arguments_of_a_partial_are_part_of_the_key():
    whole, part = compile_key(starred), compile_key(functools.partial(starred, 1, 2, x=3))
    assert part() == whole(1, 2, x=3)
    assert part(4, y=5) == whole(1, 2, 4, x=3, y=5)
    assert part(x=6) == whole(1, 2, x=6)
    assert compile_key(functools.partial(starred, 1, x=3), "{x}-{args[0]}")() == "3-1"


def test_the_arguments_of_a_partial_can_be_named_in_a_template():
    assert compile_key(functools.partial(pair, 1), "{a}:{b}")(2) == "1:2"


def test_a_bound_method_has_the_key_of_the_method():
    for name in ("a", "b"):
        assert compile_key(Client(name).get)(1) == compile_key(Client.get)(Client(name), 1)
        assert compile_key(functools.partial(Client(name).get, 1))() == compile_key(Client.get)(Client(name), 1)
    assert compile_key(Client.made)(1) != compile_key(Special.made)(1)


def test_a_callable_object_has_its_text_in_the_key():
    key = compile_key(Client("a"))
    assert key(1) == f"{__name__}.Client:self:a:user:1" != compile_key(Client("b"))(1)


def test_an_object_that_stands_for_a_function_has_that_function_s_key():
    class Retried:
        def __init__(self, function):
            functools.update_wrapper(self, function)

        async def __call__(self, *args, **kwargs): ...

    assert compile_key(Retried(pair))(1, 2) == compile_key(pair)(1, 2)


# --- noself


def test_noself_names_the_class_of_another_object():
    key = compile_key(Client.get, noself=True)
    assert key(Client("a"), 1) == f"{__name__}:Client.get:user:1"
    assert key(Special("a"), 1) == f"{__name__}:Client.get:{__name__}.Special:user:1"
    assert key(Special("a"), 1) != compile_key(Special.get, noself=True)(Special("a"), 1)
    made = compile_key(Client.made.__func__, noself=True)
    assert made(Client, 1) == f"{__name__}:Client.made:user:1" != made(Special, 1)
    assert compile_key(Special("a").made, noself=True)(1) == made(Special, 1)


def test_noself_contradicts_a_template_with_self():
    with pytest.raises(WrongKeyError, match="names 'self', which noself leaves out"):
        compile_key(Client.get, "{self.host}:{user}", noself=True)
    assert compile_key(Client.get, "{user}", noself=True)(None, 1) == "1"


# --- templates of strict keys


@pytest.mark.parametrize(
    ("function", "template", "left_out"),
    [
        (pair, "{a}", "b"),
        (pair, "k", "a, b"),
        (Client.get, "{user}", "self"),
        (starred, "{args}", "kwargs"),
        (starred, "{__kwargs__}:{x}", "args"),
    ],
)
def test_a_template_of_strict_keys_names_every_parameter(cache, function, template, left_out):
    strict = Cache(strict_keys=True)
    for decorate in (strict, strict.early):
        with pytest.raises(WrongKeyError, match=f"leaves out {left_out};"):
            decorate("1m", key=template)(function)
    strict.locked(key=template)(function)
    cache("1m", key=template)(function)


def test_a_template_of_strict_keys_may_name_a_parameter_in_any_way():
    strict = Cache(strict_keys=True)
    strict("1m", key="{a.real}:{a:get({b})}")(pair)
    strict("1m", key="{__args__}:{__kwargs__}")(starred)
    strict("1m", key="{args}:{kwargs}")(starred)
    noself(strict)("1m", key="{user}")(Client.get)


# --- two functions of one name


def made(value, other=None):
    async def load(x):
        return value, other, x

    return load


def first():
    async def load(x):
        return 1, x

    async def other(x):
        return 2, x

    other.__qualname__ = load.__qualname__
    return load, other


def told(cache, *functions, decorate=None):
    decorate = decorate or (lambda: cache("1m"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for function in functions:
            decorate()(function)
            gc.collect()
    assert all(one.category is SharedKeyWarning for one in caught)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    "functions",
    [first(), (made(1), made(2)), (made([]), made([])), (made(1), made(True))],
)
def test_a_second_function_of_a_default_key_is_told_of_with_both_places(cache, functions):
    one, two = functions
    (sentence,) = told(cache, one, two, two, one)
    for function in functions:
        code = function.__code__
        assert f"{code.co_filename}:{code.co_firstlineno}" in sentence
    strict = Cache(strict_keys=True)
    strict("1m")(one)
    with pytest.raises(SharedKeyError):
        strict("1m")(two)


@pytest.mark.parametrize(
    "functions",
    [
        (pair, pair, functools.partial(pair, 1), functools.partial(pair, 2)),
        (made(1), made(1), made(1, None)),
        (Client("a").get, Client("b").get, Client.get),
        (Client("a"), Client("b")),
        [made([])] * 2,
        (Textless().get, Textless().get),
    ],
)
def test_functions_that_are_one_are_not_told_of(cache, functions):
    assert told(cache, *functions) == []


def test_functions_with_keys_or_caches_of_their_own_are_not_told_of(cache):
    keyed = iter(["{x}", "{x}"])
    assert told(cache, made(1), made(2), decorate=lambda: cache("1m", key=next(keyed))) == []
    prefixes = iter(["a", "b"])
    assert told(cache, made(1), made(2), decorate=lambda: cache("1m", prefix=next(prefixes))) == []
    assert told(cache, made(1), decorate=lambda: cache("1m")) == []
    assert told(Cache(), made(2), decorate=lambda: Cache()("1m")) == []
    assert told(cache, made(1), decorate=cache.locked) == []


GUARDS = {
    "locked": lambda cache: cache.locked(),
    "rate_limit": lambda cache: cache.rate_limit(5, 60),
    "circuit_breaker": lambda cache: cache.circuit_breaker(5, 60, 60),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_guards_leave_out_an_object_without_a_text_and_tell_of_a_second(cache, guard):
    one, two = Textless(), Textless()
    decorate = functools.partial(guard, cache)
    assert told(cache, one.get, one.get, decorate=decorate) == []
    assert len(told(cache, two.get, decorate=decorate)) == 1
    assert told(cache, one.get, two.get, decorate=decorate) == []
    assert "self" not in guard(cache)(one.get).key()


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_guards_of_bound_methods_and_partials_are_those_of_their_objects(cache, guard):
    keys = {guard(cache)(function).key() for function in (functools.partial(pair, 1), functools.partial(pair, 2))}
    assert len(keys) == 2
    assert guard(cache)(Client("a").get).key(1) != guard(cache)(Client("b").get).key(1)


def test_claims_are_bounded(monkeypatch):
    claims = Claims()
    monkeypatch.setattr(Claims, "MOST", 10)
    for number in range(100):
        assert claims.rival(f"{number}", pair) is None
    assert claims.rival("99", made(1))
    assert claims.rival("0", made(1)) is None


def test_default_templates_are_those_of_the_specification():
    assert default_template(Client.get) == f"{__name__}:Client.get:self:{{self}}:user:{{user}}"
