"""A harness that cancels one party of a scenario at each of its checkpoints in turn.

`at_every_checkpoint(scenario, ...)` plays a scenario again and again, each time in a new cache on a new clock, and
cancels the victim at its first checkpoint, at its second, and so on, until the victim comes through uncancelled. After
each run nothing may be left: no load, no waiter, no lock, no task.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.api import settings
from cashews.backends.memory.store import MemoryOptions, MemoryStore
from cashews.testing.clock import VirtualClock
from tests.internals import inside

PATIENCE = 10
"""Seconds of real time after which a run counts as a deadlock."""
ENOUGH = 300
TURNS = 20
"""Turns of the loop that are tried, where they are counted: time stands still until they have passed."""


class Stepped:
    """A coroutine that tells when it suspends and when it resumes."""

    def __init__(self, coroutine, suspends, resumes):
        self.coroutine = coroutine
        self.suspends = suspends
        self.resumes = resumes

    def __await__(self):
        step, value = self.coroutine.send, None
        while True:
            try:
                request = step(value)
            except StopIteration as stop:
                return stop.value
            self.suspends()
            try:
                step, value = self.coroutine.send, (yield request)
            except BaseException as error:  # noqa: BLE001  the coroutine's business
                step, value = self.coroutine.throw, error
            self.resumes()


def never():
    return None


@dataclass
class Victim:
    """The party that is cancelled, `at` its so-manieth checkpoint after it was armed (0: as it is armed).

    `how` the cancellation comes: as the victim suspends, as it resumes with what it waited for, from another task after
    so many turns of the loop, or as it suspends by asyncio's own `Task.cancel()`.
    """

    at: int
    how: str
    armed: anyio.Event = field(default_factory=anyio.Event)
    steps: int = 0
    cancel: Callable[[], object] | None = None
    cancelled: bool = False
    results: list = field(default_factory=list)
    pending: bool = False

    def arm(self):
        """Count from now on."""
        self.armed.set()
        self._count(0)

    async def run(self, function, *args):
        """Run an async function, to its end or until it is cancelled."""
        await (self._as_task if self.how == "native" else self._in_a_scope)(function, *args)

    async def _in_a_scope(self, function, *args):
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                self._ready(scope.cancel)
                if self.how == "turns":
                    tasks.start_soon(self._tick)
                self.results.append(await self._stepped(function(*args)))
            tasks.cancel_scope.cancel()

    async def _as_task(self, function, *args):
        task = asyncio.get_running_loop().create_task(self._driven(function, *args))
        self._ready(task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            self.results.append(task.result())

    async def _driven(self, function, *args):
        return await self._stepped(function(*args))

    def _ready(self, cancel):
        self.cancel = cancel
        if self.pending:
            self._strike()

    def _stepped(self, coroutine):
        notices = {"suspends": (self._step, never), "native": (self._step, never), "resumes": (never, self._step)}
        return Stepped(coroutine, *notices.get(self.how, (never, never)))

    async def _tick(self):
        await self.armed.wait()
        while not self.cancelled:
            await checkpoint()
            self._step()

    def _step(self):
        if self.armed.is_set():
            self.steps += 1
            self._count(self.steps)

    def _count(self, steps):
        if steps == self.at:
            if self.cancel is None:
                self.pending = True
            else:
                self._strike()

    def _strike(self):
        self.cancelled = True
        self.cancel()


async def slow_store(call, _cmd, _backend, *args, **kwargs):
    """Have every command suspend before and after it takes effect."""
    await checkpoint()
    reply = await call(*args, **kwargs)
    await checkpoint()
    return reply


class Apart(MemoryStore):
    """A store that others use, too, and that has to be waited for: its locks have leases, its replies take a while."""

    turns: Mapping[Any, Any] = {}
    outlives = True

    async def ask(self, message, *, strict=False):
        await checkpoint()
        reply = await super().ask(message, strict=strict)
        await checkpoint()
        return reply


STORES = {"in place": ("mem://", ()), "slow": ("mem://", (slow_store,)), "apart": ("apart://", ())}


def tasks_running():
    return {task.id for task in anyio.get_running_tasks()}


def assert_nothing_held(cache, tasks):
    """Nothing held, nobody waiting, nothing loading, and as many tasks of the cache's own as it needs.

    A lock that refuses a late commit is nobody's, and stays for an hour.
    """
    statistics = cache.statistics()
    assert (statistics.lock_waiters, statistics.loads, statistics.load_waiters) == (0, 0, 0)
    assert statistics.refreshes["pending"] == 0
    assert (statistics.backends[""]["locks"], statistics.leases) == (inside(cache).refused_commits, 0)
    assert statistics.tasks == tasks
    assert inside(cache).held() == {}


@pytest.fixture
def nothing_held():
    return assert_nothing_held


@pytest.fixture
def at_every_checkpoint(monkeypatch):
    """Play `scenario(cache, clock, victim)` with the victim cancelled at each checkpoint; says how many there were."""

    monkeypatch.setitem(settings._factories, "apart", lambda _url, _options, around: Apart(MemoryOptions(), around))

    async def play_all(scenario, how="suspends", store="in place"):
        for at in count():
            victim = Victim(at, how)
            with anyio.fail_after(PATIENCE):
                await play(scenario, victim, *STORES[store])
            if not victim.cancelled or (how == "turns" and at == TURNS):
                return at
            assert at < ENOUGH, "the victim never comes to an end"
        raise AssertionError

    return play_all


async def play(scenario, victim, url, middlewares):
    clock = VirtualClock()
    async with Cache.open(url, clock=clock, random=Random(1), middlewares=middlewares) as cache:
        await clock.settle()
        own, others = cache.statistics().tasks, tasks_running()
        await scenario(cache, clock, victim)
        await clock.settle()
        assert_nothing_held(cache, own)
        assert tasks_running() == others
    assert cache.statistics().tasks == 0
