"""The end of a line on asyncio, whose loop tells of it while bytes that came before are still taken."""

from __future__ import annotations

import socket

import anyio
from anyio.lowlevel import checkpoint

from cashews.actors.connecting import connect_tcp
from tests.actors.test_lines import Talk, serving, until


async def test_nothing_is_sent_once_the_server_has_hung_up():
    """A request that would be sent into the void has an unknown outcome; one that waits has another connection."""
    talk = Talk(most=100)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = await connect_tcp(*listener.getsockname(), None)
        async with serving(line, talk) as errors:
            with listener.accept()[0] as server:
                server.sendall(bytes(10_000))
            await until(lambda: len(talk.received) > 5_000)  # fifty turns of the loop
            sent = talk.sent
            talk.say(line, b"late")
            for _ in range(10):
                await checkpoint()
            assert len(talk.received) < 10_000
            assert not errors
            await until(lambda: errors)
            assert isinstance(errors[0], anyio.EndOfStream)
            assert (talk.sent, talk.to_send, len(talk.received)) == (sent, [b"late"], 10_000)
        await line.aclose()
