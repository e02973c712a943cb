"""Whoever is cancelled, wherever: nothing is left behind, and the others get what they came for (guarantees 9, 13, 14).

A scenario is played once for each checkpoint of its victim, see `conftest.py`. It asserts what the others got; the
harness asserts that nothing is held.
"""

from contextlib import aclosing
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews.exceptions import LoadTimeoutError
from cashews.runners.streams import PACE


class Function:
    """A function with a gate, behind which it suspends a few times more; counts its runs, and how many it began."""

    def __init__(self, clock, *, takes=0.0):
        self.gate = anyio.Event()
        self.clock = clock
        self.takes = takes
        self.begun = self.ended = 0

    async def __call__(self):
        self.begun += 1
        await self.gate.wait()
        await checkpoint()
        await self.clock.sleep(self.takes)
        self.ended += 1
        return "value"


def following(victim):
    """Say how often the function may have begun: once more if its leader was cancelled."""
    return {1, 2} if victim.cancelled else {1}


async def leader(cache, clock, victim, **options):
    """The victim runs the function, three others wait for it."""
    function = Function(clock)
    cached = cache("10m", key="k", **options)(function)
    results = []

    async def follow():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, cached)
        await clock.settle()
        for _ in range(3):
            tasks.start_soon(follow)
        await clock.settle()
        victim.arm()
        function.gate.set()
    assert results == ["value"] * 3
    assert function.begun in following(victim)
    assert await cached() == "value"
    assert function.begun in following(victim)
    assert victim.results == ["value"] or victim.cancelled


async def follower(cache, clock, victim, **options):
    """The victim waits, between two others, for somebody who runs the function."""
    function = Function(clock)
    cached = cache("10m", key="k", **options)(function)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.settle()
        tasks.start_soon(call)
        await clock.settle()
        tasks.start_soon(victim.run, cached)
        await clock.settle()
        tasks.start_soon(call)
        await clock.settle()
        victim.arm()
        function.gate.set()
    assert results == ["value"] * 3
    assert function.begun == 1


async def both(cache, clock, victim, strategy="cache", **options):
    """The victim begins while nobody else does, and is joined at once by another."""
    function = Function(clock)
    function.gate.set()
    cached = getattr(cache, strategy)(ttl="10m", key="k", **options)(function)
    victim.arm()
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, cached)
        tasks.start_soon(call)
    assert results == ["value"]
    assert function.ended in following(victim) | {1}
    assert await cached() == "value"


async def stale(cache, clock, victim, strategy, **options):
    """The victim finds a value that has to be loaded anew, and waits for that."""
    function = Function(clock)
    function.gate.set()
    cached = getattr(cache, strategy)(ttl=90, key="k", **options)(function)
    assert await cached() == "value"
    await clock.advance(40)
    victim.arm()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, cached)
        tasks.start_soon(victim_is_not_alone, cached)
    assert function.ended in {2, 3}


async def victim_is_not_alone(cached):
    assert await cached() == "value"


async def impatient(cache, clock, victim):
    """The victim waits, for a while, for a load that goes on behind it."""
    function = Function(clock, takes=2)
    function.gate.set()
    cached = cache.soft(90, key="k", soft_timeout=1)(function)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(2)
    await clock.advance(40)
    victim.arm()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, cached)
        await clock.advance(3)
    assert victim.results == ["value"] or victim.cancelled


async def timed_out(cache, clock, victim):
    """The function of the victim takes longer than it may."""
    function = Function(clock, takes=5)
    function.gate.set()
    cached = cache("10m", key="k", hard_timeout=1)(function)

    async def call():
        with pytest.raises(LoadTimeoutError):
            await cached()

    victim.arm()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, call)
        tasks.start_soon(call)
        await clock.advance(3)
    assert function.ended == 0


async def getter(cache, clock, victim):
    """The victim calls `get_or_set`, and so does another."""
    function = Function(clock)
    function.gate.set()
    results = []

    async def call():
        results.append(await cache.get_or_set("k", function, "10m"))

    victim.arm()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, partial(cache.get_or_set, "k", function, "10m"))
        tasks.start_soon(call)
    assert results == ["value"]
    assert function.begun in following(victim)
    assert await cache.get("k") == "value"


class Room:
    """Where one may be at a time."""

    def __init__(self, cache, clock, kind):
        self.clock = clock
        self.inside = 0
        self.entered = []
        self.enter = getattr(self, f"through_{kind}")
        self.cache = cache
        self.locked = cache.locked("1h", key="door")(self.stay)

    async def stay(self, name):
        assert self.inside == 0, "two at a time"
        self.inside += 1
        self.entered.append(name)
        try:
            await self.clock.sleep(1)
            await checkpoint()
        finally:
            self.inside -= 1

    async def through_context(self, name):
        async with self.cache.lock("door", "1h"):
            await self.stay(name)

    async def through_guard(self, name):
        await self.locked(name)


