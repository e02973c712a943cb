"""Whoever is cancelled leaves a letter to be skipped or a reply to be dropped; nobody else notices. Guarantee 23."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.disk.conftest import figures, taken, writing

pytestmark = pytest.mark.diskcache


async def test_what_is_cancelled_before_its_turn_is_not_done(cache, directory):
    await cache.set("first", 0)
    async with anyio.create_task_group() as tasks:
        with writing(directory):
            tasks.start_soon(cache.set, "begun", 1)
            await anyio.wait_all_tasks_blocked()
            await taken(cache)
            tasks.start_soon(cache.set, "kept", 1)
            async with anyio.create_task_group() as doomed:
                doomed.start_soon(cache.set, "dropped", 1)
                await anyio.wait_all_tasks_blocked()
                doomed.cancel_scope.cancel()
    assert await cache.get_many("begun", "kept", "dropped") == (1, 1, None)


async def test_a_turn_that_has_begun_is_finished(cache, directory):
    await cache.set("first", 0)
    async with anyio.create_task_group() as tasks:
        with writing(directory):
            tasks.start_soon(cache.incr, "begun")
            await anyio.wait_all_tasks_blocked()
            await taken(cache)
            tasks.cancel_scope.cancel()
    assert await cache.incr("begun") == 2


async def test_replies_keep_pairing_with_their_askers(cache):
    for number in range(20):
        await cache.set(f"k{number}", number)
    wrong = []

    async def ask(number, rounds):
        found = [await cache.get(f"k{number}") for _ in range(rounds)]
        wrong.extend(each for each in found if each != number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, number, 20)
        for number in range(20):
            async with anyio.create_task_group() as doomed:
                doomed.start_soon(ask, number, 1)
                await checkpoint()
                doomed.cancel_scope.cancel()
    assert wrong == []
    assert figures(cache)["waiting"] == 0
