"""A cached function fails only as the function itself would; what is not cached is counted (guarantee 29)."""

import functools
import logging

import anyio
import pytest

from cashews import Cache, Command
from cashews.exceptions import CacheClosedError, NotConfiguredError
from tests.subjects import each, on_memory

DECORATORS = {
    "simple": lambda cache, **options: cache(**options),
    "early": lambda cache, **options: cache.early(**options),
    "soft": lambda cache, **options: cache.soft(**options),
    "hit": lambda cache, **options: cache.hit(cache_hits=9, **options),
    "dynamic": lambda cache, **options: cache.dynamic(**options),
    "failover": lambda cache, **options: cache.failover(**options),
    "locked load": lambda cache, **options: cache(lock=True, **options),
    "upper": lambda cache, **options: cache(upper=True, **options),
    "soft timeout": lambda cache, **options: cache.failover(soft_timeout=5, **options),
    "unprotected": lambda cache, **options: cache(protected=False, **options),
}
every_decorator = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


def broken(*_, **__):
    raise ZeroDivisionError


async def broken_later(*_, **__):
    raise ZeroDivisionError


BROKEN = {
    "a condition": ({"condition": broken}, "condition failed"),
    "an async condition": ({"condition": broken_later}, "condition failed"),
    "a ttl": ({"ttl": broken}, "ttl or tags failed"),
    "a ttl of rubbish": ({"ttl": lambda *_, **__: "soon"}, "ttl or tags failed"),
    "tags": ({"tags": [broken]}, "tags failed"),
    "tags of the result": ({"tags": [lambda result: result / 0]}, "ttl or tags failed"),
    "no tags of the result": ({"tags": [lambda result, _x: [result]]}, "ttl or tags failed"),
    "a field of the result": ({"tags": ["{result.name}"]}, "ttl or tags failed"),
    "a field of an argument": ({"tags": ["{_x.name}"]}, "tags failed"),
}


def with_session(function):
    """Decorate a function whose first argument is none of its callers': a usual way to inject it."""

    @functools.wraps(function)
    async def run(*args, **kwargs):
        return await function("session", *args, **kwargs)

    return run


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


class Refusing:
    def __reduce__(self):
        raise TypeError("no")


class Breaking:
    def __reduce__(self):
        raise ZeroDivisionError


UNENCODABLE = {
    "a lambda": lambda: lambda: None,
    "a generator": lambda: (i for i in ()),
    "a deep list": deep,
    "an object that refuses": Refusing,
    "an exception in the way": Breaking,
}


class UnpicklableError(Exception):
    def __init__(self, one, another):
        super().__init__(one)
        self.another = lambda: another


def said(caplog):
    return [record.getMessage() for record in caplog.records if "not cached" in record.getMessage()]


@every_decorator
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_an_error_of_the_users_own_callables_costs_the_caching(cache, origin, decorate, broken, caplog):
    options, reason = broken

    @decorate(cache, **{"ttl": 90, "key": "k", **options})
    async def load(_x):
        return await origin()

    with caplog.at_level(logging.WARNING, "cashews"):
        assert [await load(1), await load(1), await load(1)] == [1, 2, 3]
    assert await cache.get_keys_count() == 0
    assert cache.statistics().uncached == {reason: 3}
    (line,) = said(caplog)
    assert f"{__name__}.test_an_error_of_the_users_own_callables_costs_the_caching.<locals>.load ({__file__}:" in line
    assert cache.statistics().loads == 0


@every_decorator
@pytest.mark.parametrize("strict", [False, True])
async def test_a_call_that_does_not_fit_the_signature_of_a_decorated_function_is_made(decorate, strict, caplog):
    """A decorator that adds an argument shows the signature of the function within."""
    async with Cache.open("mem://", strict_keys=strict) as cache:

        @decorate(cache, ttl=90, key="user:{session}:{uid}")
        @with_session
        async def load(session, uid):
            return session, uid

        assert [await load(1), await load(1)] == [("session", 1)] * 2
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'uid'"):
            await load()
        assert await cache.get_keys_count() == 0
        assert cache.statistics().uncached == {"no key": 3}
        (line,) = said(caplog)
        assert "its signature has other parameters" in line


