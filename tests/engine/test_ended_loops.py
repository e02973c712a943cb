"""A cache in one event loop after another, and the calls and locks that an ended loop leaves. Guarantee 30."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread
import pytest

from cashews import Cache
from cashews.exceptions import CacheBackendInteractionError, LockLostError
from tests.engine.conftest import Stub
from tests.engine.elsewhere import LOOPS, PATIENCE, Parked, elsewhere, use_everything
from tests.internals import inside


@LOOPS
async def test_a_loop_that_ends_leaves_the_cache_to_another(stored, other):
    """The home was there; its end is noticed by whoever asks."""
    await elsewhere(partial(stored.set, "k", 1), other)
    assert await stored.get("k") == 1
    async with Parked(partial(stored.set, "k", 2), other):
        assert await stored.get("k") == 2
    await use_everything(stored, "here")


async def test_a_home_whose_loop_runs_is_never_given_up(memory):
    """Another loop may have looked at it when it was stopped, and it runs again by now."""
    await memory.set("k", 1)
    sites = inside(memory).engine._lifetime.sites
    home = sites.home
    sites.give_up(home)
    assert sites.home is home
    assert inside(memory).engine.home_thread == threading.get_ident()


@LOOPS
async def test_askers_in_the_home_of_others_go_on_when_it_ends(stored, other):
    """Values that were written before are there; what is under way is answered, and nobody hangs."""
    await stored.close()  # the home is to be in the thread
    answers = []

    async def ask():
        for number in range(200):
            try:
                answers.append(await stored.set(f"k{number}", number))
            except CacheBackendInteractionError:  # it was on its way when the home ended
                answers.append(True)
            if number == 20:
                home.release.set()

    async with Parked(partial(stored.set, "k", 1), other) as home:
        with anyio.fail_after(PATIENCE):
            await ask()
    assert len(answers) == 200
    assert all(answers)
    assert await stored.set("k", 2)
    assert await stored.get_many("k0", "k") == (0, 2)


@LOOPS
async def test_a_letter_to_a_loop_that_was_stopped_is_served_here(memory, other):
    """It was stopped between two looks, and never goes on: the letter did not begin, so it is asked again."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    stopping, stopped = threading.Event(), threading.Event()

    async def stay():
        await memory.set("k", 1)
        stopping.set()
        while not memory_asked.is_set():
            await anyio.lowlevel.checkpoint()

    memory_asked = threading.Event()

    def run():
        loop.run_until_complete(stay())
        stopped.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert stopping.wait(PATIENCE)
        assert await memory.get("k") == 1
        memory_asked.set()
        assert await anyio.to_thread.run_sync(stopped.wait, PATIENCE)
        with anyio.fail_after(PATIENCE):
            assert await memory.get("k") == 1
            assert await elsewhere(partial(memory.get, "k"), other) == 1
    finally:
        thread.join(PATIENCE)
        loop.close()


@LOOPS
@pytest.mark.parametrize("command", ["set", "get"])
async def test_a_message_that_a_home_takes_along(serving, other, command):
    """A write may have been carried out or not: an error says so. A read is asked again, here."""
    serving()
    cache = Cache()
    cache.setup("stub://")
    store, begun = inside(cache).store(), threading.Event()

    async def park(*_, **_options):
        del store.ask  # the next message is answered
        begun.set()
        await anyio.sleep_forever()

    async def ask():
        if command == "get":
            assert await cache.get("k", "default") == "default"
            return
        with pytest.raises(CacheBackendInteractionError, match="the event loop that served it has ended") as failure:
            await cache.set("k", 1)
        assert failure.value.unknown

    async with Parked(partial(cache.get, "k"), other) as home:
        store.ask = park
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.to_thread.run_sync(begun.wait, PATIENCE)
            home.release.set()
    await cache.close()


@LOOPS
async def test_a_load_whose_announcement_a_home_takes_along(serving, other, monkeypatch):
    """Guarantee 29. It is announced again, here: the call fails as its function does, and not with the home."""
    serving()
    monkeypatch.setattr(Stub, "follows", True)
    cache = Cache()
    cache.setup("stub://")
    store, begun, announced = inside(cache).store(), threading.Event(), []

    async def park(*_):
        store.follow = follow  # the next load is announced
        begun.set()
        await anyio.sleep_forever()

    async def follow(key, _):
        announced.append(key)

    @cache(ttl=10, key="load")
    async def load():
        return 1

    async def call():
        assert await load() == 1

    async with Parked(partial(cache.get, "k"), other) as home:
        store.follow = park
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.to_thread.run_sync(begun.wait, PATIENCE)
            home.release.set()
    assert announced == ["load"]
    await cache.close()


def test_a_lock_of_memory_that_a_dead_loop_has_held_is_free(memory, anyio_backend):
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    held = asyncio.Event()

    async def hold():
        async with memory.lock("k", 60):
            held.set()
            await asyncio.Event().wait()

    async def until_held():
        task = asyncio.ensure_future(hold())
        await held.wait()
        return task

    left = loop.run_until_complete(until_held())
    loop.close()

    async def take():
        with anyio.fail_after(PATIENCE):
            async with memory.lock("k", 60):
                return await memory.is_locked("k")

    assert anyio.run(take, backend=anyio_backend)
    with suppress(RuntimeError):  # it has no loop to give the lock back in
        left.get_coro().close()


def test_keys_of_a_transaction_in_a_dead_loop_are_free(memory, anyio_backend):
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    written = asyncio.Event()

    async def write():
        async with memory.transaction():
            await memory.set("k", 1)
            written.set()
            await asyncio.Event().wait()

    async def until_written():
        task = asyncio.ensure_future(write())
        await written.wait()
        return task

    left = loop.run_until_complete(until_written())
    loop.close()

    async def take():
        with anyio.fail_after(PATIENCE):
            async with memory.transaction(timeout=2 * PATIENCE):
                assert await memory.get("k") is None
                await memory.set("k", 2)
        return await memory.get("k")

    assert anyio.run(take, backend=anyio_backend) == 2
    with suppress(RuntimeError):  # it has no loop to give the lock back in
        left.get_coro().close()


@pytest.mark.parametrize("ending", ["block", "commit"])
def test_a_transaction_whose_key_was_taken_while_its_loop_stood_still_is_not_committed(memory, anyio_backend, ending):
    """Guarantee 9: the other one's update is not lost."""
    loop = asyncio.new_event_loop()

    async def count_on():
        async with memory.transaction() as transaction:
            number = await memory.get("n", 0)
            begun.set()
            await goes_on.wait()
            await memory.set("n", number + 1)
            if ending == "commit":
                await transaction.commit()

    async def begin():
        task = asyncio.ensure_future(count_on())
        await begun.wait()
        return task

    async def count():
        with anyio.fail_after(PATIENCE):
            async with memory.transaction(timeout=2 * PATIENCE):
                await memory.set("n", await memory.get("n", 0) + 1)

    async def end():
        goes_on.set()
        with pytest.raises(LockLostError, match="'n' was lost"):
            await task

    begun, goes_on = asyncio.Event(), asyncio.Event()
    task = loop.run_until_complete(begin())
    thread = threading.Thread(target=partial(anyio.run, count, backend=anyio_backend))
    thread.start()
    thread.join(PATIENCE)
    loop.run_until_complete(end())
    assert loop.run_until_complete(memory.get("n")) == 1
    loop.run_until_complete(count())
    assert loop.run_until_complete(memory.get("n")) == 2
    loop.run_until_complete(memory.close())
    loop.close()
