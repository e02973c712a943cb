"""Blocks of locks: held by one task, given back whatever stands in the way, listed, and broken."""

from __future__ import annotations

import math
from contextlib import AsyncExitStack

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Command
from cashews.exceptions import LockedError, WrongArgumentError

LEASES = [{"renew": True}, {"renew": False}]
over_leases = pytest.mark.parametrize("options", LEASES, ids=["renewed", "not-renewed"])


# --- a task that takes what it holds


@over_leases
@pytest.mark.parametrize("wait", [True, False])
async def test_taking_a_lock_again_in_the_task_that_holds_it_is_an_error_at_once(cache, clock, options, wait):
    """Guarantee 14."""
    began = clock.now()
    async with cache.lock("k", 10, **options):
        with pytest.raises(LockedError, match="this task holds it already"):
            async with cache.lock("k", 10, wait=wait, timeout=5):
                pytest.fail("two holders")
        assert await cache.is_locked("k")
    assert clock.now() == began
    assert not await cache.is_locked("k")


async def test_taking_a_lock_again_behind_others_is_an_error_at_once(cache, clock):
    """Guarantee 14: also where the others come first."""
    order = []

    async def other():
        async with cache.lock("k", 10):
            order.append("other")

    async with anyio.create_task_group() as tasks, cache.lock("k", 10):
        tasks.start_soon(other)
        await clock.settle()
        with pytest.raises(LockedError, match="this task holds it already"):
            async with cache.lock("k", 10):
                pytest.fail("two holders")
        order.append("first")
    assert order == ["first", "other"]


# --- names of ours


@pytest.mark.parametrize("name", ["k\0transaction", "\0transaction", "k:transaction"])
async def test_no_lock_of_a_user_meets_that_of_a_transaction(cache, name):
    """Guarantee 14: such a name is refused on every store, or is another one."""

    @cache.locked(key="{name}")
    async def locked(name):
        return name

    async with cache.transaction(timeout=0.5), AsyncExitStack() as stack:
        await cache.set("k", 1)
        if "\0" not in name:
            await stack.enter_async_context(cache.lock(name))
            assert not await cache.set_lock(name, "token", 1)
            return
        with pytest.raises(WrongArgumentError, match="key is"):
            cache.lock(name)
        with pytest.raises(WrongArgumentError, match="key is"):
            await cache.set_lock(name, "token", 1)
        with pytest.raises(WrongArgumentError, match="key is"):
            await locked(name)


# --- tasks that wait for each other


class Chain:
    """Tasks, each of which holds one lock and wants that of the next, the last one that of the first."""

    def __init__(self, cache, clock, **options):
        self.cache = cache
        self.clock = clock
        self.options = options
        self.errors = []
        self.ends = []

    async def hold(self, mine, theirs, go):
        async with self.cache.lock(mine, 10, **self.options):
            await go.wait()
            try:
                async with self.cache.lock(theirs, 10, **self.options):
                    pass
            except LockedError as error:
                self.errors.append(str(error))
        self.ends.append(mine)

    async def run(self, count, seconds=0):
        starts = [anyio.Event() for _ in range(count)]
        async with anyio.create_task_group() as tasks:
            for number, go in enumerate(starts):
                tasks.start_soon(self.hold, f"k{number}", f"k{(number + 1) % count}", go)
            await self.clock.settle()
            for go in starts:
                go.set()
                await self.clock.settle()
            if seconds:
                await self.clock.advance(seconds)


@pytest.mark.parametrize("count", [2, 3, 10])
async def test_tasks_that_wait_for_the_locks_of_each_other_are_an_error_at_once(cache, clock, count):
    """Guarantee 14: of a deadlock, the task that closes the circle fails, and the others go on."""
    chain, began = Chain(cache, clock), clock.now()
    await chain.run(count)
    (error,) = chain.errors
    assert "'k0'" in error
    assert f"'k{count - 1}'" in error
    assert "deadlock" in error
    assert sorted(chain.ends) == sorted(f"k{number}" for number in range(count))
    assert clock.now() - began < 1


