"""Who waits for a lock: first in, first out, without polling, whatever happens to those in the queue."""

from __future__ import annotations

from collections import Counter
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, Command
from cashews.exceptions import LockedError
from tests.internals import inside


class Waiters:
    """Tasks that want one lock, and what became of them."""

    def __init__(self, cache, clock, tasks):
        self.cache, self.clock, self.tasks = cache, clock, tasks
        self.entered = []
        self.scopes = {}
        self.inside = 0

    async def want(self, name, seconds=1.0, lease=1_000):
        self.scopes[name] = anyio.CancelScope()
        self.tasks.start_soon(self._hold, name, seconds, lease)
        await self.clock.settle()

    async def _hold(self, name, seconds, lease):
        with self.scopes[name]:
            async with self.cache.lock("k", lease):
                self.inside += 1
                assert self.inside == 1
                self.entered.append((name, self.clock.now()))
                try:
                    await self.clock.sleep(seconds)
                finally:
                    self.inside -= 1


@pytest.fixture
async def waiters(cache, clock):
    async with anyio.create_task_group() as tasks:
        yield Waiters(cache, clock, tasks)
        await clock.advance(1_000)
        still_waiting = cache.statistics().lock_waiters
        tasks.cancel_scope.cancel()
    assert still_waiting == 0
    assert not await cache.is_locked("k")
    assert clock.statistics().sleepers == 0
    assert inside(cache).held() == {}


async def test_first_in_first_out(waiters, cache, clock):
    """Guarantee 14."""
    for name in "abcde":
        await waiters.want(name)
    assert cache.statistics().lock_waiters == 4
    await clock.advance(10)
    assert waiters.entered == [(name, instant) for instant, name in enumerate("abcde")]


async def test_a_newcomer_does_not_push_in(waiters, cache, clock):
    """Guarantee 14: not even when the lock is free for the moment in which it is handed over."""
    await waiters.want("a")
    await waiters.want("b")

    async def push_in():
        await clock.sleep_until(1)
        async with cache.lock("k", 10):
            waiters.entered.append(("c", clock.now()))

    waiters.tasks.start_soon(push_in)
    await clock.advance(10)
    assert [name for name, _ in waiters.entered] == ["a", "b", "c"]


@pytest.mark.parametrize("cancelled", ["b", "c", "d", "bc", "cd", "bcd", "ab", "a"])
async def test_cancelling_waiters_loses_no_turn(waiters, clock, cancelled):
    """Guarantee 14: the head of the queue, one in its middle, its end, all of them, and the holder."""
    for name in "abcde":
        await waiters.want(name)
    for name in cancelled:
        waiters.scopes[name].cancel()
    await clock.advance(10)
    served = [name for name, _ in waiters.entered]
    assert served == ["a", *(name for name in "bcde" if name not in cancelled)]


@pytest.mark.parametrize("steps", range(6))
async def test_a_waiter_cancelled_while_the_lock_is_handed_to_it_loses_no_turn(waiters, clock, steps):
    """Guarantee 14: at any step between the release and its entering."""
    for name in "abc":
        await waiters.want(name)
    waiters.scopes["a"].cancel()
    for _ in range(steps):
        await checkpoint()
    waiters.scopes["b"].cancel()
    await clock.advance(10)
    assert [name for name, _ in waiters.entered] in (["a", "c"], ["a", "b", "c"])


async def test_whatever_is_cancelled_when_nobody_overlaps_and_everybody_else_is_served(waiters, clock):
    """Guarantee 14: at random, by a seed."""
    random, cancelled = Random(5), set()
    for number in range(60):
        await waiters.want(number, seconds=random.choice([0, 0.5, 2]))
        if random.random() < 0.4:
            victim = random.randrange(number + 1)
            waiters.scopes[victim].cancel()
            cancelled.add(victim)
        await clock.advance(random.choice([0, 0, 0.5, 1]))
    await clock.advance(500)
    served = [name for name, _ in waiters.entered]
    assert served == sorted(served)
    assert set(served) | cancelled == set(range(60))


async def test_the_end_of_a_lease_wakes_the_head_and_only_then_the_next(waiters, cache, clock):
    """Guarantee 14; D34, D35."""
    await cache.set_lock("k", "dead", 30)
    await waiters.want("a", seconds=5)
    await waiters.want("b", seconds=5)
    await clock.advance(100)
    assert waiters.entered == [("a", 30), ("b", 35)]


async def test_an_unlock_by_token_wakes_the_head(waiters, cache, clock):
    await cache.set_lock("k", "other", None)
    await waiters.want("a")
    await clock.advance(50)
    assert await cache.unlock("k", "wrong") is False
    await clock.settle()
    assert waiters.entered == []
    assert await cache.unlock("k", "other") is True
    await clock.settle()
    assert waiters.entered == [("a", 50)]


async def test_waiting_asks_the_store_only_when_something_has_happened(clock):
    """D36: five waiters asked the original 10,542 times in a second."""
    asked = Counter()

    async def count(call, cmd, _backend, *args, **kwargs):
        asked[cmd] += 1
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[count], clock=clock) as cache:
        await cache.set_lock("k", "other", 3_600)
        async with anyio.create_task_group() as tasks:
            waiters = Waiters(cache, clock, tasks)
            for name in "abcde":
                await waiters.want(name)
            await clock.settle()
            asked.clear()
            await clock.advance(3_000)
            assert not asked
            await clock.advance(1_000)
        assert len(waiters.entered) == 5
        assert asked.total() <= 5 * 6


