"""Lines: connections to servers, which carry bytes for a pure conversation.

On asyncio the event loop itself calls the conversation when bytes have come, and once in a turn when there are some to
send: no task has to be woken for either. On trio two tasks do that, one for each direction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint

from cashews.actors.later import start_soon
from cashews.actors.loop import Loop
from cashews.actors.mailbox import Bell
from cashews.actors.slots import ReplySlot

if TYPE_CHECKING:
    import socket

    from cashews.actors.loop import AbstractEventLoop, Future, Transport

CHUNK = 65_536
"""The most bytes that one read takes from a stream."""


class Conversation(Protocol):
    """The two halves of a conversation with a server: bytes that have come, and bytes to send. It awaits nothing.

    An error that it raises breaks the line.
    """

    @property
    def has_data(self) -> bool:
        """Whether there is something to send."""
        ...

    def data_to_send(self) -> bytes:
        """Return the bytes of the next write."""
        ...

    def receive_data(self, data: bytes) -> bool:
        """Take bytes in; says whether a part of them is left for another turn of the loop, in which it is called again.

        :param data: empty when it is called again
        """
        ...


class Line(Bell, ABC):
    """A connection to a server.

    It may be read and written by hand at first. From `serve` on it belongs to a conversation. It is the bell of that:
    rung when there is something to send again.
    """

    asleep: bool
    """Whether the line has nothing to send and waits for the bell."""

    @property
    @abstractmethod
    def socket(self) -> socket.socket:
        """The socket, for its options."""

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send bytes by hand."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Receive bytes by hand.

        :raises EndOfStream: if the server has closed the connection
        """

    @abstractmethod
    async def serve(self, conversation: Conversation) -> None:
        """Carry bytes for a conversation, until an error breaks the line: that is raised."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection at once, and wait until it is closed."""


class AsyncioLine(Line):
    """A line on asyncio: the protocol of a transport."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._context = Context()
        """The context of our own callbacks: an empty one, and not that of the task that has rung."""
        self.asleep = False
        self._conversation: Conversation | None = None
        self._arrived = bytearray()
        """The bytes that have come and that the conversation has not seen: there was none, or it has others left."""
        self._is_behind = False
        """Whether the conversation has others left: bytes that come wait behind them."""
        self._error: Exception | None = None
        """Why the line has broken: nothing more is sent, and bytes that have come are still taken."""
        self._news: Future[None] = loop.create_future()
        """Done once bytes have come for a reader by hand, or the line has broken."""
        self._closed: Future[None] = loop.create_future()
        self._is_full = False
        """Whether the transport takes no more bytes for now."""
        self._transport: Transport

    @property
    def socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    # --- by hand

    async def send(self, data: bytes) -> None:
        self._check()
        self._transport.write(data)

    async def receive(self) -> bytes:
        while not self._arrived:
            self._check()
            await self._wait()
        return self._take()

    def _take(self) -> bytes:
        data = bytes(self._arrived)
        self._arrived.clear()
        return data

    async def _wait(self) -> None:
        self._news = self._loop.create_future()
        await self._news

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    # --- for a conversation

    async def serve(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._catch_up()
        self._flush()
        try:
            while self._error is None or self._is_behind:
                await self._wait()
        finally:
            self._conversation, self._is_behind, self.asleep = None, False, False
        self._check()

    def ring(self) -> None:
        self.asleep = False
        self._loop.call_soon(self._flush, context=self._context)

    def _flush(self) -> None:
        conversation = self._conversation
        if conversation is None or self._error is not None:
            return
        try:
            data = conversation.data_to_send()
            if data:
                self._transport.write(data)
            more = conversation.has_data
        except Exception as error:  # noqa: BLE001  raised by `serve`
            self._fail(error)
            return
        if more and not self._is_full:
            self._loop.call_soon(self._flush, context=self._context)
        self.asleep = not (more or self._is_full)

    def _catch_up(self) -> None:
        if self._conversation is not None:
            self._receive(self._conversation, self._take())

    def _receive(self, conversation: Conversation, data: bytes) -> None:
        try:
            self._is_behind = conversation.receive_data(data)
        except Exception as error:  # noqa: BLE001  raised by `serve`
            self._fail(error)
            return
        if self._is_behind:
            self._loop.call_soon(self._catch_up, context=self._context)
        elif self._error is not None:
            self._tell()

    def _fail(self, error: Exception) -> None:
        """Give the conversation nothing more, since it has failed."""
        self._conversation, self._is_behind = None, False
        self._break(error)

    def _break(self, error: Exception) -> None:
        """Take note of the first error."""
        self._error = self._error or error
        self._tell()

    def _tell(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    # --- called by the transport

    def connection_made(self, transport: Transport) -> None:
        """Take note of the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes that have come."""
        if self._conversation is not None and not self._is_behind:
            self._receive(self._conversation, data)
        else:
            self._arrived += data
            self._tell()

    def eof_received(self) -> None:
        """Take note that the server sends no more: the transport is closed then."""
        self._break(anyio.EndOfStream())

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the transport is closed."""
        self._break(error or anyio.EndOfStream())
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """Send no more for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Send again."""
        self._is_full = False
        self._flush()

    async def aclose(self) -> None:
        self._transport.abort()
        with anyio.CancelScope(shield=True):
            await self._closed


