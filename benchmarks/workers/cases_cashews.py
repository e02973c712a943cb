"""Cases of this library and, word for word the same, of the original: which of the two depends on the environment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count, cycle
from typing import Any, TypeAlias

import cases
from cases import KEYS, SIZE, TEN_KEYS, Call, Stampede, consume, echo, ten

import cashews

Middleware: TypeAlias = Callable[..., Awaitable[Any]]

cache = cashews.Cache()
cache.setup(f"mem://?size={SIZE}&check_interval=1")


class Failing:
    """A function that answers until it is down."""

    down = False

    async def call(self, uid: int) -> int:
        if self.down:
            raise ConnectionError
        return uid


def refused(uid: int) -> int:
    return uid


async def two_sets() -> None:
    """Write two keys."""
    await cache.set("first", 7)
    await cache.set("second", 7)


def in_transaction(mode: str) -> Call:
    """Return a call that writes two keys in a transaction."""

    async def call() -> None:
        async with cache.transaction(cashews.TransactionMode(mode)):
            await two_sets()

    return call


async def pass_on(call: Middleware, _cmd: object, _backend: object, *args: Any, **kwargs: Any) -> Any:
    """Change nothing, as a middleware."""
    return await call(*args, **kwargs)


async def get_through(middlewares: int) -> Call:
    """Return a call that reads a key of a cache with middlewares."""
    through = cashews.Cache()
    through.setup(f"mem://?size={SIZE}&check_interval=1", middlewares=(pass_on,) * middlewares)
    await through.set("user:7", 7, expire=600)
    return partial(through.get, "user:7")


async def get_beside(prefixes: int) -> Call:
    """Return a call that reads a key under the last of several prefixes, each with a store of its own."""
    beside = cashews.Cache()
    for number in range(prefixes):
        beside.setup("mem://?size=1000&check_interval=0", prefix=f"part{number}:")
    key = f"part{prefixes - 1}:user:7"
    await beside.set(key, 7, expire=600)
    return partial(beside.get, key)


class Library(cases.Library):
    package = "cashews"

    def version(self) -> str:
        own: str | None = getattr(cashews, "__version__", None)
        return own or super().version()

    async def decorated_hit(self) -> Call:
        user = cache(ttl="10m", key="user:{uid}")(echo)
        await user(7)
        return partial(user, 7)

    async def decorated_miss(self) -> Call:
        user = cache(ttl="10m", key="cold:{uid}")(echo)
        cold = count()
        return lambda: user(next(cold))

    async def get(self) -> Call:
        await cache.set("user:7", 7, expire=600)
        return partial(cache.get, "user:7")

    async def set(self) -> Call:
        keys = cycle(KEYS)
        return lambda: cache.set(next(keys), 7, expire=600)

    async def get_many(self) -> Call:
        for key in TEN_KEYS:
            await cache.set(key, 7, expire=600)
        return partial(cache.get_many, *TEN_KEYS)

    async def incr(self) -> Call:
        return partial(cache.incr, "counter")

    async def one_middleware(self) -> Call:
        return await get_through(1)

    async def ten_middlewares(self) -> Call:
        return await get_through(10)

    async def ten_prefixes(self) -> Call:
        return await get_beside(10)

    async def thousand_prefixes(self) -> Call:
        return await get_beside(1_000)

    async def stampede(self) -> Call:
        return Stampede(self.loop, cache(ttl="10m", key="stampede:{uid}"))

    async def early_hit(self) -> Call:
        user = cache.early(ttl="10m", early_ttl="7m", key="early:{uid}")(echo)
        await user(7)
        return partial(user, 7)

    async def soft_hit(self) -> Call:
        user = cache.soft(ttl="10m", soft_ttl="7m", key="soft:{uid}")(echo)
        await user(7)
        return partial(user, 7)

    async def hit_hit(self) -> Call:
        user = cache.hit(ttl="10m", cache_hits=1_000_000_000, key="hit:{uid}")(echo)
        await user(7)
        return partial(user, 7)

    async def failover(self) -> Call:
        user = cache.failover(ttl="10m", key="failover:{uid}")(echo)
        return partial(user, 7)

    async def dynamic(self) -> Call:
        user = cache.dynamic(ttl="10m", key="dynamic:{uid}")(echo)
        return partial(user, 7)

    async def failover_hit(self) -> Call:
        failing = Failing()
        user = cache.failover(ttl="10m", key="failing:{uid}")(failing.call)
        await user(7)
        failing.down = True
        return partial(user, 7)

    async def slice_rate_limit(self) -> Call:
        user = cache.slice_rate_limit(limit=10, period=0.001, key="slice:{uid}", action=refused)(echo)
        return partial(user, 7)

    async def bloom(self) -> Call:
        user = cache.bloom(capacity=10_000, false_positives=1, name="bloom:{uid}")(echo)
        await user.set(7)
        return partial(user, 8)

    async def dual_bloom(self) -> Call:
        user = cache.dual_bloom(capacity=10_000, name="dual:{uid}")(echo)
        await user(7)
        return partial(user, 7)

    async def invalidate(self) -> Call:
        user = cache.invalidate("invalidated:{uid}")(echo)
        return partial(user, 7)

    async def rate_limit(self) -> Call:
        user = cache.rate_limit(limit=1_000_000_000, period="10m", ttl="10m", key="rate:{uid}")(echo)
        return partial(user, 7)

    async def circuit_breaker(self) -> Call:
        user = cache.circuit_breaker(errors_rate=10, period="10m", ttl="10m", key="breaker:{uid}")(echo)
        return partial(user, 7)

    async def locked(self) -> Call:
        user = cache.locked(ttl="10m", key="locked:{uid}")(echo)
        return partial(user, 7)

    async def iterator_hit(self) -> Call:
        users = cache.iterator(ttl="10m", key="iterator:{uid}")(ten)
        await consume(users, 7)
        return partial(consume, users, 7)

    async def two_sets(self) -> Call:
        return two_sets

    async def transaction_fast(self) -> Call:
        return in_transaction("fast")

    async def transaction_locked(self) -> Call:
        return in_transaction("locked")

    async def transaction_serializable(self) -> Call:
        return in_transaction("serializable")