async def test_a_run_whose_call_does_not_fit_its_signature_is_not_stored(cache):
    def with_session(function):
        @functools.wraps(function)
        async def run(*args):
            async for item in function("session", *args):
                yield item

        return run

    @cache.iterator(ttl=90)
    @with_session
    async def rows(session, uid):
        yield session, uid

    assert [row async for row in rows(1)] == [("session", 1)]
    assert cache.statistics().uncached == {"no key": 1}


@every_decorator
@pytest.mark.parametrize("value", UNENCODABLE.values(), ids=UNENCODABLE)
@pytest.mark.parametrize("subject", each(["mem-pickled-signed", "redis", "disk"]), indirect=True)
async def test_a_result_that_cannot_be_encoded_is_returned(cache, decorate, value, caplog):
    results = []

    @decorate(cache, ttl=90, key="k")
    async def load():
        results.append(value())
        return results[-1]

    for _ in range(2):
        assert await load() is results[-1]
    assert len(results) == 2
    assert cache.statistics().uncached == {"not encoded": 2}
    assert len(said(caplog)) == 1


@every_decorator
async def test_an_exception_that_cannot_be_remembered_is_raised(cache, decorate):
    errors = []

    @decorate(cache, ttl=90, key="k", condition=lambda result, *_, **__: result)
    async def load():
        errors.append(UnpicklableError("one", 2))
        raise errors[-1]

    for _ in range(2):
        with pytest.raises(UnpicklableError) as told:
            await load()
        assert told.value.another() == 2


@every_decorator
@pytest.mark.parametrize("command", [Command.GET, Command.SET, Command.SET_LOCK, Command.UNLOCK])
@pytest.mark.parametrize("after", [False, True])
async def test_an_error_of_a_middleware_costs_the_caching(cache, origin, decorate, command, after):
    async def failing(call, cmd, _backend, *args, **kwargs):
        if cmd is command:
            if after:
                await call(*args, **kwargs)
            raise ZeroDivisionError
        return await call(*args, **kwargs)

    cache.add_middleware(failing)
    load = decorate(cache, ttl=90, key="k")(origin)
    for run in (1, 2):
        assert await load() in (1, run)
    assert origin.runs in (1, 2)
    with pytest.raises(ZeroDivisionError):
        await {Command.GET: lambda: cache.get("k"), Command.SET: lambda: cache.set("k", 1)}.get(command, division)()


async def division():
    1 / 0  # noqa: B018  its error is wanted


