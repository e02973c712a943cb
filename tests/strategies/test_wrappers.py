"""The function that users call is called as their own is, and what it serves by itself is what its strategy says."""

from __future__ import annotations

import functools
import inspect
import traceback
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import StreamingResponse

from cashews.strategies.entry import Entry, Returned
from cashews.strategies.strategies import Early, Hit, Simple, Soft
from cashews.strategies.strategy import Serve, no_chance

CALLS = [
    ((1,), {}),
    ((1, 2), {}),
    ((1,), {"b": 2}),
    ((1, 2, 3, 4), {}),
    ((1,), {"e": 5}),
    ((1, 2, 3), {"d": 4, "more": 6}),
]
DECORATORS = {
    "simple": lambda cache, **options: cache(90, **options),
    "early": lambda cache, **options: cache.early(90, **options),
    "soft": lambda cache, **options: cache.soft(90, **options),
    "hit": lambda cache, **options: cache.hit(90, 9, **options),
    "failover": lambda cache, **options: cache.failover(90, **options),
    "condition": lambda cache, **options: cache(90, condition=lambda *_, **__: True, **options),
    "ttl of the call": lambda cache, **options: cache(lambda *_, **__: 90, **options),
}
every_decorator = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


@every_decorator
@pytest.mark.parametrize(("args", "kwargs"), CALLS, ids=str)
async def test_the_function_gets_its_arguments(cache, decorate, args, kwargs):
    @decorate(cache)
    async def function(a, b=(), *rest, d=None, e=3, **more):
        return (a, b, rest, d, e, more)

    async def plain(a, b=(), *rest, d=None, e=3, **more):
        return (a, b, rest, d, e, more)

    for _ in range(3):
        assert await function(*args, **kwargs) == await plain(*args, **kwargs)
    assert function.key(*args, **kwargs) == function.key(*args, **{"d": None, "e": 3, **kwargs})


@every_decorator
async def test_parameters_may_have_any_name(cache, decorate):
    @decorate(cache, key="{key}:{_found}:{__lines}:{args}:{kwargs}")
    async def function(key, _found, __lines, args, kwargs, *, type, counts, answer):  # noqa: A002  names that the text of a wrapper has
        return [key, _found, __lines, args, kwargs, type, counts, answer]

    for _ in range(2):
        assert await function(1, 2, 3, 4, 5, type=6, counts=7, answer=8) == [1, 2, 3, 4, 5, 6, 7, 8]


@every_decorator
@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"c": 2}), ((1,), {"a": 2})], ids=str)
async def test_a_wrong_call_is_told_as_by_the_function_itself(cache, decorate, args, kwargs):
    async def pair(a, *, b=1): ...

    with pytest.raises(TypeError) as expected:
        await pair(*args, **kwargs)
    with pytest.raises(TypeError) as told:
        await decorate(cache)(pair)(*args, **kwargs)
    assert str(told.value) == str(expected.value)


@every_decorator
async def test_the_wrapper_looks_like_the_function(cache, decorate):
    async def function(a: int, /, b: str = "b", *args: int, d: float, e: object = 4, **kwargs: bytes) -> None: ...

    wrapper = decorate(cache)(function)
    assert inspect.iscoroutinefunction(wrapper)
    assert inspect.signature(wrapper) == inspect.signature(function)
    assert (wrapper.__name__, wrapper.__qualname__, wrapper.__module__, wrapper.__wrapped__) == (
        function.__name__,
        function.__qualname__,
        function.__module__,
        function,
    )


@every_decorator
async def test_one_default_object_is_handed_on(cache, decorate):
    default = object()

    @decorate(cache, key="k:{number}")
    async def function(number, *, about=default):
        return number, about is default

    assert [await function(1), await function(number=1), await function(2, about=None)] == [
        (1, True),
        (1, True),
        (2, False),
    ]


@every_decorator
async def test_a_decorator_beneath_can_tell_how_arguments_are_passed(cache, decorate):
    seen = []

    def telling(function):
        @functools.wraps(function)
        async def told(*args, **kwargs):
            seen.append((args, kwargs))
            return await function(*args, **kwargs)

        return told

    @decorate(cache, key="k:{a}:{b}")
    @telling
    async def function(a, b=2):
        return a + b

    assert [await function(1), await function(a=2), await function(3, b=4)] == [3, 4, 7]
    assert seen == [((1,), {}), ((), {"a": 2}), ((3,), {"b": 4})]


