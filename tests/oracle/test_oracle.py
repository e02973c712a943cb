"""A minute of the oracle on every store: no read sees a version older than an invalidation that ended before it."""

import logging

import pytest

from tests.oracle.episode import Tally, run_episode

EPISODES = 8
SEEDS = range(1, 1 + EPISODES)


@pytest.fixture
def _quiet_log(caplog):
    """Failures are part of the program: they are not worth a log."""
    caplog.set_level(logging.CRITICAL, logger="cashews")


@pytest.mark.usefixtures("_quiet_log", "anyio_backend")
@pytest.mark.parametrize("options", [{}, {"copy": "deep"}], ids=["shared", "copies"])
async def test_no_read_in_memory_sees_a_version_from_before_its_invalidation(options):
    """Guarantees 10, 18."""
    tally = Tally()
    for seed in SEEDS:
        await run_episode("mem://", options, seed, tally)
    assert tally.reads > 1_000
    assert tally.old_reads > 100, "the program does read from the cache"


@pytest.mark.diskcache
@pytest.mark.usefixtures("_quiet_log", "anyio_backend")
async def test_no_read_on_disk_sees_a_version_from_before_its_invalidation(tmp_path):
    tally = Tally()
    for seed in (1, 2):
        await run_episode("disk://", {"directory": str(tmp_path), "suppress": False, "timeout": 30}, seed, tally)
    assert tally.reads > 200


@pytest.mark.redis
@pytest.mark.usefixtures("_quiet_log", "anyio_backend")
async def test_no_read_on_a_server_sees_a_version_from_before_its_invalidation(server):
    tally = Tally()
    patience = {"suppress": False, "socket_timeout": 30, "socket_connect_timeout": 30}
    for seed in (1, 2):
        await run_episode(server.url, patience, seed, tally)
    assert tally.reads > 200