@every_decorator
async def test_an_error_of_a_middleware_at_a_loads_beginning_reaches_none_who_share_it(cache, clock, decorate):
    async def failing(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.GET_KEY_TAGS:
            raise ZeroDivisionError
        return await call(*args, **kwargs)

    async def load():
        await gate.wait()
        return 5

    async def ask():
        answers.append(await cached())

    cache.add_middleware(failing)
    gate, answers = anyio.Event(), []
    cached = decorate(cache, ttl=90, key="k", tags=["t"])(load)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await clock.settle()
        gate.set()
    assert answers == [5, 5, 5]
    assert await cache.get("k") is None
    assert "load failed" in cache.statistics().uncached


@every_decorator
async def test_a_cached_function_runs_after_the_cache_is_closed(subject, clock, origin, decorate, caplog):
    cache = subject.open(clock)
    load = decorate(cache, ttl=90, key="k")(origin)
    async with cache:
        await load()
    runs = origin.runs
    assert [await load(), await load()] == [runs + 1, runs + 2]
    origin.error = LookupError()
    with pytest.raises(LookupError) as told:
        await load()
    assert told.value is origin.error
    assert told.value.__context__ is None
    assert set(cache.statistics().uncached) == {"closed"}
    assert len(said(caplog)) == 1
    with pytest.raises(CacheClosedError):
        await cache.get("k")
    with pytest.raises(CacheClosedError):
        await load.peek()


@every_decorator
def test_a_cached_function_runs_without_an_event_loop(decorate):
    cache = Cache()
    cache.setup("mem://")

    @decorate(cache, ttl=90, key="k")
    async def load():
        return 5

    coroutine = load()
    with pytest.raises(StopIteration) as told:
        coroutine.send(None)
    assert told.value.value == 5
    assert set(cache.statistics().uncached) <= {"no event loop", "load failed"}
    assert cache.statistics().uncached


def result_of(coroutine):
    """Run a coroutine that waits for nothing, without an event loop."""
    with pytest.raises(StopIteration) as told:
        coroutine.send(None)
    return told.value.value


@pytest.mark.parametrize("used_before", [False, True])
def test_ids_and_iterators_run_without_an_event_loop(used_before):
    """They may find what was stored while there was one."""
    cache = Cache()
    cache.setup("mem://")

    @cache.many(ttl=None, key="id:{id}")
    async def load(ids):
        return dict.fromkeys(ids, 5)

    @cache.iterator(ttl=None, key="numbers")
    async def numbers():
        yield 5

    async def items():
        return [item async for item in numbers()]

    if used_before:
        anyio.run(items)
    for _ in range(2):
        assert result_of(load([1, 2])) == {1: 5, 2: 5}
        assert result_of(items()) == [5]
    assert cache.statistics().loads == 0


@every_decorator
async def test_a_cache_that_is_not_set_up_is_an_error_all_the_same(decorate, origin):
    load = decorate(Cache(), ttl=90, key="k")(origin)
    with pytest.raises(NotConfiguredError):
        await load()


@on_memory
async def test_a_run_that_cannot_be_stored_reaches_its_consumer(cache):
    for options, _ in BROKEN.values():

        @cache.iterator(**{"ttl": 90, "key": "k", **options})
        async def numbers(_x):
            yield 1
            yield 2

        before = sum(cache.statistics().uncached.values())
        assert [item async for item in numbers(1)] == [1, 2]
        assert sum(cache.statistics().uncached.values()) > before
        assert await cache.get_keys_count() == 0


@on_memory
async def test_a_run_whose_beginning_a_middleware_refuses_reaches_its_consumer(cache):
    async def failing(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.GET_KEY_TAGS:
            raise ZeroDivisionError
        return await call(*args, **kwargs)

    cache.add_middleware(failing)

    @cache.iterator(90, key="k", tags=["t"])
    async def numbers():
        yield 1

    assert [item async for item in numbers()] == [1]
    assert cache.statistics().uncached == {"load failed": 1}
    assert await cache.get_keys_count() == 0


async def test_a_run_that_cannot_be_encoded_reaches_its_consumer(cache, subject):
    if subject.name == "mem":
        return

    @cache.iterator(90, key="k")
    async def lambdas():
        yield lambda: 1

    assert [item() async for item in lambdas()] == [1]
    assert cache.statistics().uncached == {"not encoded": 1}


async def test_an_iterator_runs_after_the_cache_is_closed(subject, clock):
    cache = subject.open(clock)

    @cache.iterator(90, key="k")
    async def numbers():
        yield 1

    async with cache:
        assert [item async for item in numbers()] == [1]
    assert [item async for item in numbers()] == [1]


async def test_a_record_is_made_though_the_ttl_fails(cache, origin):
    fails = False

    def ttl():
        if fails:
            raise ZeroDivisionError
        return 90

    load = cache(ttl, key="k")(origin)
    await load()
    fails = True
    with cache.detect as detector:
        assert await load() == 1
    assert detector.calls["k"][0]["ttl"] is None


async def test_a_background_refresh_that_cannot_be_stored_is_a_failed_one(cache, clock, origin):
    fails = False

    def condition(*_, **__):
        if fails:
            raise ZeroDivisionError
        return True

    load = cache.early(90, key="k", early_ttl=30, condition=condition)(origin)
    await load()
    fails = True
    await clock.advance(40)
    assert await load() == 1
    await clock.settle()
    assert cache.statistics().refreshes["failed"] == 1
    assert await load() == 1
    await clock.settle()
    assert origin.runs == 2


async def test_get_or_set_is_a_command_and_raises(cache, subject):
    if subject.name == "mem":
        return
    with pytest.raises(TypeError):
        await cache.get_or_set("k", lambda: lambda: None)
