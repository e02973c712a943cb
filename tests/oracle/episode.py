"""One episode: a cache, some tasks that do random things with it, and what has to be true at its end.

Everything random comes from one seed; on a real loop the interleaving of tasks that wait for a server or a thread does
not. A program that fails is run again from its seed until it fails again.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from cashews import Cache, Command, TransactionMode, add_prefix, invalidate_further
from cashews.exceptions import CacheError
from tests.oracle.changes import change_loaded, check_changed
from tests.oracle.world import ITEMS, StaleReadError, World

TASKS = 8
STEPS = 60
"""Operations of one task in one episode, about."""


class DeliberateError(Exception):
    """A failure of the program's own: of a middleware, a listener, a load, or a transaction's body."""


@dataclass
class Mischief:
    """A middleware that delays commands and fails some, before or after they have taken effect."""

    random: Random
    failures: float
    failed: int = 0

    async def __call__(self, call: Any, cmd: Command, backend: Any, *args: Any, **kwargs: Any) -> Any:
        chance = self.random.random
        if chance() < self.failures and cmd is not Command.UNLOCK:
            self.failed += 1
            raise DeliberateError(cmd)
        for _ in range(self.random.choice((0, 0, 0, 1, 2))):
            await checkpoint()
        reply = await call(*args, **kwargs)
        if chance() < self.failures and cmd not in {Command.UNLOCK, Command.SET_LOCK}:
            self.failed += 1
            raise DeliberateError(cmd)
        return reply


@dataclass
class Tally:
    """Figures of a whole run."""

    operations: int = 0
    reads: int = 0
    old_reads: int = 0
    cancelled: int = 0
    errors: int = 0
    by_name: dict[str, int] = field(default_factory=dict)


class Episode:
    """A cache with its decorated functions, and the steps that tasks take."""

    def __init__(self, cache: Cache, seed: int, tally: Tally) -> None:
        self.cache = cache
        self.random = Random(seed)
        self.world = World()
        self.tally = tally
        self.functions = self._decorate(cache)
        self.steps: list[tuple[int, str, Callable[[Random], Awaitable[None]]]] = [
            (30, "call", self.call),
            (10, "get", self.get),
            (4, "get_many", self.get_many),
            (4, "get_or_set", self.get_or_set),
            (3, "get_match", self.get_match),
            (4, "set", self.set),
            (2, "set_many", self.set_many),
            (3, "set_tagged", self.set_tagged),
            (6, "invalidate_call", self.invalidate_call),
            (5, "delete", self.delete),
            (3, "delete_many", self.delete_many),
            (3, "delete_match", self.delete_match),
            (6, "delete_tags", self.delete_tags),
            (1, "clear", self.clear),
            (2, "decorated invalidate", self.decorated_invalidate),
            (2, "expire now", self.expire_now),
            (3, "refresh", self.refresh),
            (3, "invalidate_further", self.invalidate_further),
            (5, "transaction", self.transaction),
            (3, "lock", self.lock),
            (2, "noise", self.noise),
            (1, "disabling", self.disabling),
            (1, "detect", self.detect),
            (2, "other tags", self.other_tags),
        ]

    # --- decorated functions: each answers the version of an item, read at some moment of its run

    def _decorate(self, cache: Cache) -> dict[str, Any]:
        world, random = self.world, self.random
        tags = ("all", "item:{item}")

        async def load(item: str) -> int:
            for _ in range(random.randrange(3)):
                await checkpoint()
            seen = world.versions[item]
            for _ in range(random.randrange(6)):
                await checkpoint()
            if random.random() < 0.03:
                raise DeliberateError(item)
            return seen

        def result_tag(_result: Any, item: str) -> tuple[str, ...]:
            return (f"result:{item}",)

        def make(name: str, decorate: Any) -> Any:
            async def function(item: str) -> int:
                return await load(item)

            function.__name__ = function.__qualname__ = name
            return decorate(function)

        ttl = 60
        return {
            "simple": make("simple", cache(ttl, key="simple:{item}")),
            "tagged": make("tagged", cache(ttl, key="tagged:{item}", tags=tags)),
            "result": make("result", cache(ttl, key="result:{item}", tags=["all", result_tag])),
            "early": make("early", cache.early(ttl, early_ttl=0.0001, key="{item}", tags=tags)),
            "soft": make("soft", cache.soft(ttl, soft_ttl=0.0001, key="{item}", tags=tags)),
            "hit": make("hit", cache.hit(ttl, cache_hits=3, update_after=2, key="{item}", tags=tags)),
            "failover": make("failover", cache.failover(ttl, DeliberateError, key="{item}", tags=tags)),
            "locked load": make("locked load", cache(ttl, key="lockedload:{item}", lock=True, tags=tags)),
            "soft timeout": make(
                "soft timeout", cache.early(ttl, early_ttl=0.0001, key="st:{item}", soft_timeout=0.001)
            ),
            "upper": make("upper", cache(ttl, key="upper:{item}", upper=True)),
            "unprotected": make("unprotected", cache(ttl, key="unprotected:{item}", protected=False, tags=tags)),
        }

    def keys_of(self, item: str) -> list[str]:
        """The keys under which versions of an item may lie."""
        return [f"item:{item}", f"gos:{item}", *(function.key(item) for function in self.functions.values())]

    # --- reading

    async def call(self, random: Random) -> None:
        name, item = random.choice(list(self.functions)), random.choice(ITEMS)
        floor = self.world.floors[item]
        seen = await self.functions[name](item)
        self.world.check(item, floor, seen, name)

    async def get(self, random: Random) -> None:
        item = random.choice(ITEMS)
        floor = self.world.floors[item]
        seen = await self.cache.get(f"item:{item}")
        if seen is not None:
            self.world.check(item, floor, seen, "get")

    async def get_many(self, random: Random) -> None:
        items = random.sample(ITEMS, 3)
        floors = [self.world.floors[item] for item in items]
        values = await self.cache.get_many(*(f"item:{item}" for item in items))
        for item, floor, seen in zip(items, floors, values, strict=True):
            if seen is not None:
                self.world.check(item, floor, seen, "get_many")

    async def get_or_set(self, random: Random) -> None:
        item = random.choice(ITEMS)
        floor = self.world.floors[item]

        async def load() -> int:
            await checkpoint()
            seen = self.world.versions[item]
            for _ in range(random.randrange(4)):
                await checkpoint()
            return seen

        tags = ("all", f"item:{item}") if random.random() < 0.5 else ()
        seen = await self.cache.get_or_set(f"gos:{item}", load, 60, tags=tags)
        self.world.check(item, floor, seen, "get_or_set")

    async def get_match(self, random: Random) -> None:
        floors = dict(self.world.floors)
        async for key, seen in self.cache.get_match("item:*"):
            item = key.removeprefix("item:")
            if item in floors and seen is not None:
                self.world.check(item, floors[item], seen, "get_match")
            if random.random() < 0.1:
                return

    # --- changing: every block leaves the item's keys without an older version

    async def _forget(self, keys: list[str], random: Random) -> None:
        """Delete keys, in one of the ways there are."""
        if random.random() < 0.5:
            await self.cache.delete_many(*keys)
        else:
            for key in keys:
                await self.cache.delete(key)

    async def set(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.world.changing([item]) as versions:
            await self._forget([key for key in self.keys_of(item) if key != f"item:{item}"], random)
            if not await self.cache.set(f"item:{item}", versions[item], random.choice((None, 60, "1m"))):
                raise DeliberateError("not stored")

    async def set_tagged(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.world.changing([item]) as versions:
            await self._forget([key for key in self.keys_of(item) if key != f"item:{item}"], random)
            if not await self.cache.set(f"item:{item}", versions[item], 60, tags=["all", f"item:{item}"]):
                raise DeliberateError("not stored")

    async def set_many(self, random: Random) -> None:
        items = random.sample(ITEMS, 2)
        async with self.world.changing(items) as versions:
            for item in items:
                await self._forget([key for key in self.keys_of(item) if key != f"item:{item}"], random)
            await self.cache.set_many({f"item:{item}": version for item, version in versions.items()}, 60)

    async def invalidate_call(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.world.changing([item]):
            await self._forget([f"item:{item}", f"gos:{item}"], random)
            for function in random.sample(list(self.functions.values()), len(self.functions)):
                await function.invalidate(item)

    async def delete(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.world.changing([item]):
            for key in self.keys_of(item):
                await self.cache.delete(key)

    async def delete_many(self, random: Random) -> None:
        items = random.sample(ITEMS, 2)
        async with self.world.changing(items):
            await self.cache.delete_many(*(key for item in items for key in self.keys_of(item)))

    async def delete_match(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.world.changing([item]):
            await self.cache.delete_match(f"*:{item}")

    async def delete_tags(self, random: Random) -> None:
        """Delete what carries tags by its tags, and the rest by its keys."""
        if random.random() < 0.2:
            items, tags = list(ITEMS), ["all"]
        else:
            items = random.sample(ITEMS, random.randrange(1, 3))
            tags = [tag for item in items for tag in (f"item:{item}", f"result:{item}")]
        bare = ("simple", "soft timeout", "upper")
        async with self.world.changing(items):
            await self.cache.delete_tags(*tags)
            for item in items:
                keys = [f"item:{item}", f"gos:{item}", *(self.functions[name].key(item) for name in bare)]
                await self._forget(keys, random)

    async def other_tags(self, random: Random) -> None:
        """Delete tags that nothing carries: nobody has to notice."""
        await self.cache.delete_tags("nobody's", f"unknown:{random.randrange(3)}")

    async def clear(self, _: Random) -> None:
        async with self.world.changing(ITEMS):
            await self.cache.clear()

    async def decorated_invalidate(self, random: Random) -> None:
        item = random.choice(ITEMS)

        @self.cache.invalidate("*:{item}")
        async def change(item: str) -> str:
            await checkpoint()
            return item

        async with self.world.changing([item]):
            await change(item)

    async def expire_now(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.world.changing([item]):
            for key in self.keys_of(item):
                if random.random() < 0.5:
                    await self.cache.expire(key, 0)
                else:
                    await self.cache.set(key, "gone", 0)

    async def invalidate_further(self, random: Random) -> None:
        name, item = random.choice(list(self.functions)), random.choice(ITEMS)
        floor = self.world.floors[item]
        with invalidate_further():
            seen = await self.functions[name](item)
        self.world.check(item, floor, seen, f"{name} under invalidate_further")

    async def refresh(self, random: Random) -> None:
        name, item = random.choice(list(self.functions)), random.choice(ITEMS)
        floor = self.world.floors[item]
        seen = await self.functions[name].refresh(item)
        self.world.check(item, floor, seen, f"{name}.refresh")

    # --- transactions, locks, and what is beside

    async def transaction(self, random: Random) -> None:
        """Change some items in a transaction, read on the way, and fail at times; what fails promises nothing."""
        mode = random.choice(list(TransactionMode))
        items = sorted(random.sample(ITEMS, random.randrange(1, 3)))
        changed = [item for item in items if random.random() < 0.5]
        async with self.world.changing(items) as versions:
            async with self.cache.transaction(mode, timeout=5):
                for item in items:
                    kept = {f"item:{item}", f"gos:{item}"} if item in changed else {f"item:{item}"}
                    await self.cache.delete_many(*(key for key in self.keys_of(item) if key not in kept))
                    await self._write(f"item:{item}", versions[item], random)
                for item in changed:
                    await change_loaded(self.cache, f"gos:{item}", versions[item], random)
                for item in items:
                    seen = await self.cache.get(f"item:{item}")
                    if seen != versions[item]:
                        raise StaleReadError(f"a transaction does not see its own write of {item!r}: {seen!r}")
                if random.random() < 0.2:
                    raise DeliberateError("rolled back")
            for item in changed:
                await check_changed(self.cache, f"gos:{item}", versions[item])

    async def _write(self, key: str, version: int, random: Random) -> None:
        """Write a version in the transaction that is under way, with some reads around it."""
        if random.random() < 0.3:
            await self.cache.get(key)
        await self.cache.set(key, version, 60)
        if random.random() < 0.3:
            await self.call(random)

    async def lock(self, random: Random) -> None:
        item = random.choice(ITEMS)
        async with self.cache.lock(f"resource:{item}", 30, timeout=5) as held:
            owners = self.owners.setdefault(item, [])
            if owners and held.fence:
                raise StaleReadError(f"two holders of the lock of {item!r}")
            owners.append(held.fence)
            try:
                for _ in range(random.randrange(4)):
                    await checkpoint()
            finally:
                owners.remove(held.fence)

    @property
    def owners(self) -> dict[str, list[int]]:
        return self.__dict__.setdefault("_owners", {})

    async def noise(self, random: Random) -> None:
        """Commands that change no item."""
        cache, number = self.cache, random.randrange(10)
        await random.choice(
            [
                lambda: cache.incr(f"counter:{number}", expire=60),
                lambda: cache.set_add("members", str(number), expire=60),
                lambda: cache.set_pop("members", 3),
                lambda: cache.incr_bits("bits", number),
                lambda: cache.slice_incr("window", 0, number + 1, 10, 60),
                lambda: cache.get_expire(f"item:{ITEMS[number % 5]}"),
                lambda: cache.get_key_tags(f"item:{ITEMS[number % 5]}"),
                lambda: cache.exists(f"item:{ITEMS[number % 5]}"),
                cache.get_keys_count,
                cache.ping,
                lambda: cache.get_size(f"item:{ITEMS[number % 5]}"),
            ]
        )()

    async def disabling(self, random: Random) -> None:
        with self.cache.disabling(random.choice((Command.GET, Command.SET, Command.INCR))):
            await self.call(random)

    async def detect(self, random: Random) -> None:
        with self.cache.detect as detector:
            await self.call(random)
        assert all(isinstance(records, list) for records in detector.calls.values())

    # --- running

    async def run(self) -> None:
        """Let all tasks take their steps; some are cancelled on their way."""
        async with anyio.create_task_group() as tasks:
            for _ in range(TASKS):
                tasks.start_soon(self._task, Random(self.random.getrandbits(64)))

    async def _task(self, random: Random) -> None:
        weights = [weight for weight, _, _ in self.steps]
        for _ in range(random.randrange(STEPS // 2, STEPS * 3 // 2)):
            ((_, name, step),) = random.choices(self.steps, weights)
            self.tally.operations += 1
            self.tally.by_name[name] = self.tally.by_name.get(name, 0) + 1
            if random.random() < 0.08:
                await self._cancelled(step, random)
            else:
                await self._tolerant(step, random)
            if random.random() < 0.2:
                await checkpoint()

    async def _tolerant(self, step: Callable[[Random], Awaitable[None]], random: Random) -> None:
        try:
            await step(random)
        except (DeliberateError, CacheError):
            self.tally.errors += 1

    async def _cancelled(self, step: Callable[[Random], Awaitable[None]], random: Random) -> None:
        """Take a step in a scope that another task cancels after a moment."""
        async with anyio.create_task_group() as tasks:

            async def stepping() -> None:
                with scope:
                    await self._tolerant(step, random)

            scope = anyio.CancelScope()
            tasks.start_soon(stepping)
            for _ in range(random.randrange(8)):
                await checkpoint()
            scope.cancel()
        self.tally.cancelled += scope.cancelled_caught


async def run_episode(url: str, options: dict[str, Any], seed: int, tally: Tally) -> None:
    """Run one episode on a store, and check that nothing is left behind.

    :raises StaleReadError: if a read has seen what was invalidated before it began
    """
    random = Random(seed)
    middlewares: list[Any] = []
    if random.random() < 0.5:
        middlewares.append(Mischief(Random(seed), random.choice((0.0, 0.0, 0.01))))
    if random.random() < 0.3:
        middlewares.append(add_prefix("p:"))
    async with Cache.open(url, **options) as before:
        await before.clear()
    threads, descriptors = _threads(), _descriptors()
    cache = Cache.open(url, middlewares=middlewares, random=Random(seed), **options)
    if url.startswith("mem") and random.random() < 0.3:
        cache.on_remove(_Listener(Random(seed)))
    async with cache:
        episode = Episode(cache, seed, tally)
        await episode.run()
        await _quiet(cache)
    tally.reads += episode.world.reads
    tally.old_reads += episode.world.hits
    left = _threads() - threads, _descriptors() - descriptors
    if max(left) > 0:
        raise StaleReadError(f"seed {seed}: threads and descriptors left: {left}")


@dataclass
class _Listener:
    """A listener of removals that fails at times."""

    random: Random

    def __call__(self, key: str, value: object, cause: object) -> None:
        if self.random.random() < 0.05:
            raise DeliberateError(key)


async def _quiet(cache: Cache) -> None:
    """Wait until nothing runs any more, and check that nothing is left."""
    with anyio.fail_after(30):
        while cache.statistics().refreshes["pending"]:
            await checkpoint()
    statistics = cache.statistics()
    left = {
        "loads": statistics.loads,
        "load_waiters": statistics.load_waiters,
        "lock_waiters": statistics.lock_waiters,
        "leases": statistics.leases,
    }
    if any(left.values()):
        raise StaleReadError(f"left behind: {left}")


def _threads() -> int:
    """Count the threads of this process but for those that a loop keeps for the next one who wants a thread."""
    pooled = ("AnyIO worker thread", "Trio thread", "asyncio_")
    return sum(not thread.name.startswith(pooled) for thread in threading.enumerate())


def _descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
