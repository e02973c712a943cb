"""`setup()`: options that are off, URLs, and programs that speak to the cache before it is set up."""

import pytest

from cashews import Cache, Command
from cashews.exceptions import NotConfiguredError, UnknownOptionError, WrongOptionError

URLS = [
    "mem://",
    pytest.param("redis://localhost", marks=pytest.mark.redis),
    pytest.param("disk://", marks=pytest.mark.diskcache),
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("value", [False, None, 0, "0", "false", "off", ""])
def test_a_mode_that_is_off_is_accepted_by_every_store(url, value):
    Cache().setup(url, client_side=value, cluster=value)
    if isinstance(value, str):
        Cache().setup(f"{url}?client_side={value}")


@pytest.mark.parametrize("url", ["mem://", pytest.param("disk://", marks=pytest.mark.diskcache)])
def test_a_mode_that_is_on_is_refused_by_every_store(url):
    with pytest.raises((UnknownOptionError, WrongOptionError), match="cluster"):
        Cache().setup(url, cluster=True)


@pytest.mark.parametrize("url", ["mem://", pytest.param("disk://", marks=pytest.mark.diskcache)])
def test_a_client_side_cache_is_refused_where_there_is_no_server(url):
    with pytest.raises((UnknownOptionError, WrongOptionError), match="client_side"):
        Cache().setup(url, client_side=True)


@pytest.mark.parametrize(
    "url", ["mem://#size=5", "mem://?size=5#", "redis://localhost/1#a", "disk://?directory=/x#y", "x://#"]
)
def test_a_fragment_is_an_error(url):
    with pytest.raises(WrongOptionError, match=r"option 'url' is '.*://...'; allowed: a URL without '#'"):
        Cache().setup(url)
    with pytest.raises(WrongOptionError, match="allowed: a URL without '#'"):
        Cache().setup_tags_backend(url)


async def test_init_with_a_url_sets_the_cache_up():
    cache = Cache()
    assert not cache.is_init
    await cache.init("mem://", size=7, prefix="user:")
    assert cache.is_init
    assert await cache.set("user:1", 1)
    with pytest.raises(NotConfiguredError):
        await cache.get("k")
    await cache.init()
    assert await cache.get("user:1") == 1
    await cache.close()
    assert not cache.is_init
    await cache.init()
    assert cache.is_init
    await cache.close()


async def test_a_middleware_may_come_before_the_backend():
    seen = []

    async def outer(call, cmd, _backend, *args, **kwargs):
        seen.append(("outer", cmd))
        return await call(*args, **kwargs)

    async def inner(call, cmd, _backend, *args, **kwargs):
        seen.append(("inner", cmd))
        return await call(*args, **kwargs)

    cache = Cache()
    cache.add_middleware(inner)
    cache.add_middleware(inner, prefix="user:")
    cache.setup("mem://", middlewares=[outer])
    await cache.get("user:1")
    assert seen == [("outer", Command.GET), ("inner", Command.GET)]
    seen.clear()
    cache.setup("mem://", prefix="user:")
    await cache.get("user:1")
    assert seen == [("inner", Command.GET)]
    seen.clear()
    cache.setup("mem://", prefix="user:")
    await cache.get("user:1")
    assert seen == []
    with pytest.raises(NotConfiguredError, match="'unknown'"):
        cache.add_middleware(inner, prefix="unknown")
    await cache.close()


def test_the_options_of_a_call_may_be_given_by_position():
    cache = Cache()
    for decorate in (cache, cache.early, cache.soft, cache.hit, cache.dynamic, cache.failover, cache.iterator):
        given = {
            cache.early: ("1m", None, "10s"),
            cache.soft: ("1m", None, "10s", Exception),
            cache.hit: ("1m", 1, 1, None),
        }
        given[cache.failover] = ("1m", None, None)
        assert decorate(*given.get(decorate, ("1m", None)), None, "3s").plan.min_cost == 3.0
