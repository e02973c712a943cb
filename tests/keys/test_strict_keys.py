"""Strict keys: different arguments have different keys (guarantee 5, D57 and D58)."""

import itertools
import math
from collections import OrderedDict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache
from cashews.exceptions import CacheError, UnstableKeyError, WrongKeyError
from cashews.keys.formatter import Formatter, default_formatter
from tests.keys.keys import compile_key

texts = st.text(alphabet="ab1:;,=()*%'\"{} \né", max_size=5) | st.sampled_from(["str()", "int(1)", "true", "None"])
scalars = st.none() | st.booleans() | st.integers(-12, 12) | st.sampled_from([0.5, 1.0, -0.0, Decimal(1)]) | texts
hashables = st.recursive(
    scalars | st.binary(max_size=2),
    lambda inner: st.tuples(inner) | st.tuples(inner, inner) | st.frozensets(inner, max_size=2),
    max_leaves=4,
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(hashables, inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.sets(hashables, max_size=2)
    ),
    max_leaves=6,
)


def identity(value):
    """Return something equal for values that are the same in type and content, and only for these."""
    kind = type(value)
    if isinstance(value, dict):
        return kind, frozenset((identity(key), identity(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(identity, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(identity, value))
    return kind, repr(value)


async def three(a, b="b", *args, c=None, **kwargs): ...


TEMPLATES = (
    None,
    "{a}:{b}:{__args__}:{c}:{__kwargs__}",
    "{a}{b}-{__args__}1{c};{__kwargs__}",
    "{__kwargs__}{c}{a}{b}{__args__}",
)


@given(values, values)
def test_different_values_have_different_texts(one, other):
    text = default_formatter.strict_text
    assert (text(one) == text(other)) == (identity(one) == identity(other))


@pytest.mark.parametrize("template", TEMPLATES)
def test_different_calls_have_different_keys(template):
    key = compile_key(three, template, strict=True)
    keywords = st.dictionaries(st.sampled_from(["d", "e"]), values, max_size=2)
    calls = st.tuples(values, values, st.lists(values, max_size=2), values, keywords)

    @given(calls, calls)
    def holds(one, other):
        one_key, other_key = (key(a, b, *args, c=c, **kwargs) for a, b, args, c, kwargs in (one, other))
        assert (one_key == other_key) == (identity(one) == identity(other))

    holds()


def test_what_ordinary_keys_confuse_is_told_apart():
    confused = [
        *(1, "1", True, "true", 1.0, Decimal(1), b"1", None, "", b"", [], (), {}, set(), frozenset()),
        *([1, 2], (1, 2), "1:2", ["1:2"], [[1], 2], [[1, 2]], {1: 2}, {1, 2}, b"zz", "zz", [""], ["", ""], [None]),
        *({"a": {"b": 1}}, {"a:b": 1}, {"a": "b:1"}, OrderedDict(a=1), {"a": 1}, math.inf, "inf", "*", "%2A"),
    ]
    texts = list(map(default_formatter.strict_text, confused))
    for one, other in itertools.combinations(texts, 2):
        assert one != other


def test_a_delimiter_in_a_value_is_no_delimiter_of_the_key():
    """D57: one tenant cannot write another tenant's key."""

    async def get(tenant, name): ...

    key = compile_key(get, "tenant:{tenant}:doc:{name}", strict=True)
    assert key("x", "y:doc:z") == "tenant:x:doc:y%3Adoc%3Az"
    assert key("x", "y:doc:z") != key("x:doc:y", "z")


def test_strict_keys_stay_readable():
    assert compile_key(three, "k:{a}:{b}:{__args__}:{c}:{__kwargs__}", strict=True)(7, d=[1, ""]) == (
        "k:int(7):b:tuple():NoneType():dict(d=list(int(1),str()))"
    )
    assert compile_key(three, "k:{a}:{__kwargs__}", strict=True)("me") == "k:me"


def test_what_functions_return_is_escaped_and_the_hash_tells_types_apart():
    async def get(x): ...

    assert compile_key(get, "{x:lower}", strict=True)("A:B") == "a%3Ab"
    assert compile_key(get, "{x!r}", strict=True)("A") == "'A'"
    key = compile_key(get, "{x:hash}", strict=True)
    assert len({key(1), key("1"), key([1]), key(["1"]), key(b"1")}) == 5


def test_an_object_that_is_only_an_address_is_refused():
    async def get(x, y=None): ...

    with pytest.raises(UnstableKeyError, match="the text of object") as told:
        compile_key(get, strict=True)(object())
    assert isinstance(told.value, CacheError)
    with pytest.raises(UnstableKeyError):
        compile_key(get, strict=True)([{1: object()}])
    with pytest.raises(UnstableKeyError):
        compile_key(get, strict=True)(lambda: None)
    with pytest.raises(WrongKeyError, match="memory address"):
        compile_key(get, "{x:hash}", strict=True)(object())


def test_registered_texts_and_functions_hold_for_strict_keys_too():
    class Point:
        pass

    async def get(x): ...

    formatter = Formatter()
    formatter.type_format(Point)(lambda _: "1:2")
    formatter.register("first")(lambda text: text[0])
    name = f"{__name__}.{Point.__qualname__}"
    assert compile_key(get, "{x}", strict=True, formatter=formatter)(Point()) == f"{name}(1%3A2)"
    assert compile_key(get, "{x:first}", strict=True, formatter=formatter)(":a") == "%3A"


# --- removing the values of strict keys


async def removed(key, template, *args, args_map=None, defaults=None):
    """Say whether a call of a function that invalidates a template removes the value of the call `get(1, "a:b")`."""
    async with Cache.open("mem://", strict_keys=True) as cache:
        runs = []

        @cache("1m", key=key)
        async def get(x, y):
            runs.append((x, y))

        @cache.invalidate(template, args_map=args_map, defaults=defaults)
        async def update(x, y="a:b"): ...

        await get(1, "a:b")
        await update(*args)
        await get(1, "a:b")
        return len(runs) == 2


@pytest.mark.parametrize("key", ["k:{x}:{y}", "k-{x}-{y}-", "{x}{y}k", "{y}:{x}"])
async def test_a_template_removes_the_values_of_strict_keys(key):
    assert await removed(key, key, 1)
    assert not await removed(key, key, "1")
    assert not await removed(key, key, 1, "a")
    other = key.replace("{x}", "{z}")
    assert await removed(key, other, "no", args_map={"y": "y"}, defaults={"z": 1})
    assert not await removed(key, other, "no", args_map={"y": "y"}, defaults={"z": "1"})
    assert await removed(key, other, 1, args_map={"z": "x"})
    assert await removed(key, key.replace("{y}", "*"), 1)
    assert not await removed(key, key.replace("{y}", "*"), "1")
