"""The proofs of the client-side cache: each does one thing very often, and counts how often it went wrong.

``python -m tests.near.proofs`` runs each at full size, on every server that can be had and on both loops; ``--server
redis``, ``--loop trio`` and ``--proof removals`` choose. The suite runs each for a moment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.engine.coordinator.modes import TransactionMode
from tests.near.race import PREFIX
from tests.servers import Server, binaries

READERS = 8
PROMPT, TICKS, PAUSE = 0.05, 0.002, 0.05
"""The seconds that a change by another, the end of a life and the news of very many changes may take on an idle
machine."""
WORKERS = 4


@dataclass(slots=True)
class Outcome:
    """How often a proof did its thing, how often it went wrong, and the longest that anything took in seconds."""

    done: int = 0
    wrong: int = 0
    slowest: float = 0.0
    slow: int = 0
    """How often it took longer than it may on an idle machine."""

    def time(self, took: float, bound: float) -> None:
        self.slowest = max(self.slowest, took)
        self.slow += took > bound

    def __str__(self) -> str:
        return f"{self.wrong} of {self.done:,} wrong, {self.slow} slow, slowest {self.slowest * 1000:.1f} ms"


def opened(server: Server, **options: Any) -> Cache:
    """Return a cache with a near table, to be entered, in real time."""
    given = {"suppress": False, "client_side_prefix": PREFIX, **options}
    return Cache.open(server.patient_url, client_side=True, **given)


async def hits(server: Server, rounds: int) -> Outcome:
    """Read keys from memory, in every way: the server is asked nothing about them."""
    async with opened(server) as cache:

        @cache(ttl="1h", key="load:{number}")
        async def load(number: int) -> int:
            return number

        for number in range(10):
            await cache.set(f"k{number}", number)
            assert await load(number) == await load(number) == await cache.get(f"k{number}")
        server.forget_calls()
        outcome = Outcome()
        for done in range(rounds // 2):
            number = done % 10
            outcome.wrong += (await cache.get(f"k{number}"), await load(number)) != (number, number)
            outcome.done += 2
        called = server.called()
        outcome.wrong += called.get("get", 0) + called.get("evalsha", 0)
    return outcome


CHANGES = {
    "SET": (("SET", "{key}", "2"), 2),
    "DEL": (("DEL", "{key}"), None),
    "UNLINK": (("UNLINK", "{key}"), None),
    "APPEND": (("APPEND", "{key}", "2"), 12),
    "RENAME": (("RENAME", "{key}", "elsewhere"), None),
    "EXPIRE": (("EXPIRE", "{key}", "0"), None),
    "GETDEL": (("GETDEL", "{key}"), None),
    "INCR": (("INCR", "{key}"), 2),
    "FLUSHDB": (("FLUSHDB",), None),
    "FLUSHALL": (("FLUSHALL",), None),
}
"""Changes by another client of a key that holds 1, and its value then."""


async def changes(server: Server, rounds: int) -> Outcome:
    """Change a key from outside, in every way: it is seen without a word of ours to the server."""
    outcome, key = Outcome(), f"{PREFIX}k"
    async with opened(server) as cache:
        for words, after in CHANGES.values():
            change = [word.format(key=key) for word in words]
            for _ in range(rounds):
                server.command("SET", key, 1)
                await read_until(cache, 1)
                server.command(*change)
                outcome.time(await read_until(cache, after), PROMPT)
                outcome.done += 1
    return outcome


async def read_until(cache: Cache, value: object) -> float:
    """Read until a key has a value; return the seconds that it took."""
    began = monotonic()
    with anyio.fail_after(10):
        while await cache.get("k") != value:
            await checkpoint()
    return monotonic() - began


async def expiries(server: Server, rounds: int) -> Outcome:
    """Read keys of 100 ms past their ends, also while the server itself removes none that nobody asks for."""
    outcome, life = Outcome(), 0.1
    async with opened(server) as cache:
        for active in (1, 0):
            server.command("DEBUG", "SET-ACTIVE-EXPIRE", active)
            for start in range(0, rounds, 50):
                ends = {}
                for number in range(start, start + 50):
                    server.command("SET", f"{PREFIX}k{number}", 1, "PX", int(life * 1000))
                    ends[f"k{number}"] = monotonic() + life
                outcome.done += len(ends)
                while ends:
                    for key, end in tuple(ends.items()):
                        asked = monotonic()
                        if await cache.get(key) is None:
                            del ends[key]
                        else:
                            outcome.time(asked - end, TICKS)
                            outcome.wrong += asked - end > TICKS
                    await checkpoint()
    return outcome


async def delete_tags(cache: Cache) -> None:
    await cache.delete_tags("t")


async def delete_match(cache: Cache) -> None:
    await cache.delete_match("*")


async def clear(cache: Cache) -> None:
    await cache.clear()


async def commit(cache: Cache) -> None:
    async with cache.transaction():
        await cache.delete_tags("t")


async def fast_commit(cache: Cache) -> None:
    async with cache.transaction(mode=TransactionMode.FAST):
        await cache.delete_tags("t")


REMOVALS = (delete_tags, delete_match, clear, commit, fast_commit)
"""The removals that name no keys."""


async def removals(server: Server, rounds: int) -> Outcome:
    """Remove keys without their names while others read them: the next read finds nothing."""
    outcome, keys = Outcome(), ("a", "b")
    async with opened(server) as cache, reading(cache, keys):
        for remove in REMOVALS:
            for number in range(rounds):
                for key in keys:
                    await cache.set(key, number, tags=["t"])
                    outcome.wrong += await cache.get(key) != number
                await remove(cache)
                outcome.wrong += await cache.get_many(*keys) != (None, None) or await cache.get("a") is not None
                outcome.done += 1
    return outcome


@asynccontextmanager
async def reading(cache: Cache, keys: tuple[str, ...]) -> Any:
    """Read some keys all the time in the block, so that they are always in the near table."""

    async def read() -> None:
        while True:
            for key in keys:
                await cache.get(key)
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(READERS):
            tasks.start_soon(read)
        yield
        tasks.cancel_scope.cancel()


async def loads(server: Server, rounds: int) -> Outcome:
    """Delete keys from another cache while they are loaded, or do not: their values are stored only then."""
    outcome = Outcome()
    async with opened(server) as cache, opened(server) as other:
        overtake: list[Callable[[str], Awaitable[object]]] = [other.delete, lambda _: other.delete_tags("t")]
        ways = [None, *overtake]

        @cache(ttl="1h", key="{key}", tags=["t"])
        async def load(key: str, way: int) -> int:
            change = ways[way]
            if change is not None:
                await change(key)
            return way

        for number in range(rounds):
            for way, change in enumerate(ways):
                key = f"{number}:{way}"
                outcome.wrong += await load(key, way) != way
                outcome.wrong += server.command("EXISTS", PREFIX + key) != (change is None)
                server.command("SET", PREFIX + key, 1, "PX", 1)
                while await cache.get(key) is not None:
                    await checkpoint()
                outcome.wrong += await load(key, 0) != 0 or server.command("EXISTS", PREFIX + key) != 1
                outcome.done += 2
    return outcome


@asynccontextmanager
async def worker(*words: object) -> Any:
    """Run a process of `tests.near.workers` in the block, and wait for its end or end it."""
    command = [sys.executable, "-m", "tests.near.workers", *map(str, words)]
    async with await anyio.open_process(command, stdout=None, stderr=None) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def pairs(server: Server, rounds: int) -> Outcome:
    """Read two keys together that another process commits together: they are always equal."""
    outcome, found = Outcome(), set()

    async def read() -> None:
        while outcome.done < rounds or len(found) < WORKERS:
            await cache.get("a")
            await cache.get("b")
            one, two = await cache.get_many("a", "b")
            outcome.wrong += one != two
            outcome.done += 1
            found.add(one)
            await checkpoint()

    async with opened(server) as cache, worker("commit_pairs", server.patient_url), anyio.create_task_group() as tasks:
        for _ in range(READERS):
            tasks.start_soon(read)
    return outcome


async def counts(server: Server, rounds: int) -> Outcome:
    """Count up one key in transactions of several processes: nothing is lost."""
    async with anyio.create_task_group() as tasks:
        for _ in range(WORKERS):
            tasks.start_soon(work, "count", server.patient_url, rounds)
    async with opened(server) as cache:
        return Outcome(WORKERS * rounds, WORKERS * rounds - await cache.get("n"))


async def work(*words: object) -> None:
    async with worker(*words) as process:
        assert await process.wait() == 0


WRITE = "for number = 1, ARGV[2] do redis.call('SET', ARGV[1] .. number, 2) end"


async def news(server: Server, rounds: int) -> Outcome:
    """Hear of very many changes at once: other tasks run meanwhile."""
    outcome, keys = Outcome(rounds), [f"k{number}" for number in range(1, rounds + 1)]
    async with opened(server, client_side_size=rounds) as cache:
        for start in range(0, rounds, 1_000):
            await cache.get_many(*keys[start : start + 1_000])
        heard = figure(cache, "near_invalidations")
        assert figure(cache, "near_keys") == rounds
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, server.command, "EVAL", WRITE, 0, f"{PREFIX}k", rounds)
            with anyio.fail_after(60):
                while figure(cache, "near_invalidations") - heard < rounds:
                    began = monotonic()
                    await checkpoint()
                    outcome.time(monotonic() - began, PAUSE)
        outcome.wrong = figure(cache, "near_keys")
        outcome.wrong += await cache.get(keys[0]) != 2
    return outcome


def figure(cache: Cache, name: str) -> int:
    return cache.statistics().backends[""][name]


PROOFS: dict[Callable[[Server, int], Awaitable[Outcome]], tuple[int, int]] = {
    hits: (200, 20_000),
    changes: (5, 200),
    expiries: (50, 500),
    removals: (100, 5_000),
    loads: (10, 200),
    pairs: (2_000, 100_000),
    counts: (20, 500),
    news: (2_000, 50_000),
}
"""The proofs, each with its number of rounds in the suite and by command."""


def own_server(binary: str) -> Server:
    """Return a server for proofs, to be entered."""
    return Server(binary, enable_debug_command="yes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", action="append", choices=("asyncio", "trio"))
    parser.add_argument("--server", action="append", choices=tuple(binaries()))
    parser.add_argument("--proof", action="append", choices=tuple(proof.__name__ for proof in PROOFS))
    asked = parser.parse_args()
    failed = 0
    for proof, (_, rounds) in PROOFS.items():
        if asked.proof and proof.__name__ not in asked.proof:
            continue
        for kind in asked.server or binaries():
            for loop in asked.loop or ("asyncio", "trio"):
                with own_server(binaries()[kind]) as server:
                    outcome = anyio.run(proof, server, rounds, backend=loop)
                failed += outcome.wrong + outcome.slow
                print(f"{proof.__name__} {kind} {loop}: {outcome}", flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