async def contender(cache, clock, victim, kind, place):
    """The victim is the `place`-th of four who want a lock: it holds it, it is the next, or somewhere in the queue."""
    room = Room(cache, clock, kind)
    names = ["first", "second", "third", "fourth"]
    if place == 0:
        victim.arm()
    async with anyio.create_task_group() as tasks:
        for number, name in enumerate(names):
            if number == place:
                tasks.start_soon(victim.run, room.enter, name)
            else:
                tasks.start_soon(room.enter, name)
            await clock.settle()
        if place:
            victim.arm()
        await clock.advance(5)
    others = [name for name in names if name != names[place]]
    assert [name for name in room.entered if name in others] == others
    assert victim.cancelled or room.entered == names
    assert clock.now() < 6, "an unlock wakes; nobody waits for a lease to end"


async def holder_of_a_lease(cache, clock, victim):
    """The victim loads under a lock against other processes (`lock=True`)."""
    await both(cache, clock, victim, lock="1h")
    assert clock.now() == 0


async def consumer(cache, clock, victim, *, length, remembered):
    """The victim consumes a stream, for the first time or again."""
    closed = begun = 0

    @cache.iterator("10m", key="k")
    async def stream():
        nonlocal closed, begun
        begun += 1
        try:
            for number in range(length):
                if number % PACE == 0:
                    await checkpoint()
                yield number
            await clock.sleep(0)
        finally:
            closed += 1

    async def consume(found):
        async with aclosing(stream()) as items:
            async for item in items:
                found.append(item)
                if item % (PACE - 1) == 0:
                    await checkpoint()
        return found

    expected = list(range(length))
    if remembered:
        await consume([])
    victim.arm()
    seen = []
    await victim.run(consume, seen)
    assert seen == expected[: len(seen)]
    assert victim.cancelled or victim.results == [expected]
    assert begun == closed
    before = begun
    assert await consume([]) == expected
    assert await consume([]) == expected
    assert begun - before <= (not remembered)


async def eraser(cache, clock, victim):
    """The victim invalidates what others load."""
    function = Function(clock)
    cached = cache("10m", key="k")(function)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.settle()
        tasks.start_soon(call)
        await clock.settle()
        victim.arm()
        await victim.run(cache.delete_match, "k*")
        function.gate.set()
    assert results == ["value"] * 2


SCENARIOS = {
    "leader": leader,
    "leader under a lock": partial(leader, lock=True),
    "follower": follower,
    "follower under a lock": partial(follower, lock=True),
    "both": both,
    "both, early": partial(both, strategy="early"),
    "both, soft": partial(both, strategy="soft"),
    "both, hit": partial(both, strategy="hit", cache_hits=2),
    "both, upper": partial(both, upper=True),
    "holder of a lease": holder_of_a_lease,
    "stale, early": partial(stale, strategy="early", background=False),
    "stale, soft": partial(stale, strategy="soft"),
    "stale, soft, under a lock": partial(stale, strategy="soft", lock=True),
    "failover": partial(stale, strategy="failover"),
    "impatient": impatient,
    "timed out": timed_out,
    "get_or_set": getter,
    "lock holder": partial(contender, kind="context", place=0),
    "lock waiter, head": partial(contender, kind="context", place=1),
    "lock waiter, middle": partial(contender, kind="context", place=2),
    "guard holder": partial(contender, kind="guard", place=0),
    "guard waiter, head": partial(contender, kind="guard", place=1),
    "guard waiter, middle": partial(contender, kind="guard", place=2),
    "consumer": partial(consumer, length=3, remembered=False),
    "consumer, long": partial(consumer, length=2 * PACE + 1, remembered=False),
    "consumer of a replay": partial(consumer, length=3, remembered=True),
    "consumer of a replay, long": partial(consumer, length=2 * PACE + 1, remembered=True),
    "eraser": eraser,
}


@pytest.mark.parametrize("store", ["in place", "slow"])
@pytest.mark.parametrize("how", ["suspends", "resumes", "turns"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_a_cancellation_leaves_nothing_behind_and_touches_nobody(at_every_checkpoint, scenario, how, store):
    assert await at_every_checkpoint(scenario, how, store) > 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("store", ["in place", "slow"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_nor_does_a_cancellation_by_asyncio_itself(at_every_checkpoint, scenario, store):
    """`Task.cancel()` reaches a task that has been given what it waited for, and has not run yet; D1."""
    assert await at_every_checkpoint(scenario, "native", store) > 0
