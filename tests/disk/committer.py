"""A process that commits until it is killed: `python committer.py DIRECTORY SHARDS`. It says which commits are done."""

import sys

import anyio

from cashews import Cache
from cashews.engine.transactions import TransactionMode

KEYS = tuple("abcdefgh")


async def main(directory, shards):
    async with Cache.open("disk://", directory=directory, shards=shards, suppress=False) as cache:
        number = await cache.get("a", 0)
        while True:
            number += 1
            async with cache.transaction(TransactionMode.FAST):  # no locks that would outlive the process
                for key in KEYS:
                    await cache.set(key, number)
                await cache.incr("counter")
                await cache.set("large", b"%d " % number * 10_000)
                await cache.set_add("set", str(number))
                await cache.set_remove("set", str(number - 1))
            print(number, flush=True)  # noqa: T201  whoever kills this process reads it


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
