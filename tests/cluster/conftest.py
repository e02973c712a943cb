"""Clusters of three masters: one of each kind of server for the whole session, and others of a test's own.

A test with `cluster` runs on Valkey and on redis, as far as they can be had; one with `own_cluster` or `replicated`,
which takes seconds, on Valkey alone, or on redis if there is no Valkey.
"""

from __future__ import annotations

import pytest

from tests.clusters import MASTERS, clustered
from tests.servers import binaries


@pytest.fixture(params=binaries() or ["none"])
def cluster(request, clusters):
    """A cluster without a key, with each slot at its first master."""
    found = clusters(request.param)
    found.bring_home()
    found.empty()
    return found


@pytest.fixture
def own_cluster():
    """A cluster of a test's own, whose nodes it may kill."""
    with clustered(next(iter(binaries()))) as found:
        yield found


@pytest.fixture
def replicated():
    """The same, with a replica of each master."""
    with clustered(next(iter(binaries())), replicas=MASTERS) as found:
        yield found
