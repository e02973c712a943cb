"""A small server that speaks the protocol of Redis, for replies that a real one would not give on demand."""

from __future__ import annotations

import anyio
import hiredis
from anyio.abc import SocketAttribute

from cashews.backends.redis import wire

GREETING = b"%1\r\n$5\r\nproto\r\n:3\r\n"
"""The reply to HELLO 3."""


class Replying:
    """A server on a free loopback port; `_reply` says what it answers to the words of a command."""

    port = 0

    async def serve(self, *, task_status):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            self.port = listener.extra(SocketAttribute.local_port)
            task_status.started()
            await listener.serve(self._answer)

    async def _answer(self, link):
        async with link:
            reader = hiredis.Reader(notEnoughData=wire.NOTHING)
            try:
                while True:
                    reader.feed(await link.receive())
                    while (words := reader.gets()) is not wire.NOTHING:
                        await link.send(self._reply(words))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    def _reply(self, words):
        raise NotImplementedError
