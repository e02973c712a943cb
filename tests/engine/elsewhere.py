"""Other event loops for tests: in a thread each, for one call or until the test is done with them."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import anyio.to_thread
import pytest

from cashews import TransactionMode
from cashews.exceptions import LockedError

PATIENCE = 30.0
"""Seconds of real time that anything may take there."""

KINDS = ["asyncio", pytest.param("trio", marks=pytest.mark.trio)]
"""The kinds of loops, as parameters of tests."""

LOOPS = pytest.mark.parametrize("other", KINDS)
"""Parametrizes a test with the kind of the other loop."""


async def elsewhere(main, other):
    """Run a function in another event loop, in a thread, and return its result."""
    with anyio.fail_after(PATIENCE):
        return await anyio.to_thread.run_sync(partial(anyio.run, main, backend=other))


class Parked:
    """A loop in a thread that has used a cache, and does nothing more until it is told to end."""

    def __init__(self, main, backend):
        self._main = main
        self.ready = threading.Event()
        self.release = threading.Event()
        self.failures = []
        self._thread = threading.Thread(target=self._run, args=[backend])

    def _run(self, backend):
        try:
            anyio.run(self._stay, backend=backend)
        except BaseException as error:  # noqa: BLE001  handed to the test
            self.failures.append(error)

    async def _stay(self):
        await self._main()
        self.ready.set()
        await anyio.to_thread.run_sync(self.release.wait)

    async def __aenter__(self):
        self._thread.start()
        assert await anyio.to_thread.run_sync(self.ready.wait, PATIENCE)
        return self

    async def __aexit__(self, *_):
        self.release.set()
        await anyio.to_thread.run_sync(self._thread.join, PATIENCE)
        assert not self._thread.is_alive()
        assert self.failures == []


async def use_everything(cache, own):
    """Use the commands, with keys of one's own, and check each answer."""
    key = f"{own}:k"
    assert await cache.ping() == b"PONG"
    assert await cache.set(key, {"n": 1}, expire=100)
    assert await cache.get(key) == {"n": 1}
    assert await cache.exists(key)
    assert 0 < await cache.get_expire(key) <= 100
    await cache.set_many({f"{own}:{number}": number for number in range(5)})
    assert await cache.get_many(f"{own}:0", f"{own}:4", f"{own}:no") == (0, 4, None)
    assert sorted([found async for found in cache.scan(f"{own}:*")]) == sorted(
        [key, *[f"{own}:{number}" for number in range(5)]]
    )
    assert [await cache.incr(f"{own}:c") for _ in range(3)] == [1, 2, 3]
    await cache.set(f"{own}:t", 1, tags=[f"{own}:tag"])
    await cache.delete_tags(f"{own}:tag")
    assert await cache.get(f"{own}:t") is None
    async with cache.lock(f"{own}:lock", 10):
        assert await cache.is_locked(f"{own}:lock")
        with pytest.raises(LockedError):
            async with cache.lock(f"{own}:lock", 10, wait=False):
                pytest.fail("taken twice")
    assert not await cache.is_locked(f"{own}:lock")
    assert await cache.set_lock(f"{own}:lock", "token", 10)
    assert await cache.unlock(f"{own}:lock", "token")
    await cache.delete_match(f"{own}:*")
    assert await cache.get_many(f"{own}:0", key) == (None, None)


async def use_transactions(cache, own):
    for mode in TransactionMode:
        async with cache.transaction(mode):
            assert await cache.get(f"{own}:n", 0) == 0
            await cache.set(f"{own}:n", 1)
        assert await cache.get(f"{own}:n") == 1
        async with cache.transaction(mode) as transaction:
            await cache.incr(f"{own}:n")
            await transaction.rollback()
        assert await cache.get(f"{own}:n") == 1
        await cache.delete(f"{own}:n")


async def use_decorators(cache, own):
    runs = []

    @cache(ttl=100, key=own + ":{number}")
    async def double(number):
        runs.append(number)
        return 2 * number

    @cache.iterator(ttl=100, key=own + ":items")
    async def items():
        runs.append("items")
        for number in range(3):
            yield number

    @cache.rate_limit(limit=2, period=100, key=own + ":limited")
    async def limited():
        return 1

    @cache.locked(ttl=10, key=own + ":locked")
    async def locked():
        return 2

    assert [await double(3), await double(3)] == [6, 6]
    assert [item async for item in items()] == [item async for item in items()] == [0, 1, 2]
    assert runs == [3, "items"]
    assert [await limited(), await limited(), await locked()] == [1, 1, 2]
    with pytest.raises(Exception, match="limit"):
        await limited()
