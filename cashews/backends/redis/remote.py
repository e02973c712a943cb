"""The server as the commands see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redis.exceptions import RedisError

from cashews._log import logger
from cashews.backends.encoding import Values
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.layout import bare
from cashews.backends.redis.wire import PING, Word, blob, text_of


class Remote:
    """The connections to a server, the codec of its values, and whether values with tags have been met there.

    Every command is a function `command(remote, message)` in one of the six rooms.

    :param most: the bytes of the largest value that the server takes
    :param prefix: the text that every key and name begins with
    """

    __slots__ = ("_connections", "_most", "first", "prefix", "refused", "tags_met", "unreadable", "values")

    def __init__(self, connections: Sequence[Connection], values: Values, most: int, prefix: str) -> None:
        self.prefix = prefix
        self._connections = connections
        self._most = most
        self.first = connections[0]
        """The connection for requests that are about no single key."""
        self.values = values
        self.tags_met = False
        """Whether a value with tags was read or stored here. From then on an overwritten value leaves its indexes."""
        self.refused = 0
        """The number of values that were too large to be sent."""
        self.unreadable = 0
        """The number of keys, members and tags that were met and are no text: another program has written them."""

    def at(self, key: str | bytes) -> Connection:
        """Return the connection that carries all requests about a key, in their order."""
        connections = self._connections
        return self.first if len(connections) == 1 else connections[hash(key) % len(connections)]

    def bare(self, stored: bytes) -> bytes:
        """Return the bytes of a value without its head, and take note of a head."""
        value = bare(stored)
        self.tags_met = self.tags_met or value is not stored
        return value

    def fits(self, value: Word) -> bool:
        """Say whether the server takes a value of this size; count one that it does not, and log the first.

        The server would close the connection in the midst of it, with the requests of all others.
        """
        if not isinstance(value, (bytes, str)) or len(value) <= self._most:
            return True
        self.refused += 1
        if self.refused == 1:
            logger.warning("redis: a value of %d bytes is not stored: `max_value_size` is %d", len(value), self._most)
        return False

    def texts(self, stored: Iterable[object]) -> list[str]:
        """Return the texts in their stored forms; bytes that are no text are left out, and counted.

        :raises WrongReplyError: if one of them is anything but bytes
        """
        texts = [text_of(blob(each)) for each in stored]
        found = [text for text in texts if text is not None]
        self.unreadable += len(texts) - len(found)
        return found

    def leave(self, error: RedisError) -> None:
        """Give all connections up: one has carried a reply that cannot belong to its request."""
        for connection in self._connections:
            connection.leave(error)

    async def flush(self) -> None:
        """Wait until the server has carried out everything that was sent before on another connection than the first.

        A value that is on its way there is then in reach of a scan or a commit on the first one.
        """
        for connection in self._connections[1:]:
            await connection.ask(PING)
