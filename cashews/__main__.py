"""A short tour in the terminal: ``python -m cashews [--loop asyncio|trio|both]``. All its figures are measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec

import anyio

from cashews.api.cache import Cache
from cashews.cli.migrate_check import main as migrate_check
from cashews.clock import SystemClock

CALLERS = 1_000
HITS = 100_000
LOOPS = ("asyncio", "trio")
CLOCK = SystemClock()


class ServiceDownError(Exception):
    """The upstream service of the tour is down."""


class Upstream:
    """A slow service that counts its calls and can be switched off."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0
        self.down = False

    async def fetch(self, name: str) -> str:
        """Return the name with the number of the call."""
        self.calls += 1
        if self.down:
            raise ServiceDownError(name)
        await anyio.sleep(self.seconds)
        return f"{name} v{self.calls}"


def say(subject: str, result: str) -> None:
    """Print one line of the tour."""
    print(f"  {subject:<46} {result}", flush=True)


async def timed(call: Awaitable[str]) -> tuple[str, float]:
    """Return an answer, and the milliseconds that it took."""
    started = CLOCK.now()
    answer = await call
    return answer, (CLOCK.now() - started) * 1e3


async def wait(seconds: float, reason: str) -> None:
    """Sleep; in a terminal, a line shows the remaining time of a sleep of a second or more."""
    until = CLOCK.now() + seconds
    while (left := until - CLOCK.now()) > 0:
        if seconds >= 1 and sys.stdout.isatty():
            print(f"\r  ... {reason}: {left:.0f} s ", end="", flush=True)
        await anyio.sleep(min(left, 0.25))
    if seconds >= 1 and sys.stdout.isatty():
        print("\r" + " " * 60 + "\r", end="", flush=True)


async def stampede(cache: Cache) -> None:
    """Let many callers ask for one cold key at the same time."""
    upstream = Upstream(0.2)
    page = cache(ttl="10m", key="page:{name}")(upstream.fetch)
    started = CLOCK.now()
    async with anyio.create_task_group() as callers:
        for _ in range(CALLERS):
            callers.start_soon(page, "home")
    took = (CLOCK.now() - started) * 1e3
    say(f"{CALLERS:,} callers of one cold key, a 200 ms load", f"{upstream.calls} execution, {took:.0f} ms for all")


async def hits(cache: Cache) -> None:
    """Measure a decorated hit."""
    upstream = Upstream(0.0)
    user = cache(ttl="10m", key="user:{name}")(upstream.fetch)
    await user("ann")
    started = CLOCK.now()
    for _ in range(HITS):
        await user("ann")
    say(f"{HITS:,} decorated hits", f"{(CLOCK.now() - started) / HITS * 1e6:.2f} µs each")


async def expiry(cache: Cache) -> None:
    """Let a value expire."""
    upstream = Upstream(0.01)
    price = cache(ttl="1s", key="price:{name}")(upstream.fetch)
    before = await price("nuts")
    await wait(1.1, "a ttl of one second passes")
    say("a ttl of 1 s, before and after", f"{before} -> {await price('nuts')}")


async def early(cache: Cache) -> None:
    """Serve an old value at once while a new one is loaded."""
    upstream = Upstream(0.2)
    news = cache.early(ttl="10m", early_ttl="300ms", key="news:{name}")(upstream.fetch)
    await news("front")
    await wait(0.4, "the value grows old")
    old, took = await timed(news("front"))
    await wait(0.4, "the refresh runs behind our back")
    new, _ = await timed(news("front"))
    say("early: an ageing value is refreshed behind us", f"{old} in {took:.1f} ms, then {new}")


async def failover(cache: Cache) -> None:
    """Serve the last value while the service is down."""
    upstream = Upstream(0.01)
    rates = cache.failover(ttl="2h", exceptions=ServiceDownError, key="rates:{name}")(upstream.fetch)
    await rates("eur")
    upstream.down = True
    with cache.detect as detector:
        answer = await rates("eur")
    (record,) = detector.calls["fail:rates:eur"]
    say("failover: the service is down", f"{answer}, instead of {record['exc'].__name__}")


STAGES: tuple[Callable[[Cache], Awaitable[None]], ...] = (stampede, hits, expiry, early, failover)


async def tour() -> None:
    """Run all stages on one cache, and show that no task is left."""
    async with Cache.open("mem://") as cache:
        for stage in STAGES:
            await stage(cache)
        say("tasks of the cache", str(cache.statistics().tasks))
    say("tasks after its scope has ended", str(cache.statistics().tasks))


def main() -> None:
    """Read the command line and run the tour, or another command."""
    if sys.argv[1:2] == ["migrate-check"]:
        sys.exit(migrate_check(sys.argv[2:]))
    parser = argparse.ArgumentParser(
        prog="python -m cashews",
        description="A short tour of cashews.",
        epilog="another command: migrate-check PATH, for programs that come from cashews 7",
    )
    parser.add_argument("--loop", choices=[*LOOPS, "both"], default="both", help="which event loop (default: both)")
    wanted = parser.parse_args().loop
    for loop in LOOPS if wanted == "both" else (wanted,):
        if find_spec(loop) is None:
            print(f"{loop} is not installed; install it with: pip install cashews[trio]")
            continue
        print(f"cashews on {loop}")
        anyio.run(tour, backend=loop)


if __name__ == "__main__":
    main()
