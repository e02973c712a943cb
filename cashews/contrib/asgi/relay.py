"""Responses that only pass through: each gets a Cache-Status, and may be acted upon when it begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from cashews._dataclass import dataclass
from cashews.contrib.asgi._types import Message, Send
from cashews.contrib.asgi.replies import StatusSigner
from cashews.contrib.http.directives import OWN_TARGET
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.status import CacheStatus

Beginning: TypeAlias = Callable[[int, Fields], Awaitable[None]]
"""Awaited with the status and the fields of a response, before the client has them."""


@dataclass(frozen=True, slots=True)
class Relay:
    """An ASGI `send` that hands everything on."""

    send: Send
    signature: StatusSigner
    told: CacheStatus
    key: str
    beginning: Beginning | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            await self.send(message)
            return
        response = Fields(message.get("headers", ()))
        if self.beginning is not None:
            await self.beginning(int(message["status"]), response)
        self.told.forward_status = int(message["status"])
        pairs = (*response.without((OWN_TARGET,)), *self.signature.pairs(self.told, self.key))
        await self.send({**message, "headers": list(pairs)})
