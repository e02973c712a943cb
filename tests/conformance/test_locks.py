"""Locks: tokens, leases, and who is next."""

from __future__ import annotations

import anyio
import pytest

from cashews import messages as m
from cashews.exceptions import LockedError
from tests.internals import inside


async def test_a_lock_is_taken_once(cache):
    assert await cache.set_lock("k", "mine", 10) is True
    assert await cache.set_lock("k", "yours", 10) is False
    assert await cache.set_lock("k", "mine", 10) is False
    assert await cache.is_locked("k") is True
    assert await cache.is_locked("other") is False


async def test_only_the_token_that_holds_a_lock_releases_it(cache):
    """Guarantee 14; D33."""
    await cache.set_lock("k", "mine", 10)
    assert await cache.unlock("k", "yours") is False
    assert await cache.unlock("k", "") is False
    assert await cache.is_locked("k")
    assert await cache.unlock("k", "mine") is True
    assert await cache.unlock("k", "mine") is False
    assert not await cache.is_locked("k")
    assert await cache.set_lock("k", "yours", 10) is True


async def test_a_lock_is_free_at_its_deadline(cache, clock):
    """Guarantee 2; D34."""
    await cache.set_lock("k", "mine", 0.5)
    await clock.advance(0.49)
    assert await cache.set_lock("k", "yours", 10) is False
    await clock.advance(0.01)
    assert await cache.is_locked("k") is False
    assert await cache.unlock("k", "mine") is False
    assert await cache.set_lock("k", "yours", 10) is True


async def test_who_held_an_expired_lock_does_not_free_its_successors(cache, clock):
    """Guarantee 14; D33."""
    async with cache.lock("k", expire=1, renew=False):
        await clock.advance(1)
        assert await cache.set_lock("k", "yours", 10) is True
    assert await cache.is_locked("k") is True


@pytest.mark.parametrize("expire", [0, -1])
async def test_a_lock_without_time_to_live_is_not_taken(cache, expire):
    """Guarantee 1."""
    assert await cache.set_lock("k", "mine", expire) is False
    assert await cache.is_locked("k") is False
    await cache.set("k", "value")
    assert await cache.set_lock("k", "mine", expire) is False
    assert await cache.get("k") == "value"
    await cache.set_lock("k", "yours", 10)
    assert await cache.set_lock("k", "mine", expire) is False
    assert await cache.is_locked("k") is True


async def test_a_lock_without_expiry_stays(cache, clock):
    assert await cache.set_lock("k", "mine", None) is True
    await clock.advance(10**9)
    assert await cache.is_locked("k") is True
    assert await cache.unlock("k", "mine") is True


async def test_locks_are_no_values(cache):
    await cache.set_lock("k", "mine", 10)
    assert await cache.get("k") is None
    assert await cache.exists("k") is False
    assert await cache.get_keys_count() == 0
    assert [key async for key in cache.scan("*")] == []
    await cache.set("k", "value")
    assert await cache.delete("k") is True
    assert await cache.is_locked("k") is True
    await cache.clear()
    assert await cache.is_locked("k") is True


