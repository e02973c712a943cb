"""The race of `tests.near.race`, for a moment on every server and loop; and planted bugs that turn it red."""

import pytest

from tests.near.plants import PLANTS
from tests.near.race import faults, race
from tests.servers import Server, binaries

pytestmark = pytest.mark.redis
SECONDS = 2.0


@pytest.fixture(params=binaries() or ["none"])
def own_server(request):
    with Server(binaries()[request.param]) as server:
        yield server


def test_nothing_that_is_read_is_older_than_promised(own_server, anyio_backend):
    """Guarantee 31."""
    verdict = race(own_server, anyio_backend, SECONDS)
    assert faults(verdict) == [], str(verdict)
    assert verdict.marked > 500


def test_nothing_that_is_read_is_older_than_promised_while_links_break(own_server, anyio_backend):
    """Guarantee 31."""
    verdict = race(own_server, anyio_backend, SECONDS, cut=0.3)
    assert faults(verdict) == [], str(verdict)


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found(bug):
    with Server() as server:
        verdict = race(server, "asyncio", SECONDS * 2, cut=0.3 if bug == "kept through a cut" else 0.0, bug=bug)
    assert faults(verdict) != [], str(verdict)
