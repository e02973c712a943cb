"""The HTTP cache on a cluster: responses are stored and purged as on one server."""

import anyio
import pytest

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from tests.contrib.asgi.world import Client, Origin
from tests.servers import PATIENTLY

pytestmark = pytest.mark.redis
URL = "http://example.org/"


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("varies", [{}, {"vary": "x"}])
async def test_a_response_is_stored_and_purged_by_its_url(cluster, soft, varies):
    """Guarantee 33."""
    async with Cache.open(f"{cluster.url}?{PATIENTLY}") as cache:
        http = HTTPCache(Origin(cache_control="max-age=60, must-revalidate", **varies), cache)
        client = Client(http)
        assert [(await client.get()).body for _ in range(2)] == [b"1", b"1"]
        await http.purge(URL, soft=soft)
        assert (await client.get()).body == b"2"
        await client.get(method="POST")
        assert (await client.get()).body == b"4"


async def test_what_another_process_purges_during_a_load_is_not_stored(cluster):
    """Guarantee 10."""
    origin = Origin(cache_control="max-age=60", cache_tag="t")
    async with (
        Cache.open(f"{cluster.url}?{PATIENTLY}") as one,
        Cache.open(f"{cluster.url}?{PATIENTLY}") as other,
        anyio.create_task_group() as tasks,
    ):
        client, http = Client(HTTPCache(origin, one), tasks), HTTPCache(origin, other)
        for calls, purge in enumerate([{"url": URL}, {"tag": "t"}, {"url": URL}], start=1):
            origin.gate = gate = anyio.Event()
            answer = client.start()
            while origin.calls < calls:
                await anyio.lowlevel.checkpoint()
            await http.purge(**purge)
            gate.set()
            await answer.ended.wait()
            assert (await client.get(cache_control="only-if-cached")).status == 504
        origin.gate = None
        assert [(await client.get()).body for _ in range(2)] == [b"4", b"4"]
        await http.purge(tag="t")
        assert (await client.get()).body == b"5"
