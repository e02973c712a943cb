"""A memory cache on a clock that the test owns."""

import pytest

from cashews import Cache
from cashews.testing import VirtualClock


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://?size=100", clock=clock) as cache:
        yield cache
