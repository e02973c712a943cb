"""The channels that functions listen to on a cluster, each at one node: a message is heard at every node."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from redis.exceptions import RedisError

from cashews.backends.redis.connection import Connection
from cashews.exceptions import CacheClosedError


class Channels:
    """The functions that are called at messages, each with its channel and the connection that it is heard on."""

    def __init__(self) -> None:
        self._listened: dict[tuple[bytes, Callable[[], object]], Connection] = {}

    async def listen(self, node: Connection, channel: bytes, heard: Callable[[], object]) -> bool:
        """Listen to a channel at a node; says whether that is possible there."""
        self._listened[channel, heard] = node
        return await node.listen(channel, heard)

    async def unlisten(self, channel: bytes, heard: Callable[[], object]) -> None:
        """End a `listen`, at the node where it began."""
        node = self._listened.pop((channel, heard), None)
        if node is not None:
            await node.unlisten(channel, heard)

    async def leave(self, node: Connection, other: Callable[[bytes], Connection | None]) -> None:
        """Listen elsewhere to everything that was heard at a node; a message may have been missed meanwhile.

        :param other: returns the node for a channel
        """
        for channel, heard in [listened for listened, at in self._listened.items() if at is node]:
            found = other(channel)
            if found is not None and self._listened.get((channel, heard)) is node:
                with suppress(RedisError, CacheClosedError):  # it listens as soon as it is connected
                    await self.listen(found, channel, heard)
            heard()
