"""Results that mislead whoever looks at them: a function fails as it would without a cache (guarantee 29)."""

from types import CoroutineType, GeneratorType

import pytest
from anyio.lowlevel import checkpoint

from cashews import memory_limit, only_exceptions, with_exceptions
from cashews.exceptions import EncodeError
from cashews.strategies.entry import Entry, Raised
from tests.strategies.test_every_strategy import DECORATORS, each
from tests.subjects import on_memory

CLASSES = {each.__name__: each for each in (Entry, Raised, ValueError, GeneratorType, CoroutineType, int)}
CLAIMS = [*CLASSES, "none"]
SERVING = ["simple", "early", "soft", "hit"]
"""The decorators that serve the second call without another run."""
CONDITIONS = {"none": None, "not_none": "not_none", "with_exceptions": with_exceptions()}


class Pretends:
    """An object that claims to be of another class, or fails when it is asked for its class."""

    def __init__(self, claims):
        self.claims = claims

    @property
    def __class__(self):
        return CLASSES[self.claims]

    def __reduce__(self):
        return Pretends, (self.claims,)


class NoHash(type):
    __hash__ = None  # type: ignore[assignment]  # the subject


class OfNoHash(metaclass=NoHash):
    def __deepcopy__(self, memo):
        return self


class Mute:
    """An object that fails whatever it is asked."""

    def __repr__(self):
        raise RuntimeError

    def __eq__(self, other):
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]  # the subject
    __str__ = __bool__ = __len__ = __iter__ = __sizeof__ = __repr__


def giving(value):
    """Return a function that returns the value, and the list of its runs."""
    runs = []

    async def function():
        runs.append(1)
        await checkpoint()
        return value

    return function, runs


@each(*SERVING)
@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("claims", CLAIMS)
async def test_a_result_that_pretends_to_be_of_another_class_is_a_result(cache, decorate, claims, condition):
    function, runs = giving(Pretends(claims))
    cached = decorate(cache, condition=condition)(function)
    for _ in range(2):
        found = await cached()
        assert type(found) is Pretends
        assert found.claims == claims
    assert type(await cached.peek()) is Pretends
    assert repr(await cached.explain())
    assert len(runs) == 1
    assert cache.statistics().uncached == {}


@pytest.mark.parametrize("claims", CLAIMS)
async def test_a_result_that_pretends_stands_in_for_an_exception(cache, claims):
    function, _ = giving(Pretends(claims))
    failing = False

    @cache.failover(90, key="k")
    async def cached():
        if failing:
            raise LookupError
        return await function()

    await cached()
    failing = True
    assert type(await cached()) is Pretends


async def test_a_result_that_pretends_to_be_an_exception_is_none(cache):
    function, runs = giving(Pretends("ValueError"))
    cached = cache(90, key="k", condition=only_exceptions())(function)
    assert [type(await cached()) for _ in range(2)] == [Pretends] * 2
    assert len(runs) == 2


@pytest.mark.parametrize("claims", CLAIMS)
async def test_values_that_pretend_go_through_iterators_and_defaults_and_many(cache, claims):
    value = Pretends(claims)

    @cache.iterator(90, key="run")
    async def items():
        yield value
        yield value

    @cache.many(90, key="one:{ids}")
    async def load(ids):
        return dict.fromkeys(ids, value)

    for _ in range(2):
        assert [type(item) async for item in items()] == [Pretends] * 2
        assert type(await cache.get_or_set("default", value)) is Pretends
        assert type(await cache.get_or_set("call", lambda: value)) is Pretends
        assert [type(each) for each in (await load([1, 2])).values()] == [Pretends] * 2
    assert cache.statistics().uncached == {}


@each(*DECORATORS)
async def test_a_result_whose_class_has_no_hash_is_returned_and_not_stored(cache, decorate):
    """As no codec can write it; alike on all stores."""
    function, runs = giving(OfNoHash())
    cached = decorate(cache)(function)
    assert [type(await cached()) for _ in range(2)] == [OfNoHash] * 2
    assert len(runs) == 2
    assert sum(cache.statistics().uncached.values()) == 2
    assert await cache.get_keys_count() == 0


async def test_a_default_whose_class_has_no_hash_is_refused(cache):
    """By `get_or_set`, which is a command."""
    with pytest.raises(EncodeError, match="OfNoHash"):
        await cache.get_or_set("k", OfNoHash())
    assert not await cache.exists("k")


@on_memory
@each(*SERVING)
async def test_a_result_that_fails_when_it_is_asked_is_stored(cache, decorate):
    function, runs = giving(Mute())
    cached = decorate(cache)(function)
    assert [type(await cached()) for _ in range(2)] == [Mute] * 2
    assert len(runs) == 1


@each(*DECORATORS)
async def test_a_result_that_fails_when_it_is_asked_is_returned(cache, decorate):
    """Where values are encoded it counts as one that its class has outgrown, since it has no `repr()`."""
    function, _ = giving(Mute())
    cached = decorate(cache, tags=["t"], condition="not_none")(function)
    assert [type(await cached()) for _ in range(2)] == [Mute] * 2
    assert type(await cached.refresh()) is Mute


@pytest.mark.parametrize("claims", CLAIMS)
async def test_what_looks_at_values_is_not_misled(subject, clock, claims):
    """A middleware that weighs them, and a listener that is told of what was stored."""
    async with subject.open(clock, middlewares=[memory_limit(0, 10_000)]) as cache:
        function, runs = giving(Pretends(claims))
        cached = cache(90, key="k")(function)
        with cache.detect as detector:
            assert [type(await cached()) for _ in range(2)] == [Pretends] * 2
        assert list(detector.calls) == ["k"]
        assert len(runs) == 1
