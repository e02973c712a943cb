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


@pytest.mark.parametrize("fields", [{}, {"cache_tag": "t"}, {"vary": "x"}], ids=["plain", "tagged", "varying"])
@pytest.mark.parametrize(
    "purge", [{"tag": "t"}, {"url": "http://example.org/"}, {"url": "http://example.org/", "soft": True}, None]
)
async def test_what_another_process_purges_during_a_load_is_not_stored(server, fields, purge):
    """Guarantee 10: by tag or by URL, softly too, and by a request that changes something."""
    if purge == {"tag": "t"}:
        fields = {**fields, "cache_tag": "t"}
    origin = Origin(cache_control="max-age=60", **fields)
    made = []

    def http_of(cache):
        made.append(HTTPCache(origin, cache))
        return made[-1]

    async def use(clients):
        origin.gate = gate = anyio.Event()
        answer = clients[0].start()
        while not origin.calls:
            await anyio.lowlevel.checkpoint()
        origin.gate = None
        await (clients[1].get(method="POST") if purge is None else made[1].purge(**purge))
        gate.set()
        await answer.ended.wait()
        assert answer.body == b"1"
        assert (await clients[1].get(cache_control="only-if-cached")).status == 504
        answers = [await client.get() for client in (clients[1], clients[0])]
        assert [answer.body for answer in answers] == [b"%d" % origin.calls] * 2

    await both(server, http_of, use)


async def test_loads_of_other_urls_go_on_when_one_is_purged(server):
    origin = Origin(cache_control="max-age=60")
    origin.gate = anyio.Event()
    made = {}

    def http_of(cache):
        made[cache] = HTTPCache(origin, cache)
        return made[cache]

    async def use(clients):
        answers = [clients[0].start("/other")]
        while not origin.calls:
            await anyio.lowlevel.checkpoint()
        for http in made.values():
            await http.purge("http://example.org/")
        answers.append(clients[0].start("/other"))
        while not next(iter(made)).statistics().load_waiters and origin.calls < 2:
            await anyio.lowlevel.checkpoint()
        origin.gate.set()
        for answer in answers:
            await answer.ended.wait()
        assert [answer.body for answer in answers] == [b"1", b"1"]
        assert (await clients[1].get("/other", cache_control="only-if-cached")).body == b"1"

    await both(server, http_of, use)
