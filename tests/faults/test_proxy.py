"""The proxy itself: what passes through it, and how it fails."""

from __future__ import annotations

import anyio
import pytest

from tests.faults.proxy import BROKEN, until

pytestmark = pytest.mark.redis
PING, PONG = b"PING\r\n", b"+PONG\r\n"


@pytest.fixture
async def stream(proxy):
    async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        yield stream


async def received(stream, count):
    data = b""
    while len(data) < count:
        data += await stream.receive()
    return data


async def ping(stream):
    await stream.send(PING)
    return await received(stream, len(PONG))


async def assert_ended(stream):
    with pytest.raises(BROKEN):  # noqa: PT012  a reset may be noticed by either
        await stream.send(PING)
        await stream.receive()


async def test_bytes_pass_and_are_counted(proxy, stream):
    seen = []
    proxy.requests = seen.append
    assert await ping(stream) == PONG
    await until(lambda: proxy.down)
    assert (proxy.up, proxy.down, proxy.accepted, len(proxy.links)) == (len(PING), len(PONG), 1, 1)
    assert b"".join(seen) == PING


async def test_a_cut_ends_both_sides(proxy, stream):
    await ping(stream)
    proxy.cut()
    await assert_ended(stream)
    await until(lambda: not proxy.links)


async def test_a_reset_is_an_error_at_the_client(proxy, stream):
    await ping(stream)
    proxy.reset()
    with pytest.raises(anyio.BrokenResourceError):
        await stream.receive()


async def test_a_cut_may_come_in_the_middle_of_a_reply(proxy, stream):
    proxy.cut_after(3)
    await stream.send(PING)
    assert await received(stream, 3) == PONG[:3]
    await assert_ended(stream)


async def test_silence_is_two_sided_and_ends(proxy, stream):
    await ping(stream)
    proxy.go_silent()
    with anyio.move_on_after(0):
        await ping(stream)
    await anyio.wait_all_tasks_blocked()
    proxy.recover()
    assert await ping(stream) == PONG


async def test_replies_are_held_and_let_go(proxy, stream):
    proxy.hold()
    await stream.send(PING)
    await until(lambda: proxy.up)
    assert proxy.down == 0
    proxy.flow()
    assert await received(stream, len(PONG)) == PONG


async def test_replies_drip(proxy, stream):
    proxy.drips = True
    assert await ping(stream) == PONG


async def test_nobody_listens_until_it_does_again(proxy):
    await proxy.refuse()
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp("127.0.0.1", proxy.port)
    await proxy.listen()
    async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        assert await ping(stream) == PONG


async def test_it_says_what_the_server_has_not(proxy, stream):
    await ping(stream)
    await proxy.say(b"garbage")
    assert await received(stream, 7) == b"garbage"
