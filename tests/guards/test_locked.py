"""`locked`: one execution at a time per key; nothing is cached (reading f)."""

import anyio
import pytest

from cashews import Cache, Command, LockedError, invalidate_further
from cashews.exceptions import WrongArgumentError


class Workshop:
    """Takes a second for each job, and knows how many were under way at once."""

    def __init__(self, clock):
        self.clock = clock
        self.running = self.most = 0
        self.done = []

    async def work(self, job=0, bench=0):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.sleep(1)
        finally:
            self.running -= 1
        self.done.append(job)
        return job


@pytest.fixture
def workshop(clock):
    return Workshop(clock)


async def test_calls_of_a_key_run_one_after_the_other(cache, clock, workshop):
    locked = cache.locked(key="one")(workshop.work)
    async with anyio.create_task_group() as tasks:
        for job in range(5):
            tasks.start_soon(locked, job)
            await clock.settle()
        await clock.advance(5)
    assert workshop.most == 1
    assert workshop.done == [0, 1, 2, 3, 4]


async def test_calls_of_different_keys_run_at_the_same_time(cache, clock, workshop):
    locked = cache.locked(key="{bench}")(workshop.work)
    async with anyio.create_task_group() as tasks:
        for job in range(5):
            tasks.start_soon(locked, job, job)
        await clock.advance(1)
    assert workshop.most == 5


async def test_nothing_is_cached(cache, clock, workshop):
    locked = cache.locked()(workshop.work)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(locked)
        tasks.start_soon(locked)
        await clock.advance(2)
    assert workshop.done == [0, 0]
    assert await cache.get_keys_count() == 0


async def test_without_waiting_a_second_call_is_an_error(cache, clock, workshop):
    locked = cache.locked(key="one", prefix="p", wait=False)(workshop.work)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(locked)
        await clock.settle()
        with pytest.raises(LockedError) as refused:
            await locked(1)
        await clock.advance(1)
        assert refused.value.key == "p:one"
        tasks.start_soon(locked, 2)
        await clock.advance(1)
    assert workshop.done == [0, 2]


async def test_a_call_that_fails_frees_its_lock(cache):
    @cache.locked(wait=False)
    async def fail():
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await fail()


async def test_a_cancelled_holder_frees_its_lock(cache, clock, workshop):
    locked = cache.locked(key="one")(workshop.work)
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as holder:
            tasks.start_soon(cancel, clock, holder)
            tasks.start_soon(locked, 1)
            await locked(0)
        await clock.advance(1)
    assert workshop.done == [1]
    assert not await cache.is_locked("locked:one")


async def cancel(clock, scope):
    await clock.settle()
    scope.cancel()


async def test_a_cancelled_waiter_leaves_the_queue(cache, clock, workshop):
    locked = cache.locked(key="one")(workshop.work)

    async def give_up():
        with clock.move_on_at(clock.now() + 0.5):
            await locked(1)

    async with anyio.create_task_group() as tasks:
        for each in (locked, give_up, locked):
            tasks.start_soon(each)
            await clock.settle()
        await clock.advance(2)
    assert workshop.done == [0, 0]
    assert cache.statistics().lock_waiters == 0


async def test_a_lock_is_let_go_of_after_its_lease(cache, clock):
    assert await cache.set_lock("locked:one", "a holder that died", 5)
    locked = cache.locked(key="one")(Workshop(clock).work)
    done = []

    async def run():
        done.append((await locked(7), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(6)
    assert done == [(7, 6)]


async def test_the_lease_may_depend_on_the_call(cache, clock):
    """D19."""
    held = []

    @cache.locked(ttl=lambda job: f"{job}s", key="{job}")
    async def look(job):
        await clock.advance(99.9)
        held.append(await cache.is_locked(f"locked:{job}"))

    await look(100)
    assert held == [True]


async def test_the_default_lease_is_a_minute(cache, clock):
    """D39: `@cache.locked()` as documented."""
    held = []

    @cache.locked(key="one")
    async def stuck():
        await clock.advance(59.9)
        held.append(await cache.is_locked("locked:one"))

    await stuck()
    assert held == [True]


async def test_locks_that_are_switched_off_hold_nobody_up(cache, clock, workshop):
    """D38."""
    locked = cache.locked(key="one", wait=False)(workshop.work)
    with cache.disabling(Command.SET_LOCK):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(locked)
            tasks.start_soon(locked)
            await clock.advance(1)
    assert workshop.most == 2


async def test_invalidate_further_does_not_touch_locks(cache, clock, workshop):
    """Guarantee 21."""
    locked = cache.locked(key="one")(workshop.work)
    with invalidate_further():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(locked)
            tasks.start_soon(locked)
            await clock.advance(2)
    assert workshop.most == 1


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_lease_of_no_length_is_refused_at_decoration(ttl):
    with pytest.raises(WrongArgumentError, match="ttl"):
        Cache().locked(ttl=ttl)


# --- taking again what one holds


async def test_recursion_runs_the_function(cache, clock):
    """And another task waits until all of it has ended."""
    events = []

    @cache.locked(key="k")
    async def count(number):
        events.append(number)
        await clock.sleep(1)
        return number and await count(number - 1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count, 2)
        await clock.settle()
        tasks.start_soon(count, 0)
        for _ in range(5):
            await clock.advance(1)
    assert events == [2, 1, 0, 0]
    assert not await cache.is_locked("locked:k")


async def test_two_functions_with_one_lock_may_call_each_other(cache):
    @cache.locked(key="k")
    async def inner():
        return 5

    @cache.locked(key="k")
    async def outer():
        return await inner()

    assert await outer() == 5
    assert not await cache.is_locked("locked:k")


async def test_a_function_runs_under_the_lock_that_its_task_has_taken(cache):
    @cache.locked(key="k", prefix="")
    async def work():
        return await cache.is_locked("k")

    async with cache.lock("k", 60):
        assert await work()
        assert await cache.is_locked("k")
    assert not await cache.is_locked("k")


@pytest.mark.parametrize("protected", [True, False])
async def test_recursion_of_a_load_under_a_lock_runs_the_function(cache, protected):
    depths = []

    @cache(60, key="k", lock=True, protected=protected)
    async def load():
        depths.append(len(depths))
        return len(depths) if len(depths) > 2 else await load()

    with anyio.fail_after(30):
        assert await load() == 3
    assert depths == [0, 1, 2]
    assert not await cache.is_locked("k:lock")
