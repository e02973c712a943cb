"""One run of the application: its response passes through to the client while it is stored."""

from __future__ import annotations

from typing import Final

import anyio

from cashews._dataclass import dataclass
from cashews._log import logger
from cashews.contrib.asgi._types import Message, Receive, Scope
from cashews.contrib.asgi.hosting import Client, ExchangeHost
from cashews.contrib.asgi.replies import send_stored, send_whole
from cashews.contrib.asgi.responses import Found, ResponseStoring
from cashews.contrib.http.conditions import CONDITIONS, is_confirmed, not_modified, pairs_of_304, validators
from cashews.contrib.http.directives import OWN_TARGET
from cashews.contrib.http.fields import Fields, Pairs, delta_seconds
from cashews.contrib.http.policy import StoragePlan, Times, freshened, groups_of, plan
from cashews.contrib.http.record import StoredResponse
from cashews.contrib.http.reuse import is_failure, serves_on_error
from cashews.contrib.http.status import CacheStatus, Forward
from cashews.engine.flights import HandOver
from cashews.exceptions import CacheError
from cashews.messages import LoadPermit
from cashews.strategies.entry import Outcome, Raised, Returned

_NOT_MODIFIED: Final = 304
_BYPASSED_BY_FILES: Final = ("http.response.pathsend", "http.response.zerocopysend")
"""Extensions that hand the server a file instead of the bytes."""


class FailedRefreshError(CacheError):
    """A refresh in the background has brought no response that could take the place of the stored one."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"the refresh of {url} failed: {reason}")


@dataclass(frozen=True, slots=True)
class Shared:
    """A response for all that wait for its load, if they select it."""

    response: StoredResponse
    names: tuple[str, ...]
    selection: str


PASS: Final = None
"""The response is for one client: each of those that wait for it loads for itself."""


class Replayed:
    """The messages of a request, for an application that is asked twice."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen: list[Message] = []
        self._place = 0

    def rewind(self) -> None:
        """Begin again."""
        self._place = 0

    async def __call__(self) -> Message:
        if self._place < len(self._seen):
            self._place += 1
            return self._seen[self._place - 1]
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen.append(message)
            self._place += 1
        return message


