"""Strategies against models that fit on a page, under random advances, calls, deletions and failures.

A model says for each call what comes back and how often the function has run by then. So no strategy serves past the
ttl, loads twice while fresh, or refreshes when it should not: the model would not.
"""

from dataclasses import dataclass
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from cashews import Cache
from cashews.engine.refresher import FIRST_REST, LONGEST_REST
from cashews.testing.clock import VirtualClock

TTL, OWN_TTL = 16.0, 6.0
HITS, UPDATE_AFTER = 3, 2


class LostError(Exception):
    """The function's error."""


@dataclass
class Kept:
    value: int
    since: float
    hits: int = 0


class Model:
    """What all have in common: one value, that lives for the ttl, and a function that counts its runs."""

    def __init__(self):
        self.kept = None
        self.runs = 0
        self.fails = False
        self.failures = 0
        self.rests_until = 0.0

    def live(self, now):
        return self.kept if self.kept is not None and now < self.kept.since + TTL else None

    def load(self, now):
        """Run the function; says what it returned, `None` if it failed."""
        self.runs += 1
        if self.fails:
            return None
        self.kept = Kept(self.runs, now)
        return self.runs

    def refresh(self, now):
        if now < self.rests_until:
            return
        if self.load(now) is None:
            self.rests_until = now + min(FIRST_REST * 2**self.failures, LONGEST_REST)
            self.failures += 1
        else:
            self.failures, self.rests_until = 0, 0.0


class Simple(Model):
    def call(self, now):
        kept = self.live(now)
        return kept.value if kept else self.load(now)


class Early(Model):
    def call(self, now):
        kept = self.live(now)
        if not kept:
            return self.load(now)
        if now >= kept.since + OWN_TTL:
            self.refresh(now)
        return kept.value


class Soft(Model):
    def call(self, now):
        kept = self.live(now)
        if kept and now < kept.since + OWN_TTL:
            return kept.value
        return self.load(now) or (kept and kept.value)


class Hit(Model):
    refreshes = True

    def call(self, now):
        kept = self.live(now)
        if kept:
            kept.hits += 1
        if not kept or kept.hits > HITS:
            return self.load(now)
        if self.refreshes and kept.hits == UPDATE_AFTER:
            self.refresh(now)
        return kept.value


class PlainHit(Hit):
    refreshes = False


class Failover(Model):
    def call(self, now):
        kept = self.live(now)
        return self.load(now) or (kept and kept.value)


PAIRS = {
    "simple": (lambda cache: cache(TTL, key="k"), Simple),
    "simple, under a lock": (lambda cache: cache(TTL, key="k", lock=True), Simple),
    "early": (lambda cache: cache.early(TTL, key="k", early_ttl=OWN_TTL), Early),
    "early, in the foreground": (lambda cache: cache.early(TTL, key="k", early_ttl=OWN_TTL, background=False), Soft),
    "soft": (lambda cache: cache.soft(TTL, key="k", soft_ttl=OWN_TTL), Soft),
    "hit": (lambda cache: cache.hit(TTL, HITS, update_after=UPDATE_AFTER, key="k"), Hit),
    "hit, without refreshes": (lambda cache: cache.hit(TTL, HITS, key="k"), PlainHit),
    "failover": (lambda cache: cache.failover(TTL, key="k"), Failover),
}
every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)

QUARTERS = st.integers(1, 24).map(lambda quarters: quarters / 4)  # exact, also when added to the time of day
STEPS = st.lists(
    st.one_of(
        st.just("call"),
        st.just("call"),
        QUARTERS,
        st.sampled_from([TTL, OWN_TTL]),
        st.sampled_from(["delete", "fail", "recover", "peek"]),
    ),
    min_size=20,
    max_size=40,
)


class Play:
    """One decorated function and its model, side by side."""

    def __init__(self, cache, clock, pair):
        decorate, model = pair
        self.clock = clock
        self.model = model()
        self.runs = 0
        self.cached = decorate(cache)(self.function)

    async def function(self):
        self.runs += 1
        run = self.runs
        if self.model.fails:
            raise LostError
        return run

    async def step(self, step):
        if isinstance(step, float):
            await self.clock.advance(step)
        elif step in ("fail", "recover"):
            self.model.fails = step == "fail"
        elif step == "delete":
            assert await self.cached.invalidate() is (self.model.live(self.clock.now()) is not None)
            self.model.kept = None
        elif step == "peek":
            kept = self.model.live(self.clock.now())
            assert await self.cached.peek() == (kept and kept.value)
        else:
            await self.call()

    async def call(self):
        try:
            found = await self.cached()
        except LostError:
            found = None
        await self.clock.settle()
        assert found == self.model.call(self.clock.now())
        assert self.runs == self.model.runs


