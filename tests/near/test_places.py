"""The near table of a cache that is used in several event loops, threads and processes."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from tests.engine.elsewhere import LOOPS, elsewhere
from tests.internals import inside
from tests.near.conftest import PREFIX

pytestmark = pytest.mark.redis
ROOT = Path(__file__).parents[2]


@LOOPS
async def test_a_write_that_has_ended_in_one_loop_is_seen_in_every_other(cache, other):
    """Guarantees 30, 31."""
    newest, behind, ended = [-1], [], Event()

    async def read():
        while not ended.is_set():
            before = newest[0]
            found = await cache.get("k", default=-1)
            together, _ = await cache.get_many("k", "l", default=-1)
            behind.extend(value for value in (found, together) if value < before)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(elsewhere, read, other)
        try:
            for number in range(300):
                await cache.set("k", number)
                assert await cache.get("k") == number
                newest[0] = number
        finally:
            ended.set()
    assert behind == []


@LOOPS
async def test_a_write_of_another_loop_is_seen_in_the_home_of_the_table(cache, other):
    """Guarantees 30, 31."""

    async def write():
        await cache.set("k", number)

    for number in range(30):
        assert await cache.get("k") == (number - 1 if number else None)
        await elsewhere(write, other)
        assert await cache.get("k") == number


@LOOPS
async def test_no_load_is_followed_whose_caller_in_another_loop_was_cancelled(opened, server, other):
    """Also one that is cancelled while its announcement is on its way to the home of the table, or to the server."""
    async with opened(client_side_bytes=10) as cache:

        @cache(ttl="1h", key="k:{number}")
        async def load(number):
            await anyio.sleep_forever()
            return number

        async def call_and_leave():
            for number in range(400):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(load.refresh, number)
                    for _ in range(number):
                        await checkpoint()
                    tasks.cancel_scope.cancel()

        server.command("MSET", *[word for number in range(400) for word in (f"{PREFIX}k:{number}", "large" * 10)])
        await elsewhere(call_and_leave, other)
        await cache.ping()
        assert inside(cache).store()._near._followers == {}


FORK = """
import anyio, os, sys, warnings
from cashews import Cache
from tests.servers import Server

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
url, key, port = sys.argv[1:]
server = Server()
server.port = int(port)
cache = Cache()
cache.setup(url, client_side=True, client_side_prefix="near:")
server.command("SET", key, 1)
assert cache.blocking.get("k") == cache.blocking.get("k") == 1
child = os.fork()
if not child:
    server.command("SET", key, 2)
    found = [cache.blocking.get("k"), anyio.run(cache.get, "k")]
    server.command("SET", key, 3)
    while cache.blocking.get("k") == 2:
        cache.blocking.ping()
    os._exit(found != [2, 2])
_, status = os.waitpid(child, 0)
assert status == 0
while cache.blocking.get("k") != 3:
    cache.blocking.ping()
cache.blocking.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_the_child_of_a_fork_begins_with_nothing_in_memory(server):
    """Guarantees 14, 31: and takes nothing from its parent, to which the changes are told."""
    words = [server.patient_url, f"{PREFIX}k", str(server.port)]
    done = subprocess.run(
        [sys.executable, "-c", FORK, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_write_of_one_thread_is_seen_by_every_other(server):
    """Guarantee 31."""
    cache, behind, newest, ended = Cache(), [], [0], Event()
    cache.setup(server.patient_url, client_side=True, client_side_prefix=PREFIX)

    def read():
        while not ended.is_set():
            before = newest[0]
            found = cache.blocking.get("k", default=0)
            if found < before:
                behind.append((found, before))

    thread = Thread(target=read)
    thread.start()
    try:
        for number in range(1, 200):
            cache.blocking.set("k", number)
            newest[0] = number
            assert cache.blocking.get("k") == number
    finally:
        ended.set()
        thread.join()
        cache.blocking.close()
    assert behind == []
