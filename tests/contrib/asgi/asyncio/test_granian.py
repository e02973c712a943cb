"""The middleware behind granian."""

import pytest
from anyio import Event, create_task_group
from granian.constants import Interfaces
from granian.server.embed import Server
from httpx import AsyncClient, AsyncHTTPTransport

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from tests.contrib.asgi.world import Origin

pytestmark = pytest.mark.integration


async def test_every_response_has_one_date_and_hits_and_parts_arrive(tmp_path):
    origin = Origin(cache_control="max-age=60", etag='"a"', body=b"0123456789")
    place, begun = tmp_path / "socket", Event()
    async with Cache.open("mem://") as cache, create_task_group() as tasks:
        server = Server(HTTPCache(origin, cache), uds=place, interface=Interfaces.ASGINL, log_enabled=False)
        server.on_startup(begun.set)
        tasks.start_soon(server.serve)
        await begun.wait()
        async with AsyncClient(transport=AsyncHTTPTransport(uds=str(place)), base_url="http://example.org") as client:
            answers = [
                await client.get("/"),
                await client.get("/"),
                await client.get("/", headers={"range": "bytes=2-4"}),
                await client.get("/", headers={"if-none-match": '"a"'}),
                await client.head("/"),
                await client.post("/"),
                await client.get("/", headers={"cache-control": "only-if-cached"}),
            ]
        server.stop()
    assert [answer.status_code for answer in answers] == [200, 200, 206, 304, 200, 200, 504]
    assert [answer.content for answer in answers[:4]] == [b"0123456789", b"0123456789", b"234", b""]
    assert [len(answer.headers.get_list("date")) for answer in answers] == [1] * len(answers)
    assert origin.calls == 2
