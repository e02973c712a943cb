"""The end of a process: no thread keeps it alive, whatever was done with its loops, and no write on its way is lost."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.diskcache

BEGINNING = """
import asyncio, os, sys
from cashews import Cache
cache = Cache()
cache.setup("disk://", directory=sys.argv[1], suppress=False)
"""

BY_HAND = """
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
loop.run_until_complete(cache.set("k", 1))
"""

PROGRAMS = {
    "closed": "loop.close()\nprint(1)",
    "not closed": "print(1)",
    "not closed, waited for in another": """
assert asyncio.run(cache.get("k")) == 1
print(1)""",
    "an error": """
try:
    loop.run_until_complete(cache.incr("k", "no number"))
except Exception:
    print(1)""",
    "in a thread": """
import threading
def work():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(cache.set("in a thread", 1))
loop.close()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(1)""",
}


def run(program, directory):
    command = [
        sys.executable,
        "-X",
        "dev",
        "-W",
        "error",
        "-W",
        "ignore::ResourceWarning",
        "-c",
        program,
        str(directory),
    ]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_process_ends_whose_loop_was_made_by_hand(name, directory):
    """Guarantee 28: nothing keeps a process alive."""
    done = run(BEGINNING + BY_HAND + PROGRAMS[name], directory)
    assert (done.stdout, done.returncode) == ("1\n", 0)
    assert "Traceback" not in done.stderr


def test_a_write_that_waits_when_the_process_ends_is_finished(directory):
    """The loop has stopped, so that nobody receives the reply."""
    done = run(
        BEGINNING
        + """
async def main():
    await cache.set("k", 0)
    asyncio.ensure_future(cache.set("late", "x" * 100))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)
loop.run_until_complete(main())
""",
        directory,
    )
    assert done.returncode == 0
    done = run(BEGINNING + "print(len(asyncio.run(cache.get('late'))))", directory)
    assert done.stdout == "100\n"


FORKS = {
    "while it is open": """
async def main():
    async with cache:
        await cache.set("parent", 1)
        child = os.fork()
        if child:
            await cache.set("parent", 2)
            assert os.waitpid(child, 0)[1] == 0
            assert await cache.get_many("parent", "child") == (2, 3)
            print(1)
        else:
            asyncio._set_running_loop(None)
            asyncio.run(use())
            os._exit(0)

async def use():
    assert await cache.get("parent") in {1, 2}
    await cache.set("child", 3)

asyncio.run(main())
""",
    "while it is hosted": """
async def main():
    await cache.set("parent", 1)
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        assert await cache.get_many("parent", "child") == (1, 3)
        print(1)
    else:
        asyncio._set_running_loop(None)
        asyncio.run(use())
        os._exit(0)

async def use():
    await cache.set("child", 3)
    assert await cache.get("parent") == 1

asyncio.run(main())
""",
    "in a pool": """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def count(_):
    return asyncio.run(cache.incr("counter"))

async def main():
    await cache.incr("counter")
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        counts = await asyncio.gather(*(asyncio.get_running_loop().run_in_executor(pool, count, n) for n in range(20)))
    assert sorted(counts) == list(range(2, 22))
    assert await cache.get("counter") == 21
    print(1)

asyncio.run(main())
""",
}


@pytest.mark.parametrize("name", FORKS)
def test_parent_and_child_go_on_after_a_fork(name, directory):
    """Guarantee 30: no file that was open before the fork is used by both."""
    done = run(
        BEGINNING.replace("import", "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\nimport", 1)
        + FORKS[name],
        directory,
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
