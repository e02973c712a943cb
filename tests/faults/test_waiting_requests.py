"""Those who wait at a connection: for room, for each other's reply, for messages."""

from __future__ import annotations

import anyio
import pytest
from redis import exceptions as redis

from cashews import messages as m
from cashews.actors.loop import current_loop
from cashews.backends.redis import inbox
from cashews.backends.redis.failures import LateError
from tests.faults.proxy import PATIENCE, until
from tests.internals import inside
from tests.servers import lock_of

pytestmark = pytest.mark.redis
ROOM = 100


def figures(cache):
    return cache.statistics().backends[""]


@pytest.fixture
async def full(monkeypatch, proxy, opened):
    """A cache whose inbox is full, as its connection does not come about; and what was answered."""
    monkeypatch.setattr(inbox, "ROOM", ROOM)
    proxy.hold()
    answers = []
    async with opened(proxy.url, socket_connect_timeout=PATIENCE) as cache, anyio.create_task_group() as tasks:

        async def incr():
            answers.append(await cache.incr("n"))

        for _ in range(ROOM):
            tasks.start_soon(incr)
        await until(lambda: figures(cache)["waiting"] == ROOM and proxy.links)
        yield cache, answers, incr


@pytest.mark.parametrize("doomed", [[0], [1, 2, 5], [29], [*range(0, 30, 2)], [*range(30)]])
async def test_who_is_cancelled_while_waiting_for_room_holds_up_nobody(server, proxy, full, doomed):
    """Guarantee 23: nobody is lost, nobody is counted twice."""
    cache, answers, incr = full
    scopes = [anyio.CancelScope() for _ in range(30)]

    async def outside(scope):
        with scope:
            await incr()

    async with anyio.create_task_group() as tasks:
        for scope in scopes:
            tasks.start_soon(outside, scope)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert figures(cache)["waiting"] == ROOM
        for number in doomed:
            scopes[number].cancel()
        proxy.flow()
    with anyio.fail_after(PATIENCE):
        await until(lambda: len(answers) == ROOM + 30 - len(doomed))
    assert sorted(answers) == list(range(1, len(answers) + 1))
    assert server.command("GET", "n") == str(len(answers)).encode()


async def test_who_waits_for_room_is_answered_when_the_server_goes_down(proxy, full):
    cache, answers, incr = full
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(incr)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        await proxy.refuse()
        proxy.cut()
        with anyio.fail_after(PATIENCE):
            await until(lambda: len(answers) == ROOM + 30)
    assert set(answers) == {0}
    assert figures(cache)["waiting"] == 0


async def test_who_waits_for_room_is_refused_when_the_cache_is_closed(full, clock):
    cache, answers, incr = full
    refused = []

    async def outside():
        try:
            await incr()
        except Exception as error:  # noqa: BLE001  looked at below
            refused.append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(outside)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(cache.close)
        await clock.advance(PATIENCE)
        with anyio.fail_after(PATIENCE):
            await until(lambda: len(refused) + len(answers) == ROOM + 30)
    assert set(refused) <= {"CacheClosedError"}
    assert set(answers) == {0}


async def test_ten_thousand_may_wait(proxy, opened):
    """The real bound."""
    proxy.hold()
    answers = []
    async with opened(proxy.url, socket_connect_timeout=PATIENCE) as cache:

        async def incr():
            answers.append(await cache.incr("n"))

        async with anyio.create_task_group() as tasks:
            for _ in range(10_100):
                tasks.start_soon(incr)
            await until(lambda: figures(cache)["waiting"] == inbox.ROOM)
            proxy.flow()
    assert sorted(answers) == list(range(1, 10_101))


async def test_who_shares_a_reply_is_not_touched_by_the_cancellation_of_another(server, proxy, cache):
    """Guarantee 23."""
    server.command("SET", "k", "1")
    proxy.hold()
    found = []

    async def get():
        found.append(await cache.get("k"))

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as doomed:
            doomed.start_soon(get)
            tasks.start_soon(get)
            doomed.start_soon(get)
            await until(lambda: figures(cache)["joined"] == 2 or figures(cache)["in_flight"] > 1)
            doomed.cancel_scope.cancel()
        proxy.flow()
        with anyio.fail_after(PATIENCE):
            await until(lambda: found)
    assert found == [1]


async def test_who_listens_as_well_hears_though_the_first_listener_is_cancelled(server, cache):
    """Guarantee 14: the first asks the server for all; he may go before his request has."""
    for number in range(20):
        heard, both = [], []
        lock = f"l{number}"

        async def watch(told, lock=lock, both=both):
            both.append(await inside(cache).ask(m.WatchLock(lock, told)))

        async with anyio.create_task_group() as tasks, anyio.create_task_group() as doomed:
            doomed.start_soon(watch, list)
            tasks.start_soon(watch, lambda heard=heard: heard.append(1))
            for _ in range(number % 2):
                await anyio.lowlevel.checkpoint()
            doomed.cancel_scope.cancel()
        if len(both) == 1:
            await inside(cache).ask(m.UnwatchLock(lock, list))
        await cache.ping()
        server.command("PUBLISH", lock_of(lock), "")
        await cache.ping()
        assert (number, heard) == (number, [1])


async def test_who_is_late_may_be_cancelled_before_he_hears_of_it():
    """Guarantee 23: what is asked once more and has had its time is answered, and is its asker's to take back."""
    requests, place = inbox.Inbox(), current_loop().bare_slot()
    requests.post(b"read", place, reads=True)
    requests.batch(0.0, 1.0)
    requests.recover(redis.ConnectionError(), 0.5, 1.0, retry_late=False)
    requests.fail_late(1.5, 1.0)
    assert requests.waiting == 0
    with anyio.CancelScope() as asker:
        asker.cancel()
        await place
        await anyio.lowlevel.checkpoint()
    assert asker.cancelled_caught
    assert isinstance(await place, LateError)
