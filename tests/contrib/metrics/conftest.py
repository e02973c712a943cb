import pytest

from cashews import Cache
from tests.servers import binaries


@pytest.fixture(
    params=[
        "mem:",
        pytest.param("redis:", marks=pytest.mark.redis),
        pytest.param("disk:", marks=pytest.mark.diskcache),
    ]
)
async def stored(request, clock, tmp_path):
    """A cache on each kind of store."""
    url = {"mem:": "mem://", "disk:": f"disk://?directory={tmp_path}"}.get(request.param)
    if url is None:
        url = request.getfixturevalue("empty")(next(iter(binaries()))).url
    async with Cache.open(url, clock=clock) as cache:
        yield cache