async def test_a_store_that_refuses_a_free_lock_is_an_error_and_nobody_spins(clock):
    """D36; seen under load: with Redis out of memory, 8-10 thousand commands in 3 s."""
    asked = Counter()

    async def refuse(call, cmd, _backend, *args, **kwargs):
        asked[cmd] += 1
        return False if cmd is Command.SET_LOCK else await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[refuse], clock=clock) as cache:
        with pytest.raises(LockedError, match="the store refuses it though nobody holds it"):
            async with cache.lock("k", 10):
                pytest.fail("not locked")
        assert asked.total() < 20
        assert cache.statistics().lock_waiters == 0


async def test_every_waiter_gets_the_error_of_a_store_that_fails(clock):
    down = False

    async def fail(call, cmd, _backend, *args, **kwargs):
        if down and cmd is Command.SET_LOCK:
            raise ConnectionError
        return await call(*args, **kwargs)

    errors = []

    async def want(cache):
        try:
            async with cache.lock("k", 10):
                pass
        except ConnectionError as error:
            errors.append(error)

    async with Cache.open("mem://", middlewares=[fail], clock=clock) as cache:
        await cache.set_lock("k", "other", 5)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(want, cache)
            await clock.settle()
            down = True
            await clock.advance(10)
        assert len(errors) == 3
        assert cache.statistics().lock_waiters == 0


async def test_while_locking_is_switched_off_the_body_runs(cache, clock):
    """D38."""
    reached = []
    await cache.set_lock("k", "other", 1_000)
    with cache.disabling(Command.SET_LOCK):
        async with cache.lock("k", 10):
            reached.append("local")
    cache.disable()
    async with cache.lock("k", 10), cache.lock("k", 10, wait=False):
        reached.append("process")
    cache.enable()
    assert reached == ["local", "process"]
    assert await cache.is_locked("k")
    assert clock.now() == 0


async def test_switching_locking_off_while_a_task_waits_ends_its_wait(cache, clock):
    """D38: it may run without the lock or be told, but it does not wait for ever."""
    await cache.set_lock("k", "other", 30)
    ended = []

    async def want():
        try:
            async with cache.lock("k", 10):
                ended.append("ran")
        except LockedError:
            ended.append("told")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(want)
        await clock.settle()
        cache.disable()
        await clock.advance(40)
        assert len(ended) == 1


async def test_a_lock_under_a_prefix_needs_no_default_backend(clock):
    """D37."""
    cache = Cache(clock=clock)
    cache.setup("mem://", prefix="user:")
    entered = []

    async def want(name):
        async with cache.lock("user:1", 10):
            entered.append((name, clock.now()))
            await clock.sleep(1)

    async with cache, anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(want, name)
            await clock.settle()
        await clock.advance(5)
        assert entered == [("a", 0), ("b", 1), ("c", 2)]


async def test_waiting_for_a_lock_to_be_free_takes_no_turn(waiters, cache, clock):
    """Guarantee 14; D40."""
    await waiters.want("a", seconds=5)
    await waiters.want("b", seconds=5)
    answers = []

    async def look():
        answers.append((await cache.is_locked("k", wait=100), clock.now()))

    waiters.tasks.start_soon(look)
    await clock.advance(100)
    assert waiters.entered == [("a", 0), ("b", 5)]
    assert [answer for answer, _ in answers] == [False]


async def test_a_cache_that_is_closed_ends_the_wait(clock):
    """Guarantee 28."""
    ended = []

    async def want():
        try:
            async with cache.lock("k", 10):
                ended.append("ran")
        except Exception as error:  # noqa: BLE001  whatever it is, it has to come
            ended.append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        async with Cache.open("mem://", clock=clock) as cache:
            await cache.set_lock("k", "other", 30)
            tasks.start_soon(want)
            await clock.settle()
        await clock.advance(100)
        tasks.cancel_scope.cancel()
    assert ended == ["CacheClosedError"]


async def test_nobody_spins_while_is_locked_is_switched_off(clock):
    """D38: whoever is told that a lock is held and then that it is free tries again, though not for ever at once."""
    tries = []

    async def count(call, cmd, _backend, *args, **kwargs):
        tries.append(cmd)
        return await call(*args, **kwargs)

    entered = []

    async def wait():
        async with cache.lock("k", 10):
            entered.append(clock.now())

    async with Cache.open("mem://", clock=clock, middlewares=[count]) as cache:
        cache.disable(Command.IS_LOCKED)
        async with anyio.create_task_group() as tasks:
            async with cache.lock("k", 100):
                tasks.start_soon(wait)
                for _ in range(1_000):
                    await checkpoint()
                assert len(tries) < 50
            await clock.settle()
    assert entered == [0]


async def test_a_middleware_that_fails_when_a_lease_is_renewed_does_not_end_the_engine(clock, caplog, serving):
    """Guarantee 28: a user's error is no failure of ours; the lease lasts a while yet, and then the body is ended."""
    renewals = []

    async def fail(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.SET_LOCK and renewals:
            raise LookupError
        renewals.append(cmd)
        return await call(*args, **kwargs)

    serving()
    async with Cache.open("stub://", clock=clock, middlewares=[fail]) as cache:
        locks, lost = inside(cache).locks, []
        lock = locks.claim("k", 9)
        lock.until = 9
        renewals.append(None)
        locks.start_renewing(lock, lambda: lost.append(clock.now()))
        await clock.advance(20)
        assert lost == [9]
        assert await cache.get("k") is None
    assert "could not be renewed" in caplog.text
