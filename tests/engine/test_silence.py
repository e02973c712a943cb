"""The shortest programs end without a word, with every warning an error. Guarantee 28.

What is installed decides which anyio it is: the environment `lowest` runs these programs with the oldest.
"""

import subprocess
import sys

import pytest

BEGINNING = """
import sys
import anyio
from cashews import Cache

cache = Cache()
cache.setup(sys.argv[1])
loop = sys.argv[2]
"""

PROGRAMS = {
    "set": """
anyio.run(cache.set, "k", 1, 10, backend=loop)
""",
    "two loops": """
anyio.run(cache.set, "k", 1, 10, backend=loop)
anyio.run(cache.set, "k", 1, 10, backend=loop)
""",
    "a block": """
async def main():
    async with cache:
        await cache.set("k", 1, expire=10)

anyio.run(main, backend=loop)
""",
    "a function": """
@cache(ttl="10s", key="user:{user}")
async def name(user):
    return f"user {user}"

async def main():
    assert await name(1) == await name(1) == "user 1"

anyio.run(main, backend=loop)
""",
    "a refresh at the end": """
@cache.early(ttl="1h", early_ttl="1ms", key="k")
async def load():
    return 1

async def main():
    await load()
    await anyio.sleep(0.01)
    await load()

anyio.run(main, backend=loop)
""",
    "a lock": """
async def main():
    async with cache.lock("l", 10):
        pass

anyio.run(main, backend=loop)
""",
    "a transaction": """
async def main():
    async with cache.transaction():
        await cache.incr("k")

anyio.run(main, backend=loop)
""",
    "an error": """
async def main():
    await cache.set("k", 1, expire=10)
    sys.exit(0)

anyio.run(main, backend=loop)
""",
}


def start(program, url, loop):
    command = [sys.executable, "-W", "error", "-c", BEGINNING + program, url, loop]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(running):
    """Return the words of each program that is not silent, by its name."""
    words = {name: (process.communicate(timeout=60)[0], process.returncode) for name, process in running.items()}
    return {name: each for name, each in words.items() if each != ("", 0)}


def test_in_memory(anyio_backend):
    assert said({name: start(PROGRAMS[name], "mem://", anyio_backend) for name in PROGRAMS}) == {}


@pytest.mark.diskcache
def test_on_disk(anyio_backend, room):
    url = "disk://?directory={}"
    programs = {name: start(PROGRAMS[name], url.format(room / name), anyio_backend) for name in PROGRAMS}
    assert said(programs) == {}


@pytest.mark.redis
def test_on_redis(anyio_backend, server):
    assert said({name: start(PROGRAMS[name], server.url, anyio_backend) for name in PROGRAMS}) == {}
