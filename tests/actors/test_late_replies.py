"""A reply that is here and was not read is not late, however long the event loop stood still. Guarantee 22."""

from __future__ import annotations

import select

import anyio
import pytest
from anyio.lowlevel import checkpoint
from redis.exceptions import TimeoutError  # noqa: A004  it is that one

from cashews import Cache
from cashews.backends.redis.inbox import Inbox
from cashews.backends.redis.patience import PARTS, in_time
from tests.internals import inside

pytestmark = pytest.mark.redis
REAL = 10.0
"""Seconds of real time that a reply from a server may take."""


def figures(cache):
    return cache.statistics().backends[""]


def stand_still(clock, seconds):
    """Have time pass while the event loop has no turn: what is due is due at once when it has one."""
    clock._move_to(clock.now() + seconds)
    while clock._alarms and clock._alarms[0].deadline <= clock.now():
        clock._alarms.pop(0).ring()


async def asked(cache, found):
    """Ask a server that answers after a while; return when the request is on its way."""
    found.append(await cache.get("k"))


async def test_a_loop_that_stood_still_does_not_take_the_server_for_dead(server, clock):
    found = []
    async with Cache.open(server.url, clock=clock, suppress=False, socket_timeout=1) as cache:
        await cache.set("k", 1)
        raw = inside(cache).connections[0]._link.line.socket
        server.command("CLIENT", "PAUSE", 100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, cache, found)
            while not figures(cache)["in_flight"]:
                await checkpoint()
            await checkpoint()  # anyio 4.7 sends after one
            assert select.select([raw], [], [], REAL)[0] == [raw]
            stand_still(clock, 60)
        assert found == [1]
        assert (figures(cache)["timeouts"], figures(cache)["connects"]) == (0, 1)


async def test_an_attempt_to_connect_has_its_time_from_a_loop_that_turns(server, clock):
    """So a crowd of first callers, of which each has a turn before the connection has its next, waits for it."""
    found = []
    async with Cache.open(server.url, clock=clock, suppress=False, socket_connect_timeout=1) as cache:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, cache, found)
            for _ in range(3):
                await checkpoint()
                assert figures(cache)["connects"] == 0
                stand_still(clock, 60)
        assert found == [None]


async def test_time_in_which_the_loop_stands_still_is_counted_as_one_part_of_it(clock):
    """Guarantee 22: the rest is exact, and an attempt that takes longer is given up."""
    failed = []

    async def attempt():
        try:
            async with in_time(clock, 1.0, "too late"):
                await anyio.sleep_forever()
        except TimeoutError as error:
            failed.append((clock.now(), str(error)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt)
        await clock.settle()
        stand_still(clock, 60)
        await clock.settle()
        await clock.advance(1.0 - 1 / PARTS)
    assert failed == [(61.0 - 1 / PARTS, "too late")]


async def test_the_error_of_an_attempt_is_its_own(clock):
    """And no group of errors."""
    with pytest.raises(LookupError):
        async with in_time(clock, 1.0, "too late"):
            raise LookupError
    assert clock.statistics().scopes == 0


async def test_an_interrupt_in_an_attempt_stays_one(clock):
    """And becomes no group of errors: the main program waits for it as it is."""
    with pytest.raises(KeyboardInterrupt):
        async with in_time(clock, 1.0, "too late"):
            raise KeyboardInterrupt
    assert clock.statistics().scopes == 0


async def test_a_request_has_its_time_from_when_it_is_sent(loop_here):
    """So a crowd that waits for a busy connection is not late before it is asked."""
    inbox, places = Inbox(), []
    for packed in (b"a", b"b"):
        places.append(loop_here().bare_slot())
        inbox.post(packed, places[-1], reads=True)
    assert inbox.oldest is None
    inbox.batch(60.0, 1.0)
    assert (inbox.oldest.deadline, inbox.in_flight, inbox.waiting) == (61.0, 2, 0)


async def gone(slot):
    """Have an asker wait for a reply, and go."""
    with anyio.move_on_after(0):
        await slot
    return slot


@pytest.mark.parametrize("reads", [True, False])
async def test_a_request_whose_askers_have_all_gone_is_not_sent(loop_here, reads):
    """Guarantee 23. It is skipped, and those behind it are sent."""
    inbox, place = Inbox(), loop_here().bare_slot()
    for _ in range(2):
        inbox.post(b"request", await gone(loop_here().bare_slot()), reads=reads)
    inbox.post(b"another", place, reads=reads)
    assert [request.packed for request in inbox.batch(0.0, 1.0)] == [b"another"]
    assert (inbox.in_flight, inbox.waiting) == (1, 0)
    inbox.answer("reply")
    assert await place == "reply"


async def test_a_read_is_sent_for_each_asker_that_has_stayed(loop_here):
    """Guarantee 23: whether he came before the others went or later."""
    inbox, places = Inbox(), [loop_here().bare_slot() for _ in range(4)]
    inbox.post(b"read", await gone(places[0]), reads=True)
    for place in places[1:]:
        inbox.post(b"read", place, reads=True)
    await gone(places[2])
    inbox.batch(0.0, 1.0)
    assert inbox.in_flight == 1
    inbox.answer("reply")
    assert (await places[1], await places[3]) == ("reply", "reply")


async def test_the_reply_to_a_request_whose_asker_has_gone_is_dropped(loop_here):
    """Guarantee 23: the next reply is that of the next request."""
    inbox, left, place = Inbox(), loop_here().bare_slot(), loop_here().bare_slot()
    inbox.post(b"first", left, reads=False)
    inbox.post(b"second", place, reads=False)
    inbox.batch(0.0, 1.0)
    await gone(left)
    for reply in ("first", "second"):
        inbox.answer(reply)
    assert await place == "second"
