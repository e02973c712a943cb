"""A proxy before a server that fails when a test says so."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSStream

from tests.servers import PATIENTLY

PATIENCE = 20
"""Seconds of real time after which a test has failed that waits for something."""
BROKEN = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
RESET = pack("ii", 1, 0)


async def until(holds: Callable[[], object]) -> None:
    """Let others run until something holds."""
    with anyio.fail_after(PATIENCE):
        while not holds():
            await checkpoint()


@dataclass(eq=False)
class Link:
    """One connection of a client, and the connection to the server that belongs to it."""

    client: ByteStream
    raw: SocketStream
    server: SocketStream
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _sending: anyio.Lock = field(default_factory=anyio.Lock)

    async def give(self, data: bytes) -> None:
        async with self._sending:
            await self.client.send(data)

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            for stream in (self.client, self.server):
                await anyio.aclose_forcefully(stream)


class Proxy:
    """Passes bytes both ways, unless it is told otherwise; at any time, for all connections together.

    `requests` is called with what a client has sent, once the server has it.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self.port = 0
        self.links: list[Link] = []
        self.accepted = 0
        """How many connections there have been."""
        self.refused = 0
        """How many ended before they began: the server was not there, or TLS failed."""
        self.up = self.down = 0
        """How many bytes went to the server, and to the clients."""
        self.requests: Callable[[bytes], object] = lambda _: None
        self.drips = False
        """Give the clients a byte at a time."""
        self.deaf = False
        """Swallow what the clients send."""
        self.late: list[bytes] | None = None
        """Keep here what the clients send, instead of passing it: a network may deliver it after all."""
        self.dumb = False
        """Swallow what the server answers."""
        self.cuts_at: int | None = None
        """Cut all connections once so many more bytes have gone to the clients."""
        self.mangle: Callable[[bytes], bytes] = bytes
        """What becomes of the server's bytes."""
        self._flowing = anyio.Event()
        self._flowing.set()
        self._tasks: TaskGroup
        self._listening: anyio.CancelScope | None = None

    @property
    def url(self) -> str:
        return f"redis{'s' if self._tls else ''}://localhost:{self.port}"

    @property
    def patient_url(self) -> str:
        """The same for a client whose time is real."""
        return f"{self.url}?{PATIENTLY}"

    # --- life

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        async with anyio.create_task_group() as self._tasks:
            await self.listen()
            yield self
            self._tasks.cancel_scope.cancel()

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        await self._tasks.start(self._listen)

    async def refuse(self) -> None:
        """Take no connections any more; those that there are go on."""
        if self._listening is not None:
            self._listening.cancel()
        await until(lambda: self._listening is None)

    async def _listen(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        self.port = listener.extra(SocketAttribute.local_port)
        try:
            with anyio.CancelScope() as self._listening:
                task_status.started()
                await listener.serve(self._serve, self._tasks)
        finally:
            self._listening = None
            await anyio.aclose_forcefully(listener)

    async def _serve(self, raw: SocketStream) -> None:
        async with raw:
            try:
                async with await anyio.connect_tcp("127.0.0.1", self._target) as server:
                    await self._link(raw, server)
            except BROKEN:
                self.refused += 1

    async def _link(self, raw: SocketStream, server: SocketStream) -> None:
        client: ByteStream = raw
        if self._tls:
            client = await TLSStream.wrap(raw, server_side=True, ssl_context=self._tls, standard_compatible=False)
        link = Link(client, raw, server)
        self.accepted += 1
        self.links.append(link)
        try:
            with link.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pass_up, link)
                    tasks.start_soon(self._pass_down, link)
        finally:
            self.links.remove(link)
            await link.close()

    async def _pass_up(self, link: Link) -> None:
        try:
            while True:
                data = await link.client.receive()
                if self.late is not None:
                    self.late.append(data)
                elif not self.deaf:
                    await link.server.send(data)
                    self.up += len(data)
                    self.requests(data)
        except BROKEN:
            link.scope.cancel()

    async def _pass_down(self, link: Link) -> None:
        try:
            while True:
                data = await link.server.receive()
                await self._flowing.wait()
                if not self.dumb:
                    await self._give(link, self.mangle(data))
        except BROKEN:
            link.scope.cancel()

    async def _give(self, link: Link, data: bytes) -> None:
        cutting = self.cuts_at is not None and len(data) >= self.cuts_at
        if self.cuts_at is not None:
            data = data[: self.cuts_at]
            self.cuts_at -= len(data)
        for part in (bytes([byte]) for byte in data) if self.drips else (data,) * bool(data):
            await link.give(part)
            self.down += len(part)
        if cutting:
            self.cuts_at = None
            self.cut()

    # --- faults

    async def deliver(self) -> None:
        """Have the server serve what came late, on a connection that its client has given up."""
        late, self.late = self.late or [], None
        async with await anyio.connect_tcp("127.0.0.1", self._target) as server:
            await server.send(b"".join(late))
            with anyio.fail_after(PATIENCE):
                await server.receive()

    def cut(self) -> None:
        """Close all connections, on both sides."""
        for link in self.links:
            link.scope.cancel()

    def reset(self) -> None:
        """Have all connections end as those of a machine that has crashed."""
        for link in self.links:
            link.raw.extra(SocketAttribute.raw_socket).setsockopt(SOL_SOCKET, SO_LINGER, RESET)
            link.scope.cancel()

    def cut_after(self, count: int) -> None:
        """Cut all connections once so many more bytes have gone to the clients: 0 is before the next reply."""
        self.cuts_at = count

    def hold(self) -> None:
        """Keep the server's replies back."""
        self._flowing = anyio.Event()

    def flow(self) -> None:
        """Let the server's replies through."""
        self._flowing.set()

    def go_silent(self) -> None:
        """Swallow everything; the connections stay, and new ones are taken."""
        self.deaf = self.dumb = True

    def recover(self) -> None:
        """Pass bytes again."""
        self.deaf = self.dumb = self.drips = False
        self.mangle = bytes
        self.flow()

    async def say(self, garbage: bytes) -> None:
        """Give all clients bytes that the server has not sent."""
        for link in tuple(self.links):
            await link.give(garbage)