async def test_functions_that_wait_for_the_locks_of_each_other_are_an_error_at_once(cache, clock):
    """Guarantee 14."""
    meeting = anyio.Event()
    arrived = []

    async def meet():
        arrived.append(1)
        if len(arrived) == 2:
            meeting.set()
        await meeting.wait()

    @cache.locked(key="one")
    async def one(then):
        await meet()
        return then and await then(None)

    @cache.locked(key="two")
    async def two(then):
        await meet()
        return then and await then(None)

    errors, began = [], clock.now()

    async def call(function, argument):
        try:
            await function(argument)
        except LockedError as error:
            errors.append(error.key)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, one, two)
        tasks.start_soon(call, two, one)
    assert len(errors) == 1
    assert clock.now() - began < 1


async def test_waits_with_a_timeout_end_by_it(cache, clock):
    """Guarantee 14: a wait that ends by itself is no deadlock."""
    chain = Chain(cache, clock, timeout=2)
    await chain.run(2, seconds=3)
    assert chain.errors
    assert not any("deadlock" in error for error in chain.errors)
    assert sorted(chain.ends) == ["k0", "k1"]


async def test_waiting_for_a_lock_behind_others_is_no_deadlock(cache):
    order = []

    async def take(*keys):
        async with AsyncExitStack() as stack:
            for key in keys:
                await stack.enter_async_context(cache.lock(key, 10))
                await checkpoint()
            order.append(keys)

    async with anyio.create_task_group() as tasks:
        for keys in (("a", "b", "c"), ("b", "c"), ("a", "c"), ("c",), ("a",)):
            tasks.start_soon(take, *keys)
    assert len(order) == 5


async def test_a_lock_that_is_given_back_is_taken_again(cache):
    for _ in range(3):
        async with cache.lock("k", 10):
            assert await cache.is_locked("k")
        with pytest.raises(LookupError):
            async with cache.lock("k", 10):
                raise LookupError


async def test_a_lock_whose_lease_has_ended_may_be_taken_by_the_same_task(cache, clock):
    """It is held no more: the error would be a lie."""
    async with cache.lock("k", 1, renew=False):
        await clock.advance(2)
        async with cache.lock("k", 10, wait=False):
            pass


async def test_another_task_of_the_holder_waits(cache, clock):
    """Guarantee 14: only the task that holds it can be sure to wait for itself."""
    async with cache.lock("k", 10), anyio.create_task_group() as tasks:

        async def want():
            with pytest.raises(LockedError, match="not free within 3 s"):
                async with cache.lock("k", 10, timeout=3):
                    pytest.fail("two holders")

        tasks.start_soon(want)
        await clock.advance(3)


# --- one object in many tasks


async def test_one_object_in_many_tasks_is_one_lock(cache, clock):
    """Guarantee 14: as a lock of the event loop is."""
    lock, inside, fences = cache.lock("k", 10), [], []

    async def work():
        async with lock as held:
            inside.append(held)
            assert len(inside) == 1
            await clock.sleep(1)
            inside.remove(held)
            fences.append(held.fence)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(work)
        await clock.advance(10)
    assert fences == sorted(set(fences))
    assert len(fences) == 5
    assert not await cache.is_locked("k")


async def test_one_object_in_two_tasks_whose_leases_overlap_gives_back_the_lock_of_each(cache, clock):
    lock = cache.lock("k", 2, renew=False)

    async def first():
        async with lock:
            await clock.sleep(3)

    async def second():
        await clock.sleep(1)
        async with lock:
            await clock.sleep(1.5)
            assert await cache.is_locked("k")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        tasks.start_soon(second)
        await clock.advance(3.4)
        assert await cache.is_locked("k")  # the first has ended, and has freed no lock but its own
        await clock.advance(1)
    assert not await cache.is_locked("k")


async def test_an_object_follows_the_switch_at_each_entry(cache):
    """Guarantee 19: not the switch at the time at which the object was made."""
    with cache.disabling(Command.SET_LOCK):
        lock = cache.lock("k", 10)
        async with lock as held:
            assert held.fence == 0
    async with lock as held:
        assert held.fence
        assert await cache.is_locked("k")


async def test_wait_may_be_given_by_its_place(cache):
    async with cache.lock("k", 10):
        await cache.set_lock("j", "other", 10)
        with pytest.raises(LockedError, match="held by another"):
            async with cache.lock("j", 10, False):
                pytest.fail("two holders")
    with pytest.raises(WrongArgumentError, match="wait"):
        cache.lock("k", 10, 5)


