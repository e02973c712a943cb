import anyio
import pytest

from cashews import Cache
from cashews.testing import VirtualClock
from tests.contrib.asgi.world import Client, memory


@pytest.fixture
def clock():
    return VirtualClock(epoch=1_800_000_000.0)


@pytest.fixture
async def cache(clock):
    async with memory(clock) as cache:
        yield cache


@pytest.fixture
async def stored(url, clock):
    """A cache on each kind of store."""
    async with Cache.open(url, clock=clock) as cache:
        yield cache


@pytest.fixture
async def tasks():
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()


@pytest.fixture
def client_of(tasks):
    return lambda app: Client(app, tasks)
