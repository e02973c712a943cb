"""One request to read: look its response up, judge it, and carry out the verdict."""

from __future__ import annotations

from typing import Final

from cashews.contrib.asgi.hosting import Client, ExchangeHost
from cashews.contrib.asgi.loading import FailedRefreshError, Nobody, OriginLoad, Shared
from cashews.contrib.asgi.relay import Relay
from cashews.contrib.asgi.replies import send_stored, send_unavailable
from cashews.contrib.asgi.responses import Found
from cashews.contrib.http.conditions import CONDITIONS
from cashews.contrib.http.directives import Directives, asked
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.record import StoredResponse
from cashews.contrib.http.reuse import Use, is_failure, usable
from cashews.contrib.http.status import CacheStatus, Forward
from cashews.engine.flights import HandOver
from cashews.messages import LoadPermit
from cashews.strategies.entry import Outcome, Raised, Returned

_ROUNDS: Final = 3
"""How often a request waits for a load that turns out to be another variant's, before it loads for itself."""
_RANGED: Final = frozenset({"range", "if-range"})
_NOT_MODIFIED: Final = 304
_ALONE: Final = ("authorization", "range")
"""Fields of requests whose responses nobody else should wait for."""


class Exchange:
    """A request that may be answered from the store, and its answer."""

    __slots__ = ("_client", "_found", "_http", "_key")

    def __init__(self, http: ExchangeHost, client: Client, key: str, found: Found | None = None) -> None:
        self._http = http
        self._client = client
        self._key = key
        self._found = found or Found(key, key)

    async def run(self) -> None:
        """Answer the request."""
        http, client = self._http, self._client
        wishes = asked(client.request) if _says_something(client.request) else None
        self._found = await http.responses.find(client.request, self._key)
        use = self._judge(wishes if http.settings.rules.trusting else None)
        if use is Use.SERVE or use is Use.SERVE_AND_REFRESH:
            await self._serve_found(use)
        elif wishes is not None and "only-if-cached" in wishes:
            http.count("unavailable")
            told = CacheStatus(detail="only-if-cached")
            await send_unavailable(client.send, http.settings.signature.pairs(told, self._key))
        elif client.scope["method"] == "HEAD":
            await self._pass()
        else:
            await self._load()

    def _judge(self, wishes: Directives | None = None) -> Use:
        stored = self._found.stored
        if stored is None:
            self._client.forward = self._found.missing
            return Use.VALIDATE
        use = usable(stored, self._http.responses.clock.wall(), wishes)
        self._client.forward = Forward.REQUEST if use is Use.REQUESTED else Forward.STALE
        return use

    # --- from the store

    async def _serve_found(self, use: Use) -> None:
        assert self._found.stored is not None
        if use is Use.SERVE_AND_REFRESH:
            self._http.count("stale")
            self._refresh()
        else:
            self._http.count("hits")
        await self._serve(self._found.stored, CacheStatus(hit=True))

    async def _serve(self, stored: StoredResponse, told: CacheStatus) -> None:
        client, settings, now = self._client, self._http.settings, self._http.responses.clock.wall()
        told.ttl = stored.left(now)
        added = settings.signature.pairs(told, self._key)
        head = client.scope["method"] == "HEAD"
        await send_stored(client.send, stored, client.request, now, added, head=head, chunk=settings.chunk)

    def _refresh(self) -> None:
        """Have the response loaded in the engine, where no client waits for it and none can cancel it."""
        client, nobody = self._client, Nobody()
        scope = {**client.scope, "method": "GET", "state": dict(client.scope.get("state") or {})}
        request = Fields(client.request.without(CONDITIONS | _RANGED))
        behind = Client(scope, nobody.receive, nobody.send, request, client.url, client.group, Forward.STALE)
        behind.leave = nobody.leave
        exchange = Exchange(self._http, behind, self._key, self._found)
        self._http.responses.refresh(self._found.place, exchange.refreshed)

    async def refreshed(self) -> Outcome:
        """Load the response for the store alone."""
        try:
            outcome, shared = await self._http.responses.share(self._found.place, self._client.url, self._refreshing)
        except HandOver as end:
            return Raised(FailedRefreshError(self._client.url, f"it was not whole ({end.__cause__!r})"))
        return Returned(None) if shared else outcome

    async def _refreshing(self, flight: LoadPermit) -> Outcome:
        load = await self._prepared(flight)
        if load is None:
            return Returned(None)
        outcome = await load.run()
        if isinstance(outcome, Raised) or load.stored:
            return outcome
        if load.stood_in or is_failure(load.status):
            return Raised(FailedRefreshError(self._client.url, "the application has failed"))
        if load.status != _NOT_MODIFIED:  # there is another response now, which may not be stored
            await self._http.responses.remove(self._found.place)
        return outcome

    # --- from the application

    async def _pass(self) -> None:
        """Hand the request to the application, and its response to the client."""
        http, client = self._http, self._client
        http.count("passed")
        relay = Relay(client.send, http.settings.signature, CacheStatus(forward=client.forward), self._key)
        await http.app(client.scope, client.receive, relay)

    async def _load(self) -> None:
        """Load the response, or share the load that runs."""
        self._http.count("misses")
        try:
            if await self._loaded_together():
                return
            self._client.strips = False
            outcome = await self._lead(None)
        except HandOver as end:  # the client has left, or the application has failed in the middle
            if end.__cause__ is not None:
                raise end.__cause__ from None
            return
        if isinstance(outcome, Raised):
            raise outcome.error

    async def _loaded_together(self) -> bool:
        """Wait for loads of others, or load for them, too; says whether the request is answered."""
        http, client = self._http, self._client
        if not http.settings.collapse or any(name in client.request for name in _ALONE):
            return False
        for _ in range(_ROUNDS):
            if http.passes(self._found.place):
                return False
            client.strips = True
            outcome, shared = await http.responses.share(self._found.place, client.url, self._lead)
            if isinstance(outcome, Raised):
                raise outcome.fresh() if shared else outcome.error
            if not shared or await self._take(outcome.value):
                return True
            if not isinstance(outcome.value, Shared):
                return False
            if await self._find_again(Use.SERVE, Use.SERVE_AND_REFRESH):
                return True
        return False

    async def _find_again(self, *uses: Use) -> bool:
        """Look whether the response is stored by now; serve it if it is for one of some uses."""
        self._found = await self._http.responses.find(self._client.request, self._key)
        use = self._judge()
        if use in uses:
            await self._serve_found(use)
        return use in uses

    async def _take(self, found: object) -> bool:
        """Serve the response of another request's load, if ours selects it, too; says whether."""
        http = self._http
        if (
            not isinstance(found, Shared)
            or http.responses.selects(found.names, self._client.request) != found.selection
        ):
            return False
        http.count("collapsed")
        await self._serve(found.response, CacheStatus(forward=self._client.forward, collapsed=True))
        return True

    async def _lead(self, flight: LoadPermit | None) -> Outcome:
        """Run the application for this request, and for those that wait for it."""
        load = await self._prepared(flight)
        return Returned(None) if load is None else await load.run()

    async def _prepared(self, flight: LoadPermit | None) -> OriginLoad | None:
        """Return the load, under a lock if there has to be one; `None` if another process has loaded meanwhile."""
        http, found = self._http, self._found
        lock = None
        if http.settings.lock and flight is not None:
            lock = await http.responses.take_lock(found.place, flight)
        storing = await http.responses.storing(found, self._client.url, lock)
        if lock is not None and flight is not None:
            try:
                if await self._find_again(Use.SERVE):
                    http.responses.answer(flight, Returned(self._shared()))
                    await storing.end()
                    return None
            except BaseException:
                await storing.end()
                raise
        return OriginLoad(http, self._client, self._found, storing, flight)

    def _shared(self) -> Shared | None:
        stored, variants = self._found.stored, self._found.variants
        names = () if variants is None else variants.names
        selection = self._http.responses.selects(names, self._client.request)
        return None if stored is None else Shared(stored, names, selection)


def _says_something(request: Fields) -> bool:
    return "cache-control" in request or "pragma" in request
