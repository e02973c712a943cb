"""Decorated plain functions: one load per key among threads, helpers, methods, guards, contexts, worker threads."""

from contextvars import ContextVar
from functools import partial
from threading import Event, get_ident

import anyio
import pytest
from anyio import to_thread

from cashews import Cache, CircuitBreakerOpen, LoadTimeoutError, RateLimitError
from cashews.exceptions import WrongArgumentError

CALLER = ContextVar("caller", default="nobody")


@pytest.fixture
def cache():
    with Cache.open_blocking("mem://") as face:
        yield face


def test_fifty_threads_load_a_key_once(cache, crowd):
    loads, waiters = [], Event()

    @cache(ttl="1m")
    def load(number):
        loads.append(number)
        waiters.wait(0.05)
        return number

    for number in range(5):
        assert crowd(partial(load, number)) == [number] * 50
    assert loads == [0, 1, 2, 3, 4]
    figures = load.statistics()
    assert (figures.calls, figures.loads, figures.errors) == (250, 5, 0)
    assert figures.hits + figures.shared == 245


def test_nested_loads_in_many_threads_do_not_wait_for_threads(cache, crowd):
    @cache(ttl="1m")
    def inner(number):
        return number

    @cache(ttl="1m")
    def outer(number):
        return inner(number) + 1

    numbers = iter(range(100))
    assert sorted(crowd(lambda: outer(next(numbers)), 100)) == [*range(1, 101)]


def test_helpers_are_plain(cache):
    @cache(ttl="1m", key="user:{uid}")
    def user(uid):
        """Give a user."""
        return {"uid": uid}

    assert user.peek(1) is None
    assert user(1) == user.peek(1) == user.refresh(uid=1) == {"uid": 1}
    assert (user.key(1), user.key_template, user.__name__, user.__doc__) == (
        "user:1",
        "user:{uid}",
        "user",
        "Give a user.",
    )
    assert user.explain(1).found
    assert user.invalidate(1)
    assert not user.invalidate(1)


def test_errors_of_the_function_reach_its_caller(cache, crowd):
    @cache(ttl="1m")
    def fails():
        message = "at all"
        raise ZeroDivisionError(message)

    assert [str(error) for error in crowd(fails, 5)] == ["at all"] * 5


def test_methods_bind(cache):
    class Users:
        @cache(ttl="1m", key="get:{uid}")
        def get(self, uid):
            return self, uid

        @cache(ttl="1m", key="of:{uid}")
        @classmethod
        def of(cls, uid):
            return cls, uid

        @cache(ttl="1m", key="plain:{uid}")
        @staticmethod
        def plain(uid):
            return uid

    users = Users()
    assert (users.get(1)[1], Users.of(1), Users.plain(1), users.plain(1)) == (1, (Users, 1), 1, 1)
    assert (users.get.key(1), Users.of.key(1), Users.plain.key(1)) == ("get:1", "of:1", "plain:1")
    assert users.get.invalidate(1)
    assert Users.of.invalidate(1)
    assert Users.get.peek(users, 1) is None


def test_decorators_stack(cache):
    class Users:
        @cache.locked(key="l:{uid}")
        @cache(ttl="1m", key="get:{uid}")
        def get(self, uid):
            return uid

    @cache.locked(key="l:{uid}")
    @cache(ttl="1m", key="user:{uid}")
    def user(uid):
        return uid

    assert (user(1), user.peek(1), user.invalidate(1)) == (1, 1, True)
    assert (Users().get(1), Users().get.peek(1), Users().get.invalidate(1)) == (1, 1, True)


@pytest.mark.parametrize("name", ["early", "soft", "dynamic", "failover"])
def test_strategies(cache, name):
    @getattr(cache, name)(ttl="1m", key="f")
    def load():
        return 1

    assert [load() for _ in range(3)] == [1, 1, 1]
    assert load.statistics().calls == 3


def test_guards(cache):
    @cache.rate_limit(limit=2, period="1m", key="r")
    def limited():
        return 1

    @cache.circuit_breaker(errors_rate=50, period="1m", ttl="1m", key="c")
    def broken():
        raise ZeroDivisionError

    @cache.hit(ttl="1m", cache_hits=1, key="h")
    def counted():
        return 1

    assert (limited(), limited(), counted(), counted(), counted()) == (1, 1, 1, 1, 1)
    assert counted.statistics().loads == 2
    with pytest.raises(RateLimitError):
        limited()
    with pytest.raises(ZeroDivisionError):
        broken()
    with pytest.raises(CircuitBreakerOpen):
        broken()


def test_invalidation_follows_a_plain_function(cache):
    @cache.invalidate("user:{uid}")
    def change(uid):
        return uid

    cache.set("user:1", 1)
    assert (change(1), cache.get("user:1")) == (1, None)


def test_the_callers_context_reaches_the_function(cache):
    @cache(ttl="1m", key="{who}")
    def caller(who):
        return who, CALLER.get()

    CALLER.set("me")
    assert caller("a") == ("a", "me")


def test_a_load_that_takes_too_long_is_left(cache):
    over = Event()

    @cache(ttl="1m", key="slow", hard_timeout=0.01)
    def slow():
        over.wait()

    with pytest.raises(LoadTimeoutError):
        slow()
    over.set()


def test_async_functions_are_refused(cache):
    async def load():
        """Be refused."""

    with pytest.raises(WrongArgumentError, match="a plain function"):
        cache(ttl="1m")(load)


async def test_worker_threads_use_the_loop_that_they_came_from():
    home, threads = get_ident(), []
    async with Cache.open("mem://") as cache:

        @cache.blocking(ttl="1m", key="{number}")
        def load(number):
            threads.append(get_ident())
            return cache.blocking.get("a"), number

        def work(number):
            with cache.blocking.lock("l"), cache.blocking.transaction():
                cache.blocking.incr("n")
            return load(number % 2), [*cache.blocking.scan("a")]

        await cache.set("a", 1)
        results = []

        async def ask(number):
            results.append(await to_thread.run_sync(work, number))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for number in range(60):
                    group.start_soon(ask, number)
        assert sorted(results) == sorted(((1, number % 2), ["a"]) for number in range(60))
        assert (len(threads), await cache.get("n")) == (2, 60)
        assert home not in threads
        assert cache.blocking.portal._own is None
