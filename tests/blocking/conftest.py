"""A blocking face of a cache on each store, and crowds of threads."""

from threading import Barrier, Thread
from threading import enumerate as enumerate_threads

import pytest

from cashews import Cache


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


@pytest.fixture
def stored(patient):
    """A blocking face of a cache on each store."""
    url, options = patient
    with Cache.open_blocking(url, **options) as face:
        yield face
