"""The server as the commands see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

import anyio

from cashews._log import logger
from cashews.actors.later import start_soon
from cashews.backends.encoding import Values
from cashews.backends.redis.layout import bare
from cashews.backends.redis.servers import Servers
from cashews.backends.redis.wire import Word, blob, text_of

T = TypeVar("T")


class Remote:
    """The servers, the codec of its values, and whether values with tags have been met there.

    Every command is a function `command(remote, message)` in one of the six rooms.

    :param most: the bytes of the largest value that the server takes
    :param prefix: the text that every key and name begins with
    :param keeps_decoded: whether a decoded value takes the place of its stored form in a near table
    """

    __slots__ = ("_most", "at", "keeps_decoded", "prefix", "refused", "servers", "tags_met", "unreadable", "values")

    def __init__(self, servers: Servers, values: Values, most: int, prefix: str, *, keeps_decoded: bool) -> None:
        self.prefix = prefix
        self.keeps_decoded = keeps_decoded
        self._most = most
        self.servers = servers
        self.at = servers.at
        """Returns the place that carries all requests about a key, in their order."""
        self.values = values
        self.tags_met = False
        """Whether a value with tags was read or stored here. From then on an overwritten value leaves its indexes."""
        self.refused = 0
        """The number of values that were too large to be sent."""
        self.unreadable = 0
        """The number of keys, members and tags that were met and are no text: another program has written them."""

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


class SideCall(Generic[T]):
    """A call that runs beside others, and its result."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._found: list[T] = []
        self._error: Exception | None = None

    async def run(self) -> None:
        """Make the call, and keep its result or its error."""
        try:
            self._found.append(await self._call())
        except Exception as error:  # noqa: BLE001  the asker of all calls gets it
            self._error = error

    @property
    def found(self) -> T:
        """The result of the call, or its error, which is raised."""
        if self._error is not None:
            raise self._error
        return self._found[0]


async def side_by_side(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make several calls at the same time and return their results in order; the first error of theirs is raised."""
    if len(calls) == 1:
        return [await calls[0]()]
    beside = [SideCall(call) for call in calls]
    async with anyio.create_task_group() as tasks:
        for each in beside:
            start_soon(tasks, each.run)
    return [each.found for each in beside]
