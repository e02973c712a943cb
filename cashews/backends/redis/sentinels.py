"""Sentinels: servers that know which server is the master of a service, and tell when another takes its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from redis import exceptions as redis

from cashews._dataclass import replace
from cashews.actors.line import Line
from cashews.backends.redis.address import Address, Directory
from cashews.backends.redis.failures import TROUBLE, wrong_reply
from cashews.backends.redis.handshake import ask_once, log_in
from cashews.backends.redis.patience import in_time
from cashews.backends.redis.wire import NOTHING, Parser, array, blob
from cashews.backends.redis.wire import parser as new_parser
from cashews.clock import Clock

SWITCHED: Final = "+switch-master"
"""The channel on which a sentinel tells of a new master: service, old host and port, new host and port."""
SILENCE: Final = 10.0
"""Seconds without a word from a sentinel, after which it is asked whether the master is still the same."""
PAUSE: Final = 0.5
"""Seconds until a lost sentinel is replaced by the next."""
NONSENSE: Final = (LookupError, TypeError, ValueError)
"""Errors of Python at a reply of another form than those of a sentinel."""


class Sentinels(Directory):
    """The sentinels of a service, the one that answered last first.

    :param places: their addresses, with the credentials that they want
    :param service: the name of the service
    :param master: the address of its master but for host and port
    :param patience: the seconds that one of them may take to answer
    """

    def __init__(
        self, places: Sequence[Address], service: str, master: Address, *, patience: float, clock: Clock
    ) -> None:
        self._given = tuple(places)
        self._places = list(places)
        self._service = service
        self._master = master
        self._patience = patience
        self._clock = clock

    def __str__(self) -> str:
        return f"the master of {self._service!r}"

    async def locate(self) -> Address:
        errors: list[str] = []
        for place in tuple(self._places):
            try:
                found = await self._ask(place)
            except TROUBLE as error:
                errors.append(f"{place}: {error or type(error).__name__}")
            else:
                self._places.remove(place)
                self._places.insert(0, place)
                return found
        message = f"no sentinel knows {self}: {'; '.join(errors)}"
        raise redis.ConnectionError(message)

    async def _ask(self, place: Address) -> Address:
        """Ask one sentinel for the master, and for other sentinels.

        :raises redis.exceptions.RedisError: if it does not answer in time, or does not know the service
        """
        async with self._in_time(), self._talk(place) as (line, parser):
            found = await ask_once(line, parser, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            if found is None:
                message = f"it knows no service {self._service!r}"
                raise redis.ConnectionError(message)
            others = array(await ask_once(line, parser, "SENTINEL", "SENTINELS", self._service))
        try:
            self._meet(place, others)
            host, port = array(found)
            return replace(self._master, host=_text(host), port=int(_text(port)))
        except NONSENSE:
            raise wrong_reply(found, "one of a sentinel") from None

    def _meet(self, place: Address, others: list[Any]) -> None:
        """Take note of the sentinels that another one knows; each is a list of names and values in turn.

        Beside them, those of the URL alone are asked the next time: the others may be gone for good.
        """
        facts = [dict(zip(other[::2], other[1::2], strict=False)) for other in others]
        met = [replace(place, host=_text(each[b"ip"]), port=int(_text(each[b"port"]))) for each in facts]
        lasting = {place, *self._given, *met}
        self._places = [*(each for each in self._places if each in lasting), *(lasting - {*self._places})]

    def _in_time(self) -> AbstractAsyncContextManager[None]:
        """Give one sentinel its share of the time, during a block."""
        return in_time(self._clock, self._patience / len(self._places), "no answer")

    @asynccontextmanager
    async def _talk(self, place: Address) -> AsyncGenerator[tuple[Line, Parser]]:
        line = await place.connect()
        try:
            parser = new_parser()
            await log_in(line, parser, place)
            yield line, parser
        finally:
            await line.aclose()

    async def until_moved(self, address: Address) -> None:
        while True:
            try:
                async with AsyncExitStack() as stack:
                    async with self._in_time():
                        line, parser = await stack.enter_async_context(self._talk(self._places[0]))
                        await ask_once(line, parser, "SUBSCRIBE", SWITCHED)
                    while await self.locate() == address:  # it may have moved before we listened, or in silence
                        if await self._hear_of_switch(line, parser, address):
                            return
                    return
            except (*TROUBLE, *NONSENSE):
                self._places.append(self._places.pop(0))
            await self._clock.sleep_until(self._clock.now() + PAUSE)

    async def _hear_of_switch(self, line: Line, parser: Parser, address: Address) -> bool:
        """Wait until a sentinel tells that the service has left an address; `False` after a while of silence."""
        with self._clock.move_on_at(self._clock.now() + SILENCE):
            while True:
                while (reply := parser.gets()) is not NOTHING:
                    if _leaves(reply, self._service, address):
                        return True
                parser.feed(await line.receive())
        return False


def _leaves(push: Any, service: str, address: Address) -> bool:
    """Say whether a message means that a service has another master than the one at an address."""
    words = blob(push[2]).split() if push[0] == b"message" else []
    if not words or _text(words[0]) != service:
        return False
    return (_text(words[3]), int(words[4])) != (address.host, address.port)


def _text(word: object) -> str:
    return blob(word).decode("utf-8", "replace")
