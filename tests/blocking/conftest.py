"""A blocking face of a cache on each store, and crowds of threads."""

from threading import Barrier, Thread
from threading import enumerate as enumerate_threads

import pytest

from cashews import Cache
from tests.servers import PATIENCE, binaries


def gather(function, size=50):
    """Call a function in many threads, which begin together; return their results and errors."""
    outcomes, ready = [], Barrier(size)

    def run():
        ready.wait()
        try:
            outcomes.append(function())
        except Exception as error:  # noqa: BLE001  the outcome
            outcomes.append(error)

    workers = [Thread(target=run) for _ in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcomes


@pytest.fixture
def portals():
    """``portals()``: the threads with an event loop of a cache's own that have begun since the test did, and run."""

    def running():
        return {thread for thread in enumerate_threads() if thread.name == "cashews portal"}

    before = running()
    return lambda: running() - before


@pytest.fixture
def crowd():
    """``crowd(function, size)``: the results and errors of as many threads that begin together."""
    return gather


@pytest.fixture(
    params=[
        "mem",
        pytest.param("disk", marks=pytest.mark.diskcache),
        *[pytest.param(kind, id=f"redis@{kind}", marks=pytest.mark.redis) for kind in binaries() or ["none"]],
    ]
)
def stored(request, room):
    """A blocking face of a cache on each store."""
    if request.param == "mem":
        url, options = "mem://", {}
    elif request.param == "disk":
        url, options = "disk://", {"directory": room / "cache", "suppress": False, "timeout": PATIENCE}
    else:
        url, options = request.getfixturevalue("empty")(request.param).patient_url, {"suppress": False}
    with Cache.open_blocking(url, **options) as face:
        yield face