class OriginLoad:
    """Runs the application once, or twice if it answers a question that was not asked; an ASGI `send` towards it."""

    def __init__(
        self, http: ExchangeHost, client: Client, found: Found, storing: ResponseStoring, flight: LoadPermit | None
    ) -> None:
        self._http = http
        self._client = client
        self._found = found
        self._storing = storing
        self._flight = flight
        self._stale = found.stored
        self._receive = Replayed(client.receive)
        self._asked = 0.0
        self._plan: StoragePlan | None = None
        self._length: int | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._started = False
        self._settled = False
        """Whether those that wait have their answer."""
        self._whole = False
        """Whether the application has sent all of the response."""
        self._again = False
        """Whether the application has to be asked without a condition."""
        self._ignoring = False
        """Whether the rest of the response is of no use."""
        self._silent = False
        """Whether the client has its answer already."""
        self._left = False
        """Whether the client has left, since the response is of no use to it."""
        self.stood_in = False
        """Whether a stale response was served in the place of a failure."""
        self.stored = False
        """Whether the response went to the store."""
        self.status = 0
        """The status that the application has answered with."""

    # --- running

    async def run(self) -> Outcome:
        """Run the application; the outcome is for those that still wait.

        :raises HandOver: if the response has not become whole
        """
        try:
            await self._run_app()
            if self._again:
                self._again = self._ignoring = False
                self._stale = None
                self._receive.rewind()
                await self._run_app()
        except Exception as error:  # noqa: BLE001  an application raises anything
            return await self._failed(error)
        finally:
            await self._storing.end()
        if not (self._settled or self._whole):
            raise HandOver
        return Returned(PASS)

    async def _failed(self, error: Exception) -> Outcome:
        """Handle an exception of the application: by then it may have answered, in whole or in part."""
        if self.stood_in or self._left:
            return Returned(PASS)
        if self._settled or self._whole:
            raise error
        if self._started:
            raise HandOver from error
        if not await self._stand_in():
            return Raised(error)
        logger.warning("the application failed; a stored response of %s stands in", self._client.url, exc_info=error)
        return Returned(PASS)

    async def _run_app(self) -> None:
        self._asked = self._http.responses.clock.wall()
        await self._http.app(self._scope(), self._receive, self._take)

    def _scope(self) -> Scope:
        client, scope = self._client, dict(self._client.scope)
        pairs: Pairs = client.request.pairs
        if client.strips:
            pairs = client.request.without(CONDITIONS)
        if self._stale is not None:
            pairs = (*client.request.without(CONDITIONS), *validators(self._stale))
        scope["headers"] = list(pairs)
        if extensions := scope.get("extensions"):
            scope["extensions"] = {name: each for name, each in extensions.items() if name not in _BYPASSED_BY_FILES}
        return scope

    async def _take(self, message: Message) -> None:
        """Receive a message of the application's."""
        kind = message["type"]
        if kind == "http.response.start":
            await self._start(message)
        elif kind == "http.response.body":
            await self._body(message)
        elif not (self._silent or self._ignoring):
            await self._client.send(message)

    # --- the beginning

    async def _start(self, message: Message) -> None:
        client, stale = self._client, self._stale
        status, response = int(message["status"]), Fields(message.get("headers", ()))
        times = Times(self._asked, self._http.responses.clock.wall())
        if stale is not None and status == _NOT_MODIFIED:
            if is_confirmed(stale, response):
                await self._confirm(stale, response, times)
            else:
                self._again = self._ignoring = True
            return
        if stale is not None and is_failure(status) and await self._stand_in(status):
            return
        self._started, self.status = True, status
        self._length = _length_of(response)
        planned = plan(client.request, status, response, times, self._http.settings.rules)
        if message.get("trailers") or (self._length or 0) > self._http.settings.max_body:
            planned = None
        self._plan = planned
        if planned is None:
            await self._settle(PASS)
        await self._begin(message, status, response)

    async def _begin(self, message: Message, status: int, response: Fields) -> None:
        """Send the beginning to the client: a 304 of our own if its conditions were taken away, and hold."""
        client, planned = self._client, self._plan
        ttl = None if planned is None else planned.response.left(self._http.responses.clock.wall())
        told = CacheStatus(forward=client.forward, forward_status=status, stored=planned is not None, ttl=ttl)
        pairs = (*response.without((OWN_TARGET,)), *self._http.settings.signature.pairs(told, self._found.key))
        conditional = client.strips or self._stale is not None
        if conditional and not_modified(client.request, status, response, self._http.responses.clock.wall()):
            added = pairs[len(pairs) - 1 :] if self._http.settings.signature.shown else ()
            self._silent = True
            await send_whole(client.send, _NOT_MODIFIED, (*pairs_of_304(response.pairs), *added), b"", 1)
        else:
            await client.send({**message, "headers": list(pairs)})

    async def _confirm(self, stale: StoredResponse, update: Fields, times: Times) -> None:
        """Serve the stored response, freshened by a 304 (RFC 9111, 4.3.4)."""
        response, planned = freshened(stale, self._client.request, update, times, self._http.settings.rules)
        self._ignoring = self._started = self._whole = True
        self.status = _NOT_MODIFIED
        if planned is None:
            await self._settle(PASS)
        else:
            await self._keep(planned, response)
        told = CacheStatus(forward=Forward.STALE, forward_status=_NOT_MODIFIED, stored=self.stored)
        await self._serve(response, told)

    async def _stand_in(self, status: int | None = None) -> bool:
        """Serve the stale response instead of a failure, if that is allowed (RFC 5861, 4); says whether."""
        stale, now = self._found.stored, self._http.responses.clock.wall()
        if stale is None or not serves_on_error(stale, now):
            return False
        self._ignoring = self.stood_in = self._started = self._whole = True
        await self._settle(self._shared(stale))
        told = CacheStatus(forward=Forward.STALE, forward_status=status, detail="stale-if-error")
        await self._serve(stale, told)
        return True

    async def _serve(self, response: StoredResponse, told: CacheStatus) -> None:
        client, now = self._client, self._http.responses.clock.wall()
        if told.ttl is None:
            told.ttl = response.left(now)
        added = self._http.settings.signature.pairs(told, self._found.key)
        head, chunk = client.scope["method"] == "HEAD", self._http.settings.chunk
        await send_stored(client.send, response, client.request, now, added, head=head, chunk=chunk)

    # --- the body

    async def _body(self, message: Message) -> None:
        body, more = bytes(message.get("body", b"")), bool(message.get("more_body", False))
        if self._ignoring:
            return
        if self.stored:
            await self._refuse_rest(body)
        elif self._plan is not None:
            await self._collect(self._plan, body, more=more)
        self._whole = self._whole or not more
        if not self._silent:
            await self._client.send(message)

    async def _collect(self, planned: StoragePlan, body: bytes, *, more: bool) -> None:
        """Take a piece of the body; with the last one store the response, before the client can have it all."""
        self._chunks.append(body)
        self._size += len(body)
        if self._size > self._http.settings.max_body or self._size > (
            self._size if self._length is None else self._length
        ):
            await self._give_up()
        elif self._size == self._length or not more:
            if self._length in {None, self._size}:
                await self._keep(planned, planned.complete(b"".join(self._chunks)))
            else:  # shorter than it said: nobody may have it for whole
                await self._give_up()
            self._chunks.clear()

    async def _give_up(self) -> None:
        self._plan = None
        self._chunks.clear()
        await self._settle(PASS)

    async def _refuse_rest(self, body: bytes) -> None:
        """Remove a response whose body goes on behind its Content-Length."""
        if body and self._length is not None:
            self._length = None
            await self._http.responses.remove(self._found.key, self._found.place)

    async def _keep(self, planned: StoragePlan, response: StoredResponse) -> None:
        client, found, storing = self._client, self._found, self._storing
        storing.tags = response.tags
        if "cache-groups" in self._http.settings.rules.tags:
            storing.tags += tuple([client.group(client.url, group) for group in groups_of(response.fields())])
        await self._http.responses.keep(found, client.request, planned, response, storing)
        self.stored = True
        names = planned.vary if found.variants is None else tuple(sorted({*found.variants.names, *planned.vary}))
        await self._settle(Shared(response, names, self._http.responses.selects(names, client.request)))

    def _shared(self, stale: StoredResponse) -> Shared:
        names = () if self._found.variants is None else self._found.variants.names
        return Shared(stale, names, self._http.responses.selects(names, self._client.request))

    async def _settle(self, answer: Shared | None) -> None:
        """Answer those that wait; the load may go on behind the response."""
        if self._settled:
            return
        self._settled = True
        self._http.pass_by(self._found.place, passing=answer is PASS)
        if answer is PASS and self._client.leave is not None:
            self._left = True
            self._client.leave()
        if self._flight is not None:
            self._http.responses.answer(self._flight, Returned(answer))
        await self._storing.end()


def _length_of(response: Fields) -> int | None:
    lines = response.lines("content-length")
    return delta_seconds(lines[0]) if len(set(lines)) == 1 else None


class Nobody:
    """The other side of a load in the background: a request without content, that takes any response."""

    def __init__(self) -> None:
        self._ended = anyio.Event()
        self._begun = False
        self._leaving = False

    def leave(self) -> None:
        """Wait for no more than the piece that comes next: the response may have no end."""
        self._leaving = True

    async def receive(self) -> Message:
        """Give the request; then wait, as a client does that stays until it has the response."""
        if self._begun:
            await self._ended.wait()
            return {"type": "http.disconnect"}
        self._begun = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a message and let it go.

        :raises BrokenPipeError: if it has left, as a server's `send` does
        """
        if message["type"] == "http.response.body":
            more = message.get("more_body")
            if self._leaving or not more:
                self._ended.set()
            if self._leaving and more:
                raise BrokenPipeError
