"""Two caches on one server, as in two processes: each has its own memory of what is being loaded."""

import anyio
import pytest

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from tests.contrib.asgi.world import Client, Origin

pytestmark = pytest.mark.redis


async def both(server, http_of, use):
    async with Cache.open(server.url) as one, Cache.open(server.url) as other, anyio.create_task_group() as tasks:
        await use([Client(http_of(cache), tasks) for cache in (one, other)])


async def test_under_a_lock_several_processes_load_once(server):
    origin = Origin(cache_control="max-age=60")
    origin.gate = anyio.Event()

    async def use(clients):
        answers = [client.start() for client in clients for _ in range(10)]
        while not origin.calls:
            await anyio.lowlevel.checkpoint()
        origin.gate.set()
        for answer in answers:
            await answer.ended.wait()
        assert {answer.body for answer in answers} == {b"1"}

    await both(server, lambda cache: HTTPCache(origin, cache, lock=True), use)
    assert origin.calls == 1


async def test_a_tag_that_another_process_deletes_during_a_load_keeps_the_response_from_the_store(server):
    """Guarantee 10."""
    origin = Origin(cache_control="max-age=60", cache_tag="t")
    origin.gate = anyio.Event()
    made = []

    def http_of(cache):
        made.append(HTTPCache(origin, cache))
        return made[-1]

    async def use(clients):
        answer = clients[0].start()
        while not origin.calls:
            await anyio.lowlevel.checkpoint()
        await made[1].purge(tag="t")
        origin.gate.set()
        await answer.ended.wait()
        assert (await clients[1].get(cache_control="only-if-cached")).status == 504
        assert (await clients[1].get()).body == b"2"
        assert (await clients[0].get()).body == b"2"

    await both(server, http_of, use)
