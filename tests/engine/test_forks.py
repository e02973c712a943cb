"""Workers forked from one process, each with a cache that was set up before (guarantees 13, 14 and 30)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.elsewhere import KINDS

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


IN_MEMORY = """
import anyio, asyncio, os, threading, warnings
from cashews import Cache

warnings.simplefilter("ignore", DeprecationWarning)
cache = Cache()
cache.setup("mem://")

@cache(ttl=60, key="load")
async def load(ended):
    if not ended:
        await asyncio.sleep(60)
    return "loaded"

async def hold():
    async with cache.lock("lock", 60):
        await asyncio.sleep(60)

async def write():
    async with cache.transaction():
        await cache.set("written", 1)
        await asyncio.sleep(60)

def in_a_loop_of_its_own():
    async def use():
        while not ended.is_set():
            assert await cache.get("k") == "kept"
    asyncio.run(use())

async def main():
    await cache.set("k", "kept", expire=60)
    threads = [threading.Thread(target=in_a_loop_of_its_own) for _ in range(3)]
    for thread in threads:
        thread.start()
    tasks = [asyncio.create_task(each) for each in (load(False), hold(), write())]
    while not (await cache.is_locked("lock") and cache.statistics().loads):
        await asyncio.sleep(0)
    child = os.fork()
    if not child:
        asyncio._set_running_loop(None)
        anyio.run(use, backend=os.environ["LOOP"])
        os._exit(0)
    ended.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0, status
    assert await cache.get_many("k", "of the child") == ("kept", None)
    print("parent and child are well")

async def use():
    with anyio.fail_after(30):
        assert await cache.get("k") == "kept"
        assert cache.statistics().loads == 0
        assert await load(True) == "loaded"
        async with cache.lock("lock", 60), cache.transaction():
            await cache.set("written", 2)
        assert await cache.get("written") == 2
        await cache.set("of the child", 1, expire=60)
        await cache.close()

ended = threading.Event()
asyncio.run(main())
"""


@pytest.mark.parametrize("loop", KINDS)
def test_what_the_parent_holds_holds_nobody_up_in_the_child(loop):
    """Guarantee 30: values of memory are kept; locks, transactions and loads of tasks that are not there are none."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", IN_MEMORY],
        cwd=ROOT,
        env={**os.environ, "LOOP": loop},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("parent and child are well\n", 0), done.stderr