@pytest.mark.parametrize("named", [True, False], ids=["by name", "by place"])
@every_decorator
async def test_a_callable_tag_can_tell_how_arguments_are_passed(cache, decorate, named):
    """One that does not name every parameter works as long as nobody passes more."""
    tag = (lambda *, a, **_: f"a:{a}") if named else (lambda a, *_: f"a:{a}")
    runs = []

    @decorate(cache, key="k:{a}:{b}", tags=[tag])
    async def function(a, b=2):
        runs.append(a)
        return a + b

    for _ in range(2):
        assert await (function(a=1) if named else function(1)) == 3
    assert await cache.get_key_tags(function.key(1)) == ("a:1",)


@every_decorator
async def test_a_signature_that_is_not_the_function_s_own_is_not_called_by(cache, decorate):
    @decorate(cache, key="k:{a}")
    @signed("a", "b")
    async def function(**kwargs):
        return kwargs

    for _ in range(2):
        assert await function(a=1) == {"a": 1}


def signed(*names):
    """Give a function the signature of some parameters with a default."""
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=0) for name in names]

    def give(function):
        function.__signature__ = inspect.Signature(parameters)
        return function

    return give


@pytest.mark.parametrize("text", ["price$", "$args", "$kwargs", "$make_key", "$", "_", "{{$key}}", "$found\n$x"])
@pytest.mark.parametrize("place", ["template", "prefix"])
@every_decorator
async def test_a_key_may_have_any_text(cache, decorate, text, place):
    """Guarantee 5."""
    key = {"key": text + ":{x}"} if place == "template" else {"key": "{x}", "prefix": text.strip("{}")}
    runs = []

    @decorate(cache, **key)
    async def function(*, x):
        runs.append(x)
        return x

    assert [await function(x=1), await function.peek(x=1)] == [1, 1]
    assert await cache.exists(function.key(x=1))
    assert await function.invalidate(x=1)
    await function(x=1)
    assert runs == [1, 1]


async def test_a_condition_can_tell_how_arguments_are_passed(cache):
    seen = []

    def condition(_result, args, kwargs, **_):
        seen.append((args, kwargs))
        return True

    @cache(90, key="k:{a}:{b}", condition=condition)
    async def function(a, b=2):
        return a + b

    assert [await function(1), await function(a=2), await function(3, b=4)] == [3, 4, 7]
    assert seen == [((1,), {}), ((), {"a": 2}), ((3,), {"b": 4})]


@every_decorator
async def test_an_error_of_the_function_has_no_context(cache, decorate):
    class Textless: ...

    @decorate(cache)
    async def function(argument):
        raise LookupError(argument.__class__.__name__)

    for argument in (1, Textless()):
        with pytest.raises(LookupError) as caught:
            await function(argument)
        assert caught.value.__context__ is None
        assert any("calls of" in frame.filename for frame in traceback.extract_tb(caught.value.__traceback__))


# --- what is served without a judgement


def is_served(strategy, entry, now):
    """Say whether the text of the wrapper serves an entry."""
    scope = {"entry": entry, "now": lambda: now}
    exec(f"served = {strategy.freshness}", scope)
    return scope["served"]


instants = st.integers(-2, 2).map(float)
strategies = st.one_of(
    st.just(Simple()),
    st.builds(Early, beta=st.sampled_from([0.0, 1.0]), background=st.booleans()),
    st.just(Soft()),
    st.builds(Hit, cache_hits=st.integers(0, 4), update_after=st.integers(0, 4), background=st.booleans()),
)


@given(strategy=strategies, deadline=instants, now=instants, hits=st.integers(0, 6))
def test_the_wrapper_serves_only_entries_that_the_strategy_serves(strategy, deadline, now, hits):
    entry = Entry(Returned(1), deadline, 1.0, hits)
    served = strategy.judge(entry, now, no_chance) == Serve(entry.outcome)
    if is_served(strategy, entry, now):
        assert served
    elif served:
        assert strategy.serves_bare or (isinstance(strategy, Early) and strategy.beta), "only chance or type is judged"


@pytest.mark.parametrize("name", ["early", "soft"])
async def test_a_pair_with_an_instant_is_an_entry_of_cashews_7_and_not_served(cache, name):
    @DECORATORS[name](cache, key="k:{number}")
    async def function(number):
        return number

    await cache.set(function.key(1), [datetime.now(timezone.utc), 2])
    assert [await function(1), await function(1)] == [1, 1]


@pytest.mark.parametrize("name", ["early", "soft", "hit"])
async def test_a_result_that_is_read_is_replayed_for_each_call(cache, name):
    @DECORATORS[name](cache, key="k:{number}")
    async def function(number):
        async def parts():
            yield f"{number}"

        return StreamingResponse(parts())

    for _ in range(3):
        response = await function(1)
        assert [part async for part in response.body_iterator] in (["1"], [b"1"])
