"""Requests and refreshes that end in the middle, and the traces that they must not leave."""

import logging
from functools import partial

import anyio
import pytest

from cashews import Cache, Command
from cashews.api.face import engine_of
from cashews.contrib.asgi import HTTPCache
from cashews.contrib.asgi.loading import Replayed
from cashews.contrib.asgi.middleware import MOST_PASSING
from cashews.contrib.asgi.responses import LEASE
from tests.contrib.asgi.world import Client, Origin, pairs_of, scope_of
from tests.disk_time import DiskClock

STALE = {"cache_control": "max-age=10, stale-while-revalidate=100"}


async def test_a_refresh_has_a_state_of_its_own(cache, clock):
    """Guarantee 11: the client's request may go on while the application writes to its state."""
    states = []
    origin = Origin(**STALE)

    async def app(scope, receive, send):
        states.append(scope["state"])
        scope["state"]["call"] = len(states)
        await origin(scope, receive, send)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        pass

    http = HTTPCache(app, cache)
    await http({**scope_of("/", {}), "state": {}}, receive, send)
    await clock.advance(11)
    state = {"shared": 1}
    await http({**scope_of("/", {}), "state": state}, receive, send)
    await clock.settle()
    assert state == {"shared": 1}
    assert states[1:] == [{"shared": 1, "call": 2}]


async def test_a_refresh_that_is_not_whole_has_failed(cache, clock, caplog):
    origin = Origin(**STALE)
    http = HTTPCache(origin, cache)
    client = Client(http)
    await client.get()
    await clock.advance(11)

    async def cut(_scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": pairs_of(STALE)})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    http.app = cut
    with caplog.at_level(logging.CRITICAL, "cashews"):
        assert (await client.get()).body == b"1"
        await clock.settle()
    assert cache.statistics().refreshes["failed"] == 1
    http.app = origin
    assert (await client.get()).body == b"1"


async def test_a_request_that_is_cancelled_while_it_looks_again_leaves_no_lock_and_no_permit(clock):
    """Guarantee 14: it has the lock, and asks whether another process has loaded meanwhile."""
    looks, looking = [], anyio.Event()

    async def slow(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.GET:
            looks.append(cmd)
            if len(looks) == 2:
                looking.set()
                await anyio.sleep_forever()
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[slow], clock=clock) as cache:
        client = Client(HTTPCache(Origin(cache_control="max-age=60"), cache, lock=True))
        async with anyio.create_task_group() as group:
            group.start_soon(client.get)
            await looking.wait()
            assert len([lock async for lock in cache.locks()]) == 1
            group.cancel_scope.cancel()
        assert [lock async for lock in cache.locks()] == []
        assert len(engine_of(cache).permits) == 0


async def test_a_second_run_gets_the_content_again_and_the_disconnect_from_the_server():
    request = {"type": "http.request", "body": b"a", "more_body": False}
    messages = iter([request, {"type": "http.disconnect"}, {"type": "http.disconnect", "again": True}])

    async def receive():
        return next(messages)

    replayed = Replayed(receive)
    assert [await replayed(), await replayed()] == [request, {"type": "http.disconnect"}]
    replayed.rewind()
    assert [await replayed(), await replayed()] == [request, {"type": "http.disconnect", "again": True}]


async def test_the_places_whose_requests_pass_are_bounded(cache):
    """Guarantee 27: the oldest one is forgotten, and no other."""
    http = HTTPCache(Origin(), cache)
    for number in range(MOST_PASSING + 1):
        http.pass_by(f"place {number}", passing=True)
    http.pass_by(f"place {MOST_PASSING}", passing=True)
    assert [http.passes(f"place {number}") for number in (0, 1, MOST_PASSING)] == [False, True, True]


async def test_a_message_of_the_application_stays_as_it_is(cache):
    """An application may send one message to many clients."""
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"1")]}

    async def app(_scope, _receive, send):
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    client = Client(HTTPCache(app, cache))
    for method in ("POST", "GET"):
        assert (await client.get(method=method))["cache-status"] is not None
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x", b"1")]}


async def test_requests_in_flight_when_the_cache_closes_have_their_answers(clock, tasks, caplog):
    """Guarantee 33."""
    origin = Origin(cache_control="max-age=60")
    origin.gate = anyio.Event()
    with caplog.at_level(logging.CRITICAL, "cashews"):
        async with Cache.open("mem://", clock=clock) as cache:
            client = Client(HTTPCache(origin, cache), tasks)
            answers = [client.start() for _ in range(3)]
            await clock.settle()
        origin.gate.set()
        for answer in answers:
            await answer.ended.wait()
    assert {(answer.status, answer.error) for answer in answers} == {(200, None)}
    assert all(answer.body for answer in answers)


async def test_a_soft_purge_gives_no_way_to_a_load_from_before(clock, tasks):
    """The load's response is not stored, so the stored one has to be softened all the same."""
    gates = []

    async def slow(call, cmd, _backend, *args, **kwargs):
        reply = await call(*args, **kwargs)
        if cmd is Command.GET and gates:
            await gates.pop().wait()
        return reply

    async with Cache.open("mem://", middlewares=[slow], clock=clock) as cache:
        origin = Origin(cache_control="max-age=60")
        http = HTTPCache(origin, cache, trust_requests=True)
        client = Client(http, tasks)
        await client.get()
        origin.gate, gate = anyio.Event(), anyio.Event()
        old = client.start(cache_control="no-cache")
        await clock.settle()
        gates.append(gate)
        tasks.start_soon(partial(http.purge, "http://example.org/", soft=True))
        await clock.settle()
        origin.gate.set()
        await old.ended.wait()
        gate.set()
        await clock.settle()
        assert (await client.get()).body == b"1"
        await clock.settle()
        assert origin.calls == 3


@pytest.mark.diskcache
async def test_the_lock_of_a_load_that_takes_long_is_renewed(tasks, tmp_path):
    """No other process loads beside it."""
    clock = DiskClock()
    async with Cache.open(f"disk://?directory={tmp_path}", clock=clock) as cache:
        clock.caches.append(cache)
        origin = Origin(cache_control="max-age=60")
        origin.gate = anyio.Event()
        answer = Client(HTTPCache(origin, cache, lock=True), tasks).start()
        while not origin.calls:
            await anyio.lowlevel.checkpoint()
        for _ in range(5):
            await clock.advance(LEASE / 2)
            assert [key async for key, _ in cache.locks()] == ["http:http://example.org/ lock"]
        origin.gate.set()
        await answer.ended.wait()
        assert answer.body == b"1"
        assert [lock async for lock in cache.locks()] == []
