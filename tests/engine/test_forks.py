"""Workers forked from one process, each with a cache that was set up before (guarantees 13, 14 and 30)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKERS, SECONDS = 10, 2


def forked(url, **options):
    """Fork workers, and return the account of each."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.engine.forked", url, json.dumps(options)]
    done = subprocess.run(
        [*command, str(WORKERS), str(SECONDS)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    told = json.loads(done.stdout)
    assert len(told) == WORKERS
    assert all(told), done.stderr
    return told


def check(told):
    draws = [draw for worker in told for draw in worker["draws"]]
    assert len(set(draws)) == len(draws)
    assert len({worker["given"] for worker in told}) == 1  # a seed of the user's stays
    for worker in told:
        assert "error" not in worker, worker
        assert (worker["mixed runs"], worker["foreign unlocks"]) == (0, 0)
    assert sum(worker["runs"] for worker in told)
    assert sum(worker["turns"] for worker in told)


pytestmark = [] if hasattr(os, "fork") else [pytest.mark.skip("there are no forks here")]


@pytest.mark.diskcache
def test_workers_with_one_directory_share_neither_chance_nor_tokens(room):
    check(forked("disk://", directory=str(room), suppress=False, timeout=30))


@pytest.mark.redis
def test_workers_with_one_server_share_neither_chance_nor_tokens(server):
    check(forked(server.url, suppress=False, socket_timeout=30))
