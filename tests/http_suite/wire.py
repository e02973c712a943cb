"""The suite over sockets: a server in the same event loop, in the same virtual time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import h11
import uvicorn

from tests.http_suite.runner import App, Message, Receive, Send

CHUNK = 65536


@asynccontextmanager
async def behind_uvicorn(app: App) -> AsyncIterator[App]:
    """Serve an app; the app of the block hands requests on to it over the wire."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # The origin sends a Date itself; uvicorn would add one besides.
        options = {"log_level": "critical", "lifespan": "off", "http": "h11", "date_header": False}
        server = uvicorn.Server(uvicorn.Config(app, **options))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            yield Wire(listening.getsockname()[1])
            server.should_exit = True


@dataclass
class Wire:
    """Hands each request on over a connection of its own."""

    port: int

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body, query = (await receive())["body"], scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        length = [(b"content-length", str(len(body)).encode())] if body else []
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method=scope["method"], target=target, headers=[*scope["headers"], *length])
        sent = [connection.send(event) for event in (request, h11.Data(data=body), h11.EndOfMessage())]
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            await stream.send(b"".join(filter(None, sent)))
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive(CHUNK))
                else:
                    await send(told(event))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def told(event: Any) -> Message:
    """Return what an event of the connection is in ASGI."""
    if isinstance(event, h11.Data):
        return {"type": "http.response.body", "body": bytes(event.data), "more_body": True}
    kind = "start" if isinstance(event, h11.Response) else "early_hint"
    return {"type": f"http.response.{kind}", "status": event.status_code, "headers": list(event.headers)}