async def test_waiting_for_a_lock_says_at_once_when_it_is_released(cache, clock):
    await cache.set_lock("k", "mine", 100)
    answers = []

    async def wait():
        answers.append((await cache.is_locked("k", wait=60), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.advance(3)
        assert answers == []
        await cache.unlock("k", "mine")
        await clock.settle()
    assert answers == [(False, 1_003)]


async def test_waiting_for_a_lock_looks_once_more_at_the_end(cache, clock, subject):
    """D40."""
    await cache.set_lock("k", "mine", 60)
    answers = []

    async def wait(key, seconds):
        answers.append((await cache.is_locked(key, wait=seconds), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "k", "59s")
        tasks.start_soon(wait, "k", 60)
        await clock.advance(120)
    (still, at_first), (free, at_last) = answers
    assert (still, at_first, free) == (True, 1_059, False)
    assert 1_060 <= at_last <= 1_060 + subject.grain


async def test_a_lock_context_holds_the_lock_while_its_body_runs(cache):
    async with cache.lock("k", expire=10):
        assert await cache.is_locked("k")
        assert not await cache.set_lock("k", "other", 10)
    assert not await cache.is_locked("k")


async def test_an_error_of_the_body_releases_the_lock_and_leaves_as_it_is(cache):
    with pytest.raises(LookupError, match=r"^mine$"):
        async with cache.lock("k", expire=10):
            raise LookupError("mine")
    assert not await cache.is_locked("k")


async def test_cancelling_the_body_releases_the_lock(cache):
    """Seen under load: cancellation left 46 of 50 locks for their whole lease."""
    with anyio.CancelScope() as scope:
        async with cache.lock("k", expire=10):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not await cache.is_locked("k")


async def test_without_waiting_a_held_lock_is_an_error(cache):
    async with cache.lock("k", expire=10):
        with pytest.raises(LockedError, match="'k'"):
            async with cache.lock("k", expire=10, wait=False):
                pytest.fail("two holders")
    async with cache.lock("k", expire=10, wait=False):
        assert await cache.is_locked("k")


async def test_waiters_are_served_first_in_first_out(cache, clock):
    """Guarantee 14."""
    order = []

    async def work(number):
        async with cache.lock("k", expire=100):
            order.append(number)
            await clock.sleep(1)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(work, number)
            await clock.settle()
        await clock.advance(10)
    assert order == list(range(10))
    assert clock.now() == 1_010


async def test_bodies_never_overlap(cache):
    """Guarantee 14."""
    inside = []

    async def work():
        async with cache.lock("k", expire=100):
            inside.append(1)
            assert len(inside) == 1
            await anyio.lowlevel.checkpoint()
            inside.pop()

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(work)
    assert not await cache.is_locked("k")


async def test_locks_of_different_keys_do_not_meet(cache):
    async with cache.lock("a", 10), cache.lock("b", 10), cache.lock("c", 10):
        assert [await cache.is_locked(key) for key in "abcd"] == [True, True, True, False]


async def test_a_lease_that_ends_lets_the_next_one_in(cache, clock, subject):
    """Guarantee 14; D34, D35: a holder that does not come back blocks nobody for longer than its lease."""
    await cache.set_lock("k", "dead", 30)
    entered = []

    async def work():
        async with cache.lock("k", expire=100):
            entered.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await clock.advance(29.99)
        assert entered == []
        await clock.advance(0.01 + subject.grain)
    assert len(entered) == 1
    assert 1_030 <= entered[0] <= 1_030 + subject.grain


async def test_a_lock_without_a_lease_has_one_all_the_same(cache, clock):
    """D39: a killed holder must not block others for ever."""
    context = cache.lock("k", renew=False)
    await context.__aenter__()
    await clock.advance(3_600)
    assert not await cache.is_locked("k")
    await context.__aexit__(None, None, None)


async def test_a_lease_is_renewed_while_the_body_runs(cache, clock):
    """Guarantee 14; D35: the original had three holders at once."""
    async with cache.lock("k", expire=3) as held:
        for _ in range(10):
            await clock.advance(1)
            assert not await cache.set_lock("k", "another", 10)
        assert not held.lost
    assert await cache.set_lock("k", "another", 10)


async def test_fencing_numbers_grow_from_one_holder_to_the_next(cache, clock):
    """Guarantee 14."""
    fences = []
    for number in range(20):
        async with cache.lock("k", expire=3, renew=bool(number % 2)) as held:
            fences.append(held.fence)
        await clock.advance(number % 3)
    assert fences == sorted(set(fences))
    assert fences[0] > 0


async def test_waiting_ends_at_its_timeout(cache, clock):
    errors = []

    async def want():
        try:
            async with cache.lock("k", expire=10, timeout=2):
                pytest.fail("two holders")
        except LockedError as error:
            errors.append((str(error), clock.now(), error.key, error.waited))

    async with cache.lock("k", expire=10), anyio.create_task_group() as tasks:
        tasks.start_soon(want)
        await clock.advance(5)
    assert errors == [("the lock 'k' cannot be taken: it was not free within 2 s", 1_002, "k", 2)]
    assert not await cache.is_locked("k")
    async with cache.lock("k", expire=10, timeout=0):
        assert await cache.is_locked("k")


@pytest.mark.no_transaction
async def test_a_lease_is_renewed_by_the_token_that_holds_the_lock(cache, clock):
    """Guarantee 14."""
    assert await cache.set_lock("k", "mine", 10)
    await clock.advance(5)
    assert not await inside(cache).ask(m.RenewLock("k", "yours", 100.0))
    assert not await inside(cache).ask(m.RenewLock("free", "mine", 100.0))
    assert await inside(cache).ask(m.RenewLock("k", "mine", 10.0))
    await clock.advance(9)
    assert await cache.is_locked("k")
    await clock.advance(1.5)
    assert not await cache.is_locked("k")
    assert not await inside(cache).ask(m.RenewLock("k", "mine", 10.0))