@every_pair
@given(steps=STEPS)
@settings(max_examples=30)
async def test_a_strategy_does_what_its_model_says(pair, steps):
    clock = VirtualClock()
    async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:
        play = Play(cache, clock, pair)
        for step in steps:
            await play.step(step)
        assert cache.statistics().loads == 0


def waits(longest):
    return st.integers(0, longest).map(float)


CALLERS = st.lists(st.tuples(waits(40), st.sampled_from(["call", "call", "call", "delete", "give up"])), max_size=25)


@every_pair
@given(callers=CALLERS, takes=waits(4))
@settings(max_examples=40)
async def test_nothing_is_served_past_its_ttl_or_after_its_deletion(pair, callers, takes):
    """Many callers, slow loads: what a call returns began to be loaded after the last deletion before that call.

    And it was stored no longer than a ttl before the call; a load that ran then, or began for it, is younger still.
    """
    clock = VirtualClock()
    deletions = []
    decorate, _ = pair

    async with Cache.open("mem://", clock=clock, random=Random(1)) as cache:

        @decorate(cache)
        async def get():
            begun = clock.now(), len(deletions)
            await clock.sleep(takes)
            return begun

        async def act(at, what):
            await clock.sleep(at)
            if what == "delete":
                await get.invalidate()
                deletions.append(clock.now())
                return
            called, deleted = clock.now(), len(deletions)
            with clock.move_on_at(called + 1 if what == "give up" else 1000):
                begun, seen = await get()
                assert called - begun < TTL + takes
                assert seen >= deleted

        async with anyio.create_task_group() as tasks:
            for caller in callers:
                tasks.start_soon(act, *caller)
            await clock.advance(60)
        statistics = cache.statistics()
        assert (statistics.loads, statistics.load_waiters, statistics.lock_waiters) == (0, 0, 0)


ACTS = ["all", "all", "all", "some", "cancelled", "delete", "noise"]
CONSUMERS = st.lists(st.tuples(waits(30), st.sampled_from(ACTS)), min_size=8, max_size=15)
LONGEST_RUN = 6.0
LENGTHS = st.lists(st.sampled_from([0, 3, 100, 250, 250]), min_size=15, max_size=15)


async def slow(call, _cmd, _backend, *args, **kwargs):
    """Let others in before and after each command."""
    await checkpoint()
    reply = await call(*args, **kwargs)
    await checkpoint()
    return reply


def assert_one_run(found, called, deleted):
    """All items of one run, in order; it was complete a ttl before the call, and not invalidated before."""
    assert [number for _, number, _, _ in found] == list(range(len(found)))
    assert len({run for run, _, _, _ in found}) <= 1
    for _, _, length, (born, seen) in found[:1]:
        assert len(found) == length
        assert seen >= deleted
        assert called - born < TTL + LONGEST_RUN


@given(consumers=CONSUMERS, lengths=LENGTHS)
@settings(max_examples=40)
async def test_a_stream_is_always_one_complete_run(consumers, lengths):
    """Guarantee 13: whoever consumes all of it gets the items of one run, all of them, in order; D8-D13."""
    clock = VirtualClock()
    begun = closed = deletions = 0

    async with Cache.open("mem://?size=6", clock=clock, random=Random(1), middlewares=[slow]) as cache:

        @cache.iterator(TTL, key="k")
        async def stream():
            nonlocal begun, closed
            run, born = begun, (clock.now(), deletions)
            begun += 1
            try:
                for number in range(lengths[run]):
                    if number % 50 == 0:
                        await clock.sleep(1)
                    yield run, number, lengths[run], born
            finally:
                closed += 1

        async def act(at, what):
            nonlocal deletions
            await clock.sleep(at)
            if what == "delete":
                await stream.invalidate()
                deletions += 1
                return
            if what == "noise":  # it evicts what was not used for long
                await cache.set_many(dict.fromkeys("abcd"))
                return
            called, deleted = clock.now(), deletions
            with clock.move_on_at(called + 1.5 if what == "cancelled" else 1000):
                items = stream()
                found = []
                try:
                    async for item in items:
                        found.append(item)
                        if what == "some" and len(found) == 2:
                            return
                finally:
                    with anyio.CancelScope(shield=True):
                        await items.aclose()
                assert_one_run(found, called, deleted)

        async with anyio.create_task_group() as tasks:
            for consumer in consumers:
                tasks.start_soon(act, *consumer)
            await clock.advance(80)
        assert begun == closed
        assert cache.statistics().loads == 0