class Stream(Protocol):
    """A byte stream, as far as a line needs one: streams of anyio are."""

    async def send(self, item: bytes, /) -> None:
        """Send bytes."""
        ...

    async def receive(self, most: int, /) -> bytes:
        """Receive at most so many bytes; none at the end of the stream."""
        ...


class SocketStream(Stream):
    """The socket of a stream that has one for itself: each call of the operating system is one of ours.

    To wait first and to read then spares the vain attempt: mostly everything that has come is read already.
    """

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket

    async def send(self, item: bytes, /) -> None:
        left = memoryview(item)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    async def receive(self, most: int, /) -> bytes:
        while True:
            await anyio.wait_readable(self._socket)
            try:
                return self._socket.recv(most)
            except BlockingIOError:
                continue


class StreamLine(Line):
    """A line over a stream of anyio, for loops that have nothing but tasks."""

    def __init__(self, whole: ByteStream, loop: Loop, stream: Stream | None = None) -> None:
        self._whole = whole
        self._stream = whole if stream is None else stream
        self._loop = loop
        self.asleep = False
        self._sleeper: ReplySlot[None] = loop.reply_slot()
        """Given when the line is rung."""
        self._error: Exception | None = None

    @property
    def socket(self) -> socket.socket:
        return self._whole.extra(SocketAttribute.raw_socket)

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def receive(self) -> bytes:
        data = await self._stream.receive(CHUNK)
        if not data:
            raise anyio.EndOfStream
        return data

    async def serve(self, conversation: Conversation) -> None:
        async with anyio.create_task_group() as tasks:
            for half in (self._send_all, self._receive_all):
                start_soon(tasks, self._until_broken, half, conversation, tasks.cancel_scope)
        assert self._error is not None
        raise self._error

    async def _until_broken(
        self, half: Callable[[Conversation], Awaitable[None]], conversation: Conversation, both: anyio.CancelScope
    ) -> None:
        try:
            await half(conversation)
        except Exception as error:  # noqa: BLE001  raised by `serve`
            self._error = self._error or error
            both.cancel()

    async def _send_all(self, conversation: Conversation) -> None:
        while self._error is None:
            data = conversation.data_to_send()
            if data:
                await self._stream.send(data)
            await (checkpoint() if conversation.has_data else self._sleep())

    async def _sleep(self) -> None:
        self._sleeper = self._loop.reply_slot()
        self.asleep = True
        try:
            await self._sleeper
        finally:
            self.asleep = False

    def ring(self) -> None:
        self.asleep = False
        self._sleeper.give(None)

    async def _receive_all(self, conversation: Conversation) -> None:
        while True:
            data = await self.receive()
            while conversation.receive_data(data):
                data = b""
                await checkpoint()

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._whole)
