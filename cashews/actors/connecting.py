"""Connecting to servers: the line to a port or to a socket file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from ipaddress import ip_address
from socket import SOCK_STREAM
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from cashews.actors.later import start_soon
from cashews.actors.line import AsyncioLine, Line, SocketStream, StreamLine
from cashews.actors.loop import AsyncioLoop, current_loop

if TYPE_CHECKING:
    from ssl import SSLContext

HEAD_START: Final = 0.25
"""Seconds that an attempt to connect has before one to another address of the same host begins as well."""


async def connect_tcp(host: str, port: int, tls: SSLContext | None) -> Line:
    """Connect to a port.

    :raises OSError: if nobody listens there, or TLS fails
    """
    loop = current_loop()
    if isinstance(loop, AsyncioLoop):
        name = None if tls is None else host
        attempt = partial(_connected, loop, "create_connection", port=port, ssl=tls, server_hostname=name)
        return await Race(attempt).run(await _addresses(host, port))
    stream = await anyio.connect_tcp(host, port)
    if tls is not None:
        return StreamLine(await _secured(stream, host, tls), loop)
    return StreamLine(stream, loop, SocketStream(stream.extra(SocketAttribute.raw_socket)))


async def connect_unix(path: str) -> Line:
    """Connect to a socket file.

    :raises OSError: if nobody listens there
    """
    loop = current_loop()
    if isinstance(loop, AsyncioLoop):
        return await _connected(loop, "create_unix_connection", path)
    return StreamLine(await anyio.connect_unix(path), loop)


async def _connected(loop: AsyncioLoop, method: str, place: str, **options: Any) -> Line:
    """Connect by a method of asyncio's event loop."""
    line = AsyncioLine(loop.event_loop)
    await getattr(loop.event_loop, method)(lambda: line, place, **options)
    return line


async def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host; one that is an address itself is not looked up, which would take a thread."""
    try:
        ip_address(host)
    except ValueError:
        found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
        return list(dict.fromkeys([place[0] for *_, place in found]))
    return [host]


class Race:
    """Attempts to connect to the addresses of a host, as RFC 8305 has it: the first that succeeds ends the others.

    asyncio has the like only in its own loops, and in Python 3.12 it fails there with eager tasks.

    :param attempt: connects to an address
    """

    def __init__(self, attempt: Callable[[str], Awaitable[Line]]) -> None:
        self._attempt = attempt
        self._line: Line | None = None
        self._error: OSError | None = None

    async def run(self, addresses: Sequence[str]) -> Line:
        """Return the line to the first address that answers.

        :raises OSError: if none does: the error of the last
        """
        try:
            async with anyio.create_task_group() as tasks:
                for address in addresses:
                    failed = anyio.Event()
                    start_soon(tasks, self._try, address, failed, tasks.cancel_scope)
                    with anyio.move_on_after(HEAD_START):
                        await failed.wait()
        except BaseException:
            if self._line is not None:
                await self._line.aclose()
            raise
        if self._line is not None:
            return self._line
        raise self._error or OSError("the host has no address")

    async def _try(self, address: str, failed: anyio.Event, all_attempts: anyio.CancelScope) -> None:
        try:
            line = await self._attempt(address)
        except OSError as error:
            self._error = error
            failed.set()
            return
        if self._line is None:
            self._line = line
            all_attempts.cancel()
        else:  # another was as quick
            await line.aclose()


async def _secured(stream: ByteStream, host: str, tls: SSLContext) -> ByteStream:
    try:
        return await TLSStream.wrap(stream, hostname=host, ssl_context=tls, standard_compatible=False)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
