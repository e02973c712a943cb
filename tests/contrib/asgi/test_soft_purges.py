"""Soft purges on each kind of store: what they write, what they leave alone, and in how many trips."""

import pytest

from cashews import Cache, Command, invalidate_further
from cashews.contrib.asgi import HTTPCache
from cashews.contrib.fastapi import CacheRequestControlMiddleware
from cashews.contrib.http.record import Reuse, unpack
from tests.contrib.asgi.world import Client, Origin

URL = "http://example.org/"
FIELDS = {"cache_control": "max-age=60, stale-while-revalidate=60", "cache_tag": "t"}
EACH_WAY = [{"url": URL}, {"tag": "t"}, {"match": f"{URL}*"}]


class Late:
    """A middleware that puts a response in the place of another when the write of the other comes."""

    def __init__(self):
        self.newer = {}

    async def __call__(self, call, cmd, backend, *args, **kwargs):
        if cmd is Command.SET and kwargs["key"] in self.newer:
            await backend.set(kwargs["key"], self.newer.pop(kwargs["key"]), 60)
        return await call(*args, **kwargs)


async def key_of(cache, path=""):
    (key,) = [key async for key in cache.scan(f"http:{URL}{path}")]
    return key


@pytest.mark.parametrize("purging", EACH_WAY)
async def test_a_response_that_comes_just_before_the_write_stays(stored, purging):
    """Another process may store between the last look of the purge and its write."""
    late = Late()
    stored.add_middleware(late)
    http = HTTPCache(Origin(**FIELDS), stored)
    client = Client(http)
    await client.get()
    await client.get("/newer")
    late.newer[await key_of(stored)] = await stored.get(await key_of(stored, "newer"))
    await http.purge(**purging, soft=True)
    assert not late.newer
    found = await client.get()
    assert (found.body, found.told.partition(";")[0]) == (b"2", "hit")
    assert (await client.get(cache_control="only-if-cached")).body == b"2"


@pytest.mark.parametrize("purging", EACH_WAY)
async def test_a_softened_response_keeps_its_tags_and_its_time(stored, purging):
    http = HTTPCache(Origin(**FIELDS), stored)
    client = Client(http)
    await client.get()
    key = await key_of(stored)
    left, tags = await stored.get_expire(key), await stored.get_key_tags(key)
    await http.purge(**purging, soft=True)
    assert (await stored.get_expire(key), await stored.get_key_tags(key)) == (left, tags)
    assert unpack(await stored.get(key)).reuse is Reuse.PURGED
    await stored.delete_tags("t")
    assert await stored.get(key) is None


@pytest.mark.redis
async def test_many_responses_are_softened_in_few_trips(server):
    """A purge takes more trips with each page, not with each response."""
    async with Cache.open(server.url) as cache:
        http = HTTPCache(Origin(**FIELDS), cache)
        client = Client(http)
        for number in range(64):
            await client.get(f"/{number}")
        before = cache.statistics().backends[""]["batches"]
        await http.purge(match=f"{URL}*", soft=True)
        assert cache.statistics().backends[""]["batches"] - before < 32
        found = [await client.get(f"/{number}") for number in range(64)]
    assert {answer.told.partition(";")[0] for answer in found} == {"hit"}


@pytest.mark.redis
async def test_the_times_of_many_values_are_asked_for_at_once(server):
    async with Cache.open(server.url) as cache:

        @cache(ttl="1m", key="value:{number}")
        async def load(number):
            return number

        async def app(_scope, _receive, send):
            for number in range(64):
                await load(number)
            before = cache.statistics().backends[""]["batches"]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            assert cache.statistics().backends[""]["batches"] - before < 32
            await send({"type": "http.response.body", "body": b""})

        found = await Client(CacheRequestControlMiddleware(app, cache)).get()
    assert found["cache-control"] == "private, max-age=60"


async def test_a_purge_that_clears_what_it_comes_upon_clears_no_response(cache):
    http = HTTPCache(Origin(**FIELDS), cache)
    client = Client(http)
    await client.get()
    with invalidate_further():
        await http.purge(URL, soft=True)
    assert (await client.get(cache_control="only-if-cached")).body == b"1"


async def test_a_purge_in_a_transaction_is_no_part_of_it(cache):
    http = HTTPCache(Origin(cache_control="max-age=60, must-revalidate"), cache)
    client = Client(http)
    await client.get()
    async with cache.transaction() as transaction:
        await http.purge(URL, soft=True)
        transaction.rollback()
    assert (await client.get()).body == b"2"
