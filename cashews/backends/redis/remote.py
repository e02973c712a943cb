"""The server as the commands see it."""

from __future__ import annotations

from collections.abc import Sequence

from cashews.backends.encoding import Values
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.layout import bare
from cashews.backends.redis.wire import pack


class Remote:
    """The connections to a server, the codec of its values, and whether values with tags have been met there.

    Every command is a function `command(remote, message)` in one of the six rooms.
    """

    __slots__ = ("_connections", "first", "tags_met", "values")

    def __init__(self, connections: Sequence[Connection], values: Values) -> None:
        self._connections = connections
        self.first = connections[0]
        """The connection for requests that are about no single key."""
        self.values = values
        self.tags_met = False
        """Whether a value with tags was read or stored here. From then on an overwritten value leaves its indexes."""

    def at(self, key: str) -> Connection:
        """Return the connection that carries all requests about a key, in their order."""
        connections = self._connections
        return self.first if len(connections) == 1 else connections[hash(key) % len(connections)]

    def bare(self, stored: bytes) -> bytes:
        """Return the bytes of a value without its head, and take note of a head."""
        value = bare(stored)
        self.tags_met = self.tags_met or value is not stored
        return value

    async def flush(self) -> None:
        """Wait until the server has carried out everything that was sent before on another connection than the first.

        A value that is on its way there is then in reach of a scan or a commit on the first one.
        """
        for connection in self._connections[1:]:
            await connection.ask(pack(("PING",)))
