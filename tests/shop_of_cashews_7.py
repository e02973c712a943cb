"""A shop that was written for cashews 7: each line that means something else here ends in the rules that tell it."""

FILES = {
    "shop/caching.py": """\
from __future__ import annotations

import os

from cashews import Cache, cache, default_formatter, mem
from cashews.contrib.fastapi import CacheEtagMiddleware, CacheRequestControlMiddleware  # -> import

REDIS = os.environ.get("REDIS_URL", "redis://localhost:6379/0")

sessions = Cache("sessions")


def configure(testing: bool = False) -> None:
    if testing:
        cache.setup("mem://")  # -> mem://
    else:
        cache.setup(  # -> middlewares, secret
            REDIS,
            client_side=True,
            secret="s3cret",
            digestmod="sha256",
            pickle_type="sqlalchemy",
            suppress=False,
            middlewares=(log_misses,),
        )
        cache.setup("mem://?size=500", prefix="local:")  # -> mem://
    cache.setup_tags_backend("redis://localhost:6379/1")  # -> setup_tags_backend
    sessions.setup(f"{REDIS}?socket_connect_timeout=0.5", prefix="session")


async def log_misses(call, cmd, backend, *args, **kwargs):
    return await call(*args, **kwargs)


@default_formatter.register("upper")
def upper(value):
    return value.upper()


cache.register_tag("products", "product:{product_id}")  # -> register_tag
""",
    "shop/services.py": """\
from datetime import timedelta

from cashews import NOT_NONE, cache, noself, with_exceptions, LockedError
from cashews.key import get_cache_key  # -> import
from cashews.decorators import fast_condition  # -> import

from .caching import sessions


class Products:
    @noself(cache)(ttl=timedelta(minutes=10), key="product:{number}", tags=["products", "n:{number}"])  # -> tags
    async def get(self, number: int):
        ...

    @cache.early(ttl="1h", early_ttl="10m", key="goods:{kind:lower}:{page}", condition=NOT_NONE)  # -> cold start
    async def listing(self, kind: str, page: int = 1):
        ...

    @cache.invalidate("goods:{kind}:*")
    async def add(self, kind: str, product: dict):
        ...

    @cache.hit(ttl="2h", cache_hits=100, update_after=2)  # -> default key
    async def popular(self):
        ...

    @cache.soft(ttl="2h", soft_ttl="1h", key="prices:{day:%Y-%m-%d}")  # -> cold start, format
    async def prices(self, day):
        ...


@cache.failover("1d", exceptions=(ConnectionError,), key="rates:{currency:hash}")
@cache.circuit_breaker(errors_rate=10, period="1m", ttl="5m", half_open_ttl="1m")  # -> default key, half-open circuit
async def rates(currency: str):
    ...


@cache.locked(ttl="30s", key="checkout:{user_id}")  # -> locks
async def checkout(user_id: int):
    async with cache.transaction() as tx:
        await cache.incr(f"orders:{user_id}")
        await cache.set("last", user_id, expire="1h30")  # -> duration
        await tx.rollback()


@cache(ttl="5m", key="stats:{get_user().id}", condition=with_exceptions(ValueError), lock=True)  # -> lock=True, locks
async def stats():
    ...


@cache.rate_limit(limit=10, period="1m", ttl="10m")  # -> default key
async def login(name: str):
    ...


@cache.bloom(capacity=10_000, false_positives=1)  # -> default key
async def email_exists(email: str) -> bool:
    ...


async def forget(user_id: int):
    await cache.delete_match(f"user:{user_id}:*")
    await sessions.delete_match("session:[0-9]*")  # -> pattern
    await cache.delete_tags("products")  # -> tags
    async with sessions.lock(f"session:{user_id}", expire="10s"):  # -> locks
        await sessions.clear()
    await cache.ping()  # -> ping
""",
    "shop/api/app.py": """\
from fastapi import FastAPI, Header
from starlette.responses import StreamingResponse

from cashews import Command, cache
from cashews.contrib.fastapi import (  # -> import
    CacheDeleteMiddleware,
    CacheEtagMiddleware,
    CacheRequestControlMiddleware,
    cache_control_ttl,
)

from shop.caching import configure
from shop import services

app = FastAPI()
app.add_middleware(CacheDeleteMiddleware)
app.add_middleware(CacheEtagMiddleware)
app.add_middleware(CacheRequestControlMiddleware)


@app.on_event("startup")
async def start():
    configure()
    await cache.init()


@app.get("/products/{category}")
@cache(ttl=cache_control_ttl(default="4m"), key="page:{category}:{accept_language:hash}")
async def products(category: str, accept_language: str = Header("en")):
    return await services.Products().listing(category)


@app.get("/admin/off")
async def off():
    cache.disable(Command.GET)  # -> disable
    with cache.disabling(Command.SET):
        ...
    return cache.is_enable(Command.GET)
""",
    "shop/jobs.py": """\
import cashews
from cashews import Cache as Store, cache as common, early, noself_cache

reports = Store("reports")
cashews.setup("mem://?copy=deep", enable=True)


@early(ttl="1h30", key="report:{number}")  # -> cold start, duration
async def report(number): ...


@common(ttl="1h")  # -> default key
async def totals(day): ...


@cashews.cache.failover(ttl="1h", key="fallback:{day}")
async def fallback(day): ...


class Nightly:
    def __init__(self, cache=None):
        self.cache = cache or Store("nightly")

    @noself_cache(ttl="1h", key="sums:{day}")
    async def sums(self, day): ...

    async def run(self, queue):
        self.cache.disable()  # -> disable
        queue.disable()
        queue.lock("jobs")
        await common.set("nightly", 1, expire="10m")
        async with reports.lock("nightly", expire="1m"):  # -> locks
            await reports.delete_tags("reports")  # -> tags
""",
    "tests/test_shop.py": """\
import pytest
from cashews import cache
from cashews.validation import invalidate_further  # -> import

@pytest.fixture(autouse=True)
def _cache():
    cache.setup("mem://", check_interval=1)  # -> mem://
    with cache.disabling():
        yield

async def test_hits():
    with cache.detect as detector:
        assert detector.calls == {}
    with invalidate_further():
        ...
    async for key in cache.scan("product:*"):
        ...
""",
}
