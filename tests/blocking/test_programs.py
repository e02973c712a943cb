"""The blocking face in programs with many loops, many processes, or cells: workers of queues, and notebooks."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import anyio
import pytest

from cashews import Cache, EventLoopError

ROOT = Path(__file__).parents[2]


def in_thread(function):
    found = []
    thread = Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_a_worker_may_run_a_loop_for_each_task(portals):
    """Guarantee 30: the loops of tasks end, nothing of them is left, and the cache of the module goes on."""
    cache, runs = Cache("jobs"), []
    cache.setup("mem://")

    @cache(ttl="1m", key="awaited:{number}")
    async def awaited(number):
        runs.append(number)
        return number * number

    @cache.blocking(ttl="1m", key="plain:{number}")
    def plain(number):
        runs.append(-number)
        return number * number

    def work():
        return [asyncio.run(awaited(number)) + plain(number) for number in (2, 2, 3, 2)]

    assert in_thread(work) == [8, 8, 18, 8]
    figures = cache.statistics()
    for _ in range(5):
        assert in_thread(work) == [8, 8, 18, 8]
    assert runs == [2, -2, 3, -3]
    assert len(portals()) == 1
    assert len(cache.statistics().actors) == len(figures.actors)
    cache.blocking.close()


POOL = """
import asyncio, multiprocessing, os, warnings
from cashews import Cache

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
cache = Cache("jobs")
cache.setup("mem://")


@cache.blocking(ttl="1m", key="plain:{name}")
def plain(name):
    return os.getpid()


@cache(ttl="1m", key="awaited:{name}")
async def awaited(name):
    return os.getpid()


def work(number):
    with cache.blocking.lock("job", "10s"):
        own = plain("child"), plain("child"), asyncio.run(awaited("child")), asyncio.run(awaited("child"))
    return plain("parent"), set(own) == {os.getpid()}


if __name__ == "__main__":
    parent = plain("parent"), asyncio.run(awaited("parent"))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(set(pool.map(work, range(20))) == {(os.getpid(), True)})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_workers_of_a_forked_pool_have_loops_of_their_own():
    """Guarantees 28 and 30: nothing has been closed, and each process ends."""
    done = subprocess.run(
        [sys.executable, "-c", POOL], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


COLLECTING = """
import faulthandler, gc, sys, threading
from cashews import Cache

faulthandler.dump_traceback_later(20, exit=True)
gc.disable()
cache = Cache("first")
cache.setup("mem://")


@cache.blocking.iterator(ttl="1m", key="numbers")
def numbers(circle):
    yield from range(9)


circle = []
circle.append(numbers(circle))
next(circle[0])
loads = [cache.statistics().loads]
del circle


def collect(*_):
    sys.setprofile(None)
    threading.setprofile(None)
    gc.collect()
    loads.append(cache.statistics().loads)


threading.setprofile(collect)  # in the first step of the next thread
other = Cache("second")
other.setup("mem://")
print(other.blocking.set("a", 1), loads)
"""


def test_the_collector_may_run_in_a_thread_that_begins():
    """Guarantee 28: a generator that was abandoned ends there."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECTING], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True [1, 0]\n"), done.stderr


async def test_a_cell_awaits_and_its_threads_block():
    cache = Cache("notebook")
    cache.setup("mem://")
    await cache.set("a", 1)
    with pytest.raises(EventLoopError, match="await the async command"):
        cache.blocking.get("a")
    assert await anyio.to_thread.run_sync(cache.blocking.get, "a") == 1
    assert await anyio.to_thread.run_sync(in_thread, lambda: cache.blocking.incr("n")) == 1
    assert await cache.get("n") == 1
    await cache.close()


def test_cells_of_one_loop_that_pauses_between_them():
    """Guarantee 30: a thread of the notebook is answered while no cell runs."""
    cache, loop = Cache("notebook"), asyncio.new_event_loop()
    cache.setup("mem://")
    loop.run_until_complete(cache.set("a", 1))
    assert in_thread(lambda: cache.blocking.get("a")) == 1
    assert cache.blocking.incr("a") == 2
    assert loop.run_until_complete(cache.get("a")) == 2
    loop.run_until_complete(cache.close())
    loop.close()
