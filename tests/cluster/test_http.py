"""The HTTP cache on a cluster: responses without tags are stored and purged as on one server."""

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


async def test_a_response_with_tags_is_not_stored(cluster):
    """There it could not be purged by them."""
    async with Cache.open(f"{cluster.url}?{PATIENTLY}") as cache:
        client = Client(HTTPCache(Origin(cache_control="max-age=60", cache_tag="t"), cache))
        assert [(await client.get()).body for _ in range(2)] == [b"1", b"2"]
        await client.get(method="POST")