# --- giving back


@pytest.mark.parametrize("commands", [(), (Command.UNLOCK,), (Command.UNLOCK, Command.SET_LOCK)])
async def test_a_lock_is_given_back_past_a_switch(cache, commands):
    """Guarantee 14."""
    async with cache.lock("k", 10), cache.lock("j", 10, renew=False):
        cache.disable(*commands)
    cache.enable()
    assert not await cache.is_locked("k")
    assert not await cache.is_locked("j")


async def test_a_lease_is_renewed_past_a_switch(cache, clock):
    """Guarantee 14: switching locks off ends no body."""
    async with cache.lock("k", 3) as held:
        cache.disable()
        for _ in range(10):
            await clock.advance(1)
        cache.enable()
        assert not held.lost
        assert not await cache.set_lock("k", "other", 10)


class BarredError(Exception):
    pass


@pytest.fixture
async def barred(subject, clock):
    """A cache with a middleware that renames keys, and lets no unlock through."""

    async def bar(call, cmd, _backend, *args, **kwargs):
        if "key" in kwargs and cmd in {Command.SET_LOCK, Command.UNLOCK, Command.IS_LOCKED, Command.BREAK_LOCK}:
            kwargs["key"] = f"renamed:{kwargs['key']}"
        if cmd is Command.UNLOCK:
            raise BarredError
        return await call(*args, **kwargs)

    async with subject.open(clock, middlewares=[bar]) as cache:
        yield cache


@over_leases
async def test_a_lock_is_given_back_past_a_middleware_that_fails(barred, options):
    """Guarantee 14: under the name that its store knows it by; the failure is raised all the same."""
    with pytest.raises(BarredError):
        async with barred.lock("k", 10, **options):
            assert [key async for key, _ in barred.locks()] == ["renamed:k"]
    assert not await barred.is_locked("k")
    with pytest.raises(LookupError):
        async with barred.lock("k", 10, **options):
            raise LookupError
    assert not await barred.is_locked("k")


# --- the list of locks, and breaking one


async def test_locks_are_listed_with_the_seconds_they_have_left(cache, clock):
    await cache.set_lock("a:1", "token", 10)
    await cache.set_lock("a:2", "token", 20)
    await cache.set_lock("b", "token", 30)
    await cache.set_lock("gone", "token", 1)
    await clock.advance(5)
    held = {key: left async for key, left in cache.locks()}
    assert {key: left for key, left in held.items() if "\0transaction" not in key} == {
        "a:1": pytest.approx(5, abs=0.01),
        "a:2": pytest.approx(15, abs=0.01),
        "b": pytest.approx(25, abs=0.01),
    }
    assert sorted([key async for key, _ in cache.locks("a:*")]) == ["a:1", "a:2"]
    assert [key async for key, _ in cache.locks("b")] == ["b"]
    assert [key async for key, _ in cache.locks("nothing*")] == []


async def test_a_lock_without_a_lease_is_listed_without_an_end(cache):
    await cache.set_lock("k", "token", None)
    assert [left async for key, left in cache.locks("k")] == [math.inf]


async def test_more_locks_than_a_page_are_listed_once_each(cache, subject):
    count = subject.many if subject.name == "mem" else 1_100
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(cache.set_lock, f"k:é:{number}", "token", 100)
    found = [key async for key, _ in cache.locks("k:é:*")]
    assert len(found) == count
    assert set(found) == {f"k:é:{number}" for number in range(count)}


async def test_a_broken_lock_is_free_and_wakes_its_first_waiter(cache, clock):
    await cache.set_lock("k", "of a process that is gone", 3_600)
    entered = []

    async def want():
        async with cache.lock("k", 10):
            entered.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(want)
        await clock.advance(1)
        assert entered == []
        began = clock.now()
        assert await cache.break_lock("k") is True
        await clock.settle()
    assert entered == [began]
    assert await cache.break_lock("k") is False
    assert not await cache.is_locked("k")


async def test_while_locks_are_switched_off_nothing_is_listed_or_broken(cache):
    """Guarantee 19."""
    await cache.set_lock("k", "token", 10)
    with cache.disabling():
        assert [key async for key, _ in cache.locks()] == []
        assert await cache.break_lock("k") is False
    assert await cache.is_locked("k")
