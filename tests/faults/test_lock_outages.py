"""Locks when the server is away: deadlines hold, errors say what happened, and no lock outlives its body for long."""

from __future__ import annotations

from contextlib import nullcontext

import anyio
import anyio.lowlevel
import pytest

from cashews.backends.redis.layout import lock_key
from cashews.exceptions import CacheBackendInteractionError, LockedError, LockRefusedError
from tests.faults.proxy import PATIENCE, until
from tests.faults.test_recovery import up_again
from tests.internals import inside

pytestmark = pytest.mark.redis
SUPPRESS = pytest.mark.parametrize("suppress", [True, False], ids=["suppressed", "raised"])
NAME = lock_key("k")


async def ends(clock, function, seconds, begins=anyio.lowlevel.checkpoint):
    """Return what a function raises, and after how many seconds, at the most so many.

    :param begins: awaited before time moves on, since replies of a server take real time
    """
    outcome = []

    async def run():
        began = clock.now()
        try:
            await function()
        except Exception as error:  # noqa: BLE001  whatever it is, it is the outcome
            outcome.append((error, clock.now() - began))
        else:
            outcome.append((None, clock.now() - began))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await begins()
        for _ in range(int(seconds * 20) + 1):
            await clock.advance(0.05)
            if outcome:
                return outcome[0]
        await until(lambda: outcome)
    return outcome[0]


def entering(cache, **options):
    async def enter():
        async with cache.lock("k", 60, **options):
            pass

    return enter


@SUPPRESS
async def test_the_deadline_of_a_lock_holds_while_the_server_hangs(proxy, opened, clock, suppress):
    """Guarantee 14: for the tries, too, and for the tidying up after them."""
    async with opened(proxy.url, suppress=suppress, socket_timeout=5) as cache:
        await cache.ping()
        proxy.go_silent()
        error, seconds = await ends(clock, entering(cache, timeout=0.5), 3)
        assert isinstance(error, LockRefusedError)
        assert "did not answer within 0.5 s" in str(error)
        assert seconds <= 0.8
        proxy.cut()


async def test_the_deadline_of_a_lock_that_is_waited_for_holds_when_the_server_hangs_meanwhile(cache, proxy, clock):
    """Guarantee 14: the error says that it was not free, as the server had said."""
    await cache.set_lock("k", "another", 60)
    requests = []
    proxy.requests = requests.append

    async def go_silent():
        await until(lambda: b"SUBSCRIBE" in b"".join(requests))  # so it was told that another holds the lock
        proxy.go_silent()

    error, seconds = await ends(clock, entering(cache, timeout=0.5), 3, go_silent)
    assert type(error) is LockedError
    assert "not free within 0.5 s" in str(error)
    assert seconds <= 0.8
    proxy.cut()


async def test_asking_whether_a_lock_is_held_ends_in_time_while_the_server_hangs(cache, proxy, clock):
    proxy.go_silent()

    async def ask():
        await cache.is_locked("k", wait=0.5)

    error, seconds = await ends(clock, ask, 3)
    assert error is None
    assert seconds <= 0.8
    proxy.cut()


async def test_without_waiting_an_outage_is_not_taken_for_another_holder(proxy, cache):
    """Guarantee 22: the store does not answer; nobody holds the lock."""
    await proxy.refuse()
    proxy.cut()
    with anyio.fail_after(PATIENCE), pytest.raises(LockRefusedError, match="refuses"):
        async with cache.lock("k", 60, wait=False):
            pytest.fail("not locked")


async def test_a_locked_function_does_not_run_without_its_lock(proxy, opened):
    """Guarantee 22: the lock is all that it asks the cache for, and nobody may take another execution for it."""
    runs = []
    async with opened(proxy.url, suppress=True) as cache:

        @cache.locked(ttl=60, key="k")
        async def function():
            runs.append(1)

        await function()
        await proxy.refuse()
        proxy.cut()
        with anyio.fail_after(PATIENCE), pytest.raises(LockRefusedError, match="refuses"):
            await function()
    assert runs == [1]


async def test_a_wait_in_a_transaction_names_no_negative_seconds(cache, server, clock):
    """Guarantee 16: its deadline may have passed when it asks for another lock."""
    server.command("SET", lock_key("b\0transaction"), "another")
    errors = []
    async with cache.transaction(timeout=1):
        await cache.set("a", 1)
        await clock.advance(2)
        with pytest.raises(LockedError) as error:
            await cache.get("b")
        errors.append(str(error.value))
    assert "-" not in errors[0].replace("'b\\x00transaction'", "")


async def test_a_queue_is_refused_as_a_whole_when_the_server_is_lost(proxy, cache, clock):
    """Guarantee 22: nobody waits for one outage behind another."""
    await cache.set_lock("k", "another", 3)
    errors = []

    async def want():
        try:
            await entering(cache)()
        except LockRefusedError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(want)
        await until(lambda: cache.statistics().lock_waiters == 20)
        await clock.settle()
        proxy.go_silent()
        await clock.advance(3.5)
        await clock.advance(5.5)
        with anyio.fail_after(PATIENCE):
            await until(lambda: len(errors) == 20)
    proxy.cut()


@SUPPRESS
async def test_a_lock_that_could_not_be_given_back_is_given_back_when_the_server_is_back(
    proxy, opened, server, clock, suppress
):
    """Guarantee 22: not when its lease ends, a minute later."""
    async with opened(proxy.url, suppress=suppress) as cache:
        with anyio.fail_after(PATIENCE):
            with nullcontext() if suppress else pytest.raises(CacheBackendInteractionError):
                async with cache.lock("k", 60):
                    assert server.command("GET", NAME)
                    await proxy.refuse()
                    proxy.cut()
                    await until(lambda: not cache.statistics().backends[""]["connected"])
        assert server.command("GET", NAME)
        assert inside(cache).coordinator.owed == 1
        await proxy.listen()
        with anyio.fail_after(PATIENCE):
            await up_again(cache, clock)
            began = clock.now()
            while server.command("GET", NAME):
                await clock.advance(0.1)
                await anyio.lowlevel.checkpoint()
        assert clock.now() - began < 5
        await until(lambda: inside(cache).coordinator.owed == 0)
        async with cache.lock("k", 60, wait=False):
            pass


async def test_a_lock_of_a_try_that_was_given_up_is_given_back(proxy, cache, server, clock):
    """Guarantee 14: the server has taken it; its answer was too late for the deadline."""
    proxy.dumb = True
    error, _ = await ends(clock, entering(cache, timeout=0.5), 3)
    assert isinstance(error, LockedError)
    proxy.dumb = False
    proxy.recover()
    with anyio.fail_after(PATIENCE):
        while server.command("GET", NAME) or inside(cache).coordinator.owed:
            await clock.advance(0.1)
            await anyio.lowlevel.checkpoint()


async def test_a_lock_that_was_broken_meanwhile_is_owed_to_nobody(cache, server):
    async with cache.lock("k", 60):
        assert await cache.break_lock("k")
        server.command("SET", NAME, "another")
    await until(lambda: inside(cache).coordinator.owed == 0)
    assert server.command("GET", NAME) == b"another"
