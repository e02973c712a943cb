"""A call that can have no key runs uncached, and this is said once per function (guarantees 5 and 29)."""

import logging

import anyio
import pytest

from cashews import Cache, noself
from cashews.exceptions import LoadTimeoutError, NoKeyError, UnstableKeyWarning, WrongKeyError

DECORATORS = {
    "simple": lambda cache, **options: cache(90, **options),
    "early": lambda cache, **options: cache.early(90, **options),
    "soft": lambda cache, **options: cache.soft(90, **options),
    "hit": lambda cache, **options: cache.hit(90, 100, **options),
    "dynamic": lambda cache, **options: cache.dynamic(90, **options),
    "failover": lambda cache, **options: cache.failover(90, **options),
}
GUARDS = {
    "locked": lambda cache, **options: cache.locked(**options),
    "thunder_protection": lambda cache, **options: cache.thunder_protection(**options),
    "rate_limit": lambda cache, **options: cache.rate_limit(5, 60, **options),
}

every_strategy = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
every_guard = pytest.mark.parametrize("decorate", GUARDS.values(), ids=GUARDS)


class Request:
    """An object without a text of its own."""

    def __init__(self, user):
        self.user = user


class Failing:
    def __str__(self):
        raise ZeroDivisionError


@pytest.fixture
async def strict_cache():
    async with Cache.open("mem://", strict_keys=True) as opened:
        yield opened


@every_strategy
async def test_each_caller_gets_the_answer_for_its_own_object(cache, decorate):
    """Python gives the address of an object that is gone to another."""
    decorated = decorate(cache)

    @decorated
    async def me(request):
        return request.user

    assert [await me(Request(number)) for number in range(300)] == list(range(300))
    assert await cache.get_keys_count() == 0


@every_strategy
@pytest.mark.parametrize(
    ("template", "argument"),
    [
        (None, Failing()),
        ("{value.name}", 5),
        ("{value[a]}", {}),
        ("{@:get(nobody)}:{value}", 1),
        ("{value:jwt(a)}", "x"),
    ],
)
async def test_whatever_keeps_a_key_from_being_made_costs_only_the_caching(cache, decorate, template, argument, caplog):
    runs = []

    @decorate(cache, key=template)
    async def load(value):
        runs.append(value)
        return "answer"

    with caplog.at_level(logging.WARNING, "cashews"):
        assert [await load(argument) for _ in range(3)] == ["answer"] * 3
    assert len(runs) == 3
    assert await cache.get_keys_count() == 0
    (record,) = caplog.records
    assert f"{__name__}.test_whatever" in record.getMessage()
    assert f"{__file__}:" in record.getMessage()


@every_strategy
async def test_an_error_of_the_function_comes_out_as_it_is(cache, decorate):
    @decorate(cache)
    async def load(request):
        raise LookupError(request.user)

    with pytest.raises(LookupError) as told:
        await load(Request("me"))
    assert told.value.__context__ is None
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        await load()


async def test_the_helpers_of_a_cached_function_do_without_a_key(cache):
    @cache(90)
    async def load(request):
        return request.user

    class Local(Request):  # a warning is given once per class
        pass

    request = Local("me")
    with pytest.warns(UnstableKeyWarning, match="memory address"):
        assert " object at 0x" in load.key(request)
    assert await load.invalidate(request) is False
    assert await load.peek(request) is None
    assert await load.refresh(request) == "me"


async def test_a_run_of_an_iterator_is_not_stored(cache, caplog):
    @cache.iterator(90)
    async def users(request):
        yield request.user
        yield request.user

    with caplog.at_level(logging.WARNING, "cashews"):
        for number in range(3):
            assert [user async for user in users(Request(number))] == [number] * 2
    assert await cache.get_keys_count() == 0
    assert len(caplog.records) == 1
    assert await users.invalidate(Request(1)) is False


async def test_a_hard_timeout_holds_for_a_call_without_a_key(cache, clock):
    @cache(90, hard_timeout=1)
    async def load(_):
        await clock.sleep(5)

    async def expect():
        with pytest.raises(LoadTimeoutError):
            await load(Request(1))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect)
        await clock.settle()
        await clock.advance(1)


@every_guard
async def test_guards_raise(cache, decorate):
    @decorate(cache)
    async def work(request): ...

    with pytest.raises(NoKeyError, match="memory address"):
        await work(Request(1))


@every_strategy
async def test_strict_keys_raise(strict_cache, decorate):
    @decorate(strict_cache)
    async def load(request):
        return request.user

    with pytest.raises(WrongKeyError):
        await load(Request(1))


@every_strategy
async def test_a_method_of_an_object_without_a_text_is_not_cached(cache, decorate):
    class Users:
        def __init__(self, tenant):
            self.tenant = tenant

        @decorate(cache)
        async def get(self, number):
            return self.tenant, number

        @noself(decorate)(cache)
        async def count(self):
            return type(self).__name__

    assert [await Users(tenant).get(1) for tenant in range(50)] == [(tenant, 1) for tenant in range(50)]
    assert await cache.get_keys_count() == 0
    users, request = Users(1), Request(1)
    assert [await count(it) for it in (users, request) for count in [Users.count] * 2] == ["Users"] * 2 + [
        "Request"
    ] * 2
    assert await cache.get_keys_count() == 2
