"""Closed caches and replaced backends leave nothing alive."""

import gc
from weakref import ref

import pytest
from anyio import wait_all_tasks_blocked

from cashews import Cache
from tests.internals import inside

URLS = [
    "mem://",
    pytest.param("mem://?secret=s", id="mem-signed"),
    pytest.param("disk://", marks=pytest.mark.diskcache),
    pytest.param("redis://", marks=pytest.mark.redis),
]


class Watchful:
    """A middleware that can be referred to weakly."""

    async def __call__(self, call, _cmd, _backend, *args, **kwargs):
        return await call(*args, **kwargs)


@pytest.fixture
def store(request, room):
    """The URL and the options of a store of one's own."""
    if request.param == "redis://":
        return request.getfixturevalue("empty")(next(iter(request.getfixturevalue("kinds")))).patient_url, {}
    return request.param, {"directory": room} if request.param == "disk://" else {}


@pytest.fixture
def kinds():
    from tests.servers import binaries  # noqa: PLC0415  only tests on servers need one

    return binaries()


async def used(cache):
    """Use a cache in every way that makes tasks or remembers something."""

    @cache(10, key="k", tags=["t"])
    async def load():
        return 1

    await load()
    await cache.set("k2", 1, expire=10)
    async with cache.lock("l"), cache.transaction():
        await cache.incr("n")
    with cache.detect, cache.disabling(prefix=""):
        await cache.get("k")


async def gone(*references):
    """Say whether all objects are gone, once the tasks that were about to end have ended."""
    await wait_all_tasks_blocked()
    gc.collect()
    return all(reference() is None for reference in references)


@pytest.mark.parametrize("store", URLS, indirect=True)
@pytest.mark.parametrize("is_block", [True, False], ids=["block", "hosted"])
async def test_middlewares_backends_and_engines_of_a_closed_cache_die(store, is_block):
    url, options = store
    watchful, cache = Watchful(), Cache()
    cache.setup(url, middlewares=[watchful], **options)
    references = ref(watchful), ref(inside(cache).engine), ref(inside(cache).store())
    if is_block:
        async with cache:
            await used(cache)
    else:
        await used(cache)
        await cache.close()
    del watchful, cache
    assert await gone(*references)


@pytest.mark.parametrize("store", URLS, indirect=True)
async def test_a_backend_that_was_replaced_dies_with_its_middlewares(store):
    url, options = store
    watchful, cache = Watchful(), Cache()
    cache.setup(url, middlewares=[watchful], **options)
    references = ref(watchful), ref(inside(cache).store())
    async with cache:
        await used(cache)
        del watchful
        cache.setup("mem://")
        await used(cache)
    assert await gone(*references)
    assert cache.is_setup()
