"""Caches on a server in real time; what has to last is never waited for."""

from __future__ import annotations

import pytest

from cashews import Cache
from tests.servers import Server, binaries


@pytest.fixture
async def cache(server):
    async with Cache.open(server.patient_url, suppress=False) as cache:
        yield cache


@pytest.fixture
def asked():
    """``asked(cache)``: how many requests were sent to its server."""
    return lambda cache: cache.statistics().backends[""]["commands"]


@pytest.fixture(params=binaries() or ["none"])
def own_server(request):
    """``own_server(**config)``: a server that nobody else uses, to be entered."""
    return lambda **config: Server(binaries()[request.param], **config)
