"""The types of the public API: mypy and pyright check what is asserted here, and the tests run it.

An error that is expected is marked for both of them, and a mark that marks nothing is an error. The functions whose
names begin with `refused` hold such errors, and are never called.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import CancelScope

from cashews import Backend, Cache, CallStatistics, Command, Explanation, Proceed, RateLimitError, noself
from cashews.testing import VirtualClock

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value, _):
        """Stand in for what Python 3.10 does not have, and return the value likewise."""
        return value


cache = Cache("typed")


@pytest.fixture(autouse=True)
def store() -> None:
    """Give each test a store of its own."""
    cache.setup("mem://", check_interval=0)


def tags_of(name: str, uid: int) -> list[str]:
    return [name, str(uid)]


@cache(ttl="1m", key="simple:{uid}")
async def simple(uid: int, *, fresh: bool = False) -> str:
    return f"{uid}{fresh}"


@cache.cache(ttl="1m", key="named:{uid}", jitter=0.1, lock=True)
async def named(uid: int) -> str:
    return str(uid)


@cache.early(ttl="1m", early_ttl="10s", beta=1.0, key="{uid}", tags=["users", "user:{uid}", tags_of])
async def early(uid: int) -> str:
    return str(uid)


@cache.soft(ttl="1m", soft_ttl=10, key="{uid}")
async def soft(uid: int) -> str:
    return str(uid)


@cache.hit(ttl="1m", cache_hits=3, update_after=1, key="{uid}")
async def hit(uid: int) -> str:
    return str(uid)


@cache.dynamic(key="{uid}")
async def dynamic(uid: int) -> str:
    return str(uid)


@cache.failover(ttl="1m", exceptions=(ValueError, KeyError), key="{uid}")
async def failover(uid: int) -> str | None:
    return str(uid)


@cache.many(ttl="1m", key="many:{uid}", absent=True)
async def many(ids: list[int], *, fresh: bool = False) -> dict[int, str]:
    return {uid: f"{uid}{fresh}" for uid in ids}


@cache.batching(window="1ms")
async def batched(ids: list[int], fresh: bool = False) -> dict[int, str]:
    return {uid: f"{uid}{fresh}" for uid in ids}


@cache.iterator(ttl="1m", key="iterator:{stop}")
async def iterator(stop: int) -> AsyncIterator[float]:
    for number in range(stop):
        yield float(number)


@cache.locked(ttl="1m", key="{uid}")
async def locked(uid: int) -> str:
    return str(uid)


@cache.rate_limit(limit=100, period="1m", key="{uid}")
async def rate_limit(uid: int) -> str:
    return str(uid)


@cache.slice_rate_limit(limit=100, period="1m", key="{uid}")
async def slice_rate_limit(uid: int) -> str:
    return str(uid)


@cache.circuit_breaker(errors_rate=10, period="1m", ttl="1m", exceptions=ValueError)
async def circuit_breaker(uid: int) -> str:
    return str(uid)


@cache.thunder_protection()
async def thunder_protection(uid: int) -> str:
    return str(uid)


@cache.invalidate("simple:{uid}")
async def invalidate(uid: int) -> str:
    return str(uid)


@cache.bloom(capacity=100, name="bloom:{email}")
async def bloom(email: str) -> int:
    return len(email)


@cache.dual_bloom(capacity=100, name="dual:{email}")
async def dual_bloom(email: str) -> int:
    return len(email)


class Selfless:
    """Methods whose default keys leave out `self`."""

    @noself(cache)(ttl="1m", jitter=0.1)
    async def simple(self, uid: int) -> str:
        return str(uid)

    @noself(cache.rate_limit)(limit=100, period="1m")
    async def limited(self, uid: int) -> str:
        return str(uid)


# One over the other: the outer sees what the inner makes.
@cache.failover(ttl="1m", exceptions=RateLimitError, key="{uid}")
@cache.rate_limit(limit=100, period="1m", key="{uid}")
async def stacked(uid: int) -> str:
    return str(uid)


class Users:
    """Every decorator on a method."""

    @cache(ttl="1m", key="users:simple:{uid}")
    async def simple(self, uid: int) -> str:
        return str(uid)

    @cache.early(ttl="1m", key="users:{uid}")
    async def early(self, uid: int) -> str:
        return str(uid)

    @cache.soft(ttl="1m", key="users:{uid}")
    async def soft(self, uid: int) -> str:
        return str(uid)

    @cache.hit(ttl="1m", cache_hits=3, key="users:{uid}")
    async def hit(self, uid: int) -> str:
        return str(uid)

    @cache.dynamic(key="users:{uid}")
    async def dynamic(self, uid: int) -> str:
        return str(uid)

    @cache.failover(ttl="1m", key="users:{uid}")
    async def failover(self, uid: int) -> str:
        return str(uid)

    @cache.iterator(ttl="1m", key="users:iterator:{stop}")
    async def iterator(self, stop: int) -> AsyncGenerator[float, None]:
        for number in range(stop):
            yield float(number)

    @cache.locked(ttl="1m", key="users:{uid}")
    async def locked(self, uid: int) -> str:
        return str(uid)

    @cache.rate_limit(limit=100, period="1m", key="users:{uid}")
    async def rate_limit(self, uid: int) -> str:
        return str(uid)

    @cache.slice_rate_limit(limit=100, period="1m", key="users:{uid}")
    async def slice_rate_limit(self, uid: int) -> str:
        return str(uid)

    @cache.circuit_breaker(errors_rate=10, period="1m", ttl="1m")
    async def circuit_breaker(self, uid: int) -> str:
        return str(uid)

    @cache.thunder_protection(key="users:{uid}")
    async def thunder_protection(self, uid: int) -> str:
        return str(uid)

    @cache.invalidate("users:simple:{uid}")
    async def invalidate(self, uid: int) -> str:
        return str(uid)

    @cache.bloom(capacity=100, name="users:bloom:{email}")
    async def bloom(self, email: str) -> int:
        return len(email)

    @cache.dual_bloom(capacity=100, name="users:dual:{email}")
    async def dual_bloom(self, email: str) -> int:
        return len(email)


class Tenant:
    """A static method."""

    @cache(ttl="1m", key="tenant:static:{uid}")
    @staticmethod
    async def static(uid: int) -> str:
        return str(uid)


users = Users()


async def test_a_cached_function_keeps_its_result() -> None:
    assert assert_type(await simple(1, fresh=True), str) == "1True"
    assert assert_type(await named(1), str) == "1"
    assert assert_type(await early(1), str) == "1"
    assert assert_type(await soft(1), str) == "1"
    assert assert_type(await hit(1), str) == "1"
    assert assert_type(await dynamic(1), str) == "1"
    assert assert_type(await failover(1), str | None) == "1"
    assert assert_type(await stacked(1), str) == "1"


async def test_a_cached_function_is_still_a_coroutine_function() -> None:
    """What wants a coroutine takes it, not only an awaitable."""
    loading = assert_type(simple(2), Coroutine[Any, Any, str])
    assert await loading == "2False"
    guarded = assert_type(locked(2), Coroutine[Any, Any, str])
    assert await guarded == "2"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(simple, 2)
        tasks.start_soon(locked, 2)


async def test_a_guarded_function_keeps_its_result() -> None:
    assert assert_type(await locked(1), str) == "1"
    assert assert_type(await rate_limit(1), str) == "1"
    assert assert_type(await slice_rate_limit(1), str) == "1"
    assert assert_type(await circuit_breaker(1), str) == "1"
    assert assert_type(await thunder_protection(1), str) == "1"
    assert assert_type(await invalidate(1), str) == "1"


async def test_a_filtered_function_may_answer_a_flag_instead() -> None:
    assert assert_type(await bloom.set("ann"), int) == 3
    assert assert_type(await bloom("ann"), int | bool) == 3
    assert assert_type(bloom.key("ann"), str) == "bloom:bloom:ann"
    assert assert_type(await dual_bloom("ann"), int | bool) == 3


async def test_a_cached_function_of_many_ids_keeps_its_types() -> None:
    assert assert_type(await many([1, 2]), dict[int, str]) == {1: "1False", 2: "2False"}
    assert assert_type(many.key(1), str) == "many:1"
    await many.invalidate([1])
    assert assert_type(await many.explain([3]), dict[int, Explanation])[3].key == "many:3"
    assert assert_type(many.statistics(), CallStatistics).loads >= 1
    assert assert_type(await batched(1, fresh=True), str | None) == "1True"


async def test_what_a_function_tells_of_itself_is_typed() -> None:
    assert assert_type(simple.statistics(), CallStatistics).calls >= 0
    assert assert_type(await simple.explain(1), Explanation).key == "simple:1"
    assert assert_type(await iterator.explain(2), Explanation).key == "iterator:2"


async def refused_calls_of_many_ids() -> None:
    await many(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await batched("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_cached_iterator_keeps_its_items() -> None:
    assert assert_type([number async for number in iterator(2)], list[float]) == [0.0, 1.0]
    run = assert_type(iterator(2), AsyncGenerator[float, None])
    assert assert_type(await run.__anext__(), float) == 0.0
    await run.aclose()
    assert assert_type(iterator.key(2), str) == "iterator:2"
    assert assert_type(await iterator.invalidate(2), bool)


async def test_what_a_cached_function_gains_takes_its_arguments() -> None:
    assert assert_type(simple.key(3, fresh=True), str) == "simple:3"
    assert assert_type(await simple.peek(3), str | None) is None
    assert assert_type(await simple.refresh(3), str) == "3False"
    assert assert_type(await simple.peek(uid=3), str | None) == "3False"
    assert assert_type(await simple.invalidate(3), bool)
    assert assert_type(simple.__name__, str) == "simple"


async def test_a_method_is_called_on_its_instance() -> None:
    assert assert_type(await users.simple(1), str) == "1"
    assert assert_type(await users.early(uid=1), str) == "1"
    assert assert_type(await users.soft(1), str) == "1"
    assert assert_type(await users.hit(1), str) == "1"
    assert assert_type(await users.dynamic(1), str) == "1"
    assert assert_type(await users.failover(1), str) == "1"
    assert assert_type([number async for number in users.iterator(2)], list[float]) == [0.0, 1.0]
    assert assert_type(await users.locked(1), str) == "1"
    assert assert_type(await users.rate_limit(1), str) == "1"
    assert assert_type(await users.slice_rate_limit(1), str) == "1"
    assert assert_type(await users.circuit_breaker(1), str) == "1"
    assert assert_type(await users.thunder_protection(1), str) == "1"
    assert assert_type(await users.invalidate(1), str) == "1"
    assert assert_type(await users.bloom("ann"), int | bool) == 3
    assert assert_type(await users.dual_bloom("ann"), int | bool) == 3


async def test_a_method_is_called_on_its_class() -> None:
    assert assert_type(await Users.simple(users, 2), str) == "2"
    assert assert_type(await Users.early(users, 2), str) == "2"
    assert assert_type(await Users.soft(users, 2), str) == "2"
    assert assert_type(await Users.hit(users, 2), str) == "2"
    assert assert_type(await Users.dynamic(users, 2), str) == "2"
    assert assert_type(await Users.failover(users, 2), str) == "2"
    assert assert_type([number async for number in Users.iterator(users, 2)], list[float]) == [0.0, 1.0]
    assert assert_type(await Users.locked(users, 2), str) == "2"
    assert assert_type(await Users.rate_limit(users, 2), str) == "2"
    assert assert_type(await Users.slice_rate_limit(users, 2), str) == "2"
    assert assert_type(await Users.circuit_breaker(users, 2), str) == "2"
    assert assert_type(await Users.thunder_protection(users, 2), str) == "2"
    assert assert_type(await Users.invalidate(users, 2), str) == "2"
    assert assert_type(await Users.bloom(users, "bob"), int | bool) == 3
    assert assert_type(await Users.dual_bloom(users, "bob"), int | bool) == 3


async def test_what_a_cached_method_gains_is_on_the_class() -> None:
    assert assert_type(Users.simple.key(users, 3), str) == "users:simple:3"
    assert assert_type(await Users.simple.refresh(users, 3), str) == "3"
    assert assert_type(await Users.simple.peek(users, 3), str | None) == "3"
    assert assert_type(await Users.simple.invalidate(users, 3), bool)
    assert assert_type(Users.iterator.key(users, 3), str) == "users:iterator:3"
    assert assert_type(await Users.iterator.invalidate(users, 3), bool) is False
    assert assert_type(await Users.bloom.set(users, "ann"), int) == 3
    assert assert_type(Users.bloom.key(users, "ann"), str) == "bloom:users:bloom:ann"


async def test_what_a_cached_method_gains_is_bound_to_the_instance() -> None:
    assert assert_type(users.simple.key(4), str) == "users:simple:4"
    assert assert_type(await users.simple.refresh(4), str) == "4"
    assert assert_type(await users.simple.peek(uid=4), str | None) == "4"
    assert assert_type(await users.simple.invalidate(4), bool)
    assert assert_type(users.iterator.key(4), str) == "users:iterator:4"
    assert assert_type(await users.iterator.invalidate(4), bool) is False
    assert assert_type(await users.bloom.set("cid"), int) == 3
    assert assert_type(users.bloom.key("cid"), str) == "bloom:users:bloom:cid"
    assert assert_type(await Selfless().simple.peek(1), str | None) is None
    assert assert_type(await Tenant.static(1), str) == "1"
    assert assert_type(await Tenant.static.peek(1), str | None) == "1"


async def test_noself_keeps_the_types_of_a_decorator() -> None:
    one = Selfless()
    assert assert_type(await one.simple(1), str) == "1"
    assert assert_type(await Selfless.simple.peek(Selfless(), 1), str | None) == "1"
    assert assert_type(await one.limited(1), str) == "1"


async def four() -> int:
    return 4


async def test_get_or_set_returns_what_its_default_gives() -> None:
    assert assert_type(await cache.get_or_set("value", 4), int) == 4
    assert assert_type(await cache.get_or_set("awaitable", four()), int) == 4
    assert assert_type(await cache.get_or_set("callable", lambda: 4), int) == 4
    assert assert_type(await cache.get_or_set("function", four, expire="1h"), int) == 4


async def test_commands_return_what_they_say() -> None:
    assert assert_type(await cache.set("key", 1, expire="1h"), bool)
    assert assert_type(await cache.get_many("key", "no"), tuple[Any, ...]) == (1, None)
    assert assert_type(await cache.incr("counter"), int) == 1
    assert assert_type(await cache.exists("key"), bool)
    assert assert_type(await cache.get_expire("key"), int) == 3600
    assert assert_type([key async for key in cache.scan("ke*")], list[str]) == ["key"]
    assert assert_type([pair async for pair in cache.get_match("ke*")], list[tuple[str, Any]]) == [("key", 1)]
    assert assert_type(await cache.get_bits("bits", 1, 2, size=4), tuple[int, ...]) == (0, 0)
    assert assert_type(await cache.ping(), bytes) == b"PONG"


async def test_a_scope_gives_the_cache_itself() -> None:
    async with Cache.open("mem://") as own:
        assert_type(own, Cache)
        async with own.lock("key", "1m"):
            assert assert_type(await own.is_locked("key"), bool)


async def test_a_cache_lives_in_the_time_that_a_test_owns() -> None:
    clock = VirtualClock()
    async with Cache.open("mem://", clock=clock) as own:
        assert await own.set("key", 1, expire=10)
        with clock.move_on_at(5) as scope:
            await clock.advance(3)
        assert not assert_type(scope, CancelScope).cancel_called
        assert await own.get_expire("key") == 7


async def test_a_middleware_has_the_commands_of_its_backend() -> None:
    async def forgetful(call: Proceed, cmd: Command, backend: Backend, *args: Any, **kwargs: Any) -> Any:
        if cmd is Command.GET:
            assert_type(await backend.delete("key"), bool)
        return await call(*args, **kwargs)

    own = Cache()
    backend = assert_type(own.setup("mem://", middlewares=[forgetful]), Backend)
    async with own:
        assert assert_type(await backend.incr("key", tags=["t"]), int) == 1
        assert await own.get("key") is None
        assert assert_type([key async for key in backend.scan("*")], list[str]) == []


async def test_a_cached_function_stands_for_its_keys() -> None:
    @cache.invalidate(simple)
    async def change(uid: int) -> str:
        return str(uid)

    @cache.invalidate(iterator, defaults={"stop": 1})
    async def changes() -> None: ...

    await simple(7)
    assert assert_type(await change(7), str) == "7"
    await changes()
    assert await simple.peek(7) is None


async def refused_calls() -> None:
    """The arguments of the function are the only ones there are, for every decorator."""
    await simple("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await simple(1, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await simple()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await named("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await early("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await soft("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await hit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await dynamic("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await failover("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    iterator("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await iterator(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await locked("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await rate_limit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await slice_rate_limit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await circuit_breaker("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await thunder_protection("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await bloom(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await dual_bloom(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await stacked("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def refused_calls_of_what_is_gained() -> None:
    """What a cached function gains takes the same arguments."""
    simple.key("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await simple.invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await simple.refresh("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await simple.peek("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await iterator.invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await bloom.set(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Users.simple.key(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    users.simple.key("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.simple.invalidate(users, 1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


async def refused_calls_of_methods() -> None:
    """A method takes its own arguments on the instance, and the instance besides on the class."""
    await users.simple("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.simple(users, 1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    await Users.simple(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    await users.early("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.soft("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.hit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.dynamic("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.failover("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    users.iterator("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.locked("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.rate_limit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.slice_rate_limit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.circuit_breaker("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.thunder_protection("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.bloom(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.dual_bloom(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def refused_decorations() -> None:
    """Only async functions are decorated, and only with options that exist."""

    def plain(uid: int) -> str:
        return str(uid)

    cache(ttl=1)(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.locked()(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.bloom(capacity=1)(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.iterator(ttl=1)(simple)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache(ttl=1)(iterator)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache(ttl=1, jiter=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache(ttl=1, jitter="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.hit(ttl=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    noself(cache)(ttl=1, jiter=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache.failover(ttl=1, exceptions="ValueError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.invalidate(simple, len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.invalidate(len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.disable("get")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
