"""The stored responses of one HTTP cache, and the loads that fill them: all that it asks of the engine.

A store that cannot be reached costs a request its caching, never its answer: a failure is a miss, and said once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from cashews._dataclass import dataclass
from cashews._log import logger
from cashews.api.cache import Cache
from cashews.api.face import engine_of
from cashews.api.filling import TAGS_TO_COME, Filling
from cashews.commands import Command
from cashews.contrib.asgi.naming import AFTER, Naming
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.policy import StoragePlan
from cashews.contrib.http.record import StoredResponse, Variants, unpack
from cashews.contrib.http.status import Forward
from cashews.contrib.http.vary import Normaliser, selection
from cashews.engine.flights import Load
from cashews.exceptions import CacheError
from cashews.keys.pattern import Pattern, pieces_of
from cashews.messages import LoadPermit
from cashews.strategies.entry import Outcome

T = TypeVar("T")

LEASE: Final = 30.0
"""Seconds for which a load locks its key against other processes, and for which they wait for it."""
PATIENCE: Final = 2.0
"""Seconds that the release of such a lock may take."""


@dataclass(slots=True)
class Found:
    """The place of a request's response, and the response if one is stored.

    `key` is the URL's, `place` that of the response: another one where the URL's responses vary.
    """

    key: str
    place: str
    stored: StoredResponse | None = None
    variants: Variants | None = None

    @property
    def missing(self) -> Forward:
        """Why a request goes on to the application if nothing is found."""
        return Forward.URI_MISS if self.variants is None else Forward.VARY_MISS


class Responses:
    """Finds, keeps and removes responses, and has each loaded once."""

    def __init__(self, cache: Cache, naming: Naming, normalisers: Mapping[str, Normaliser], max_variants: int) -> None:
        self._cache = cache
        self._engine = engine_of(cache)
        self._naming = naming
        self._normalisers = normalisers
        self._max_variants = max_variants
        self._failing = False
        self._softening: set[str] = set()
        """The keys at which a soft purge looks once more and then writes."""
        self._flights = self._engine.flights()
        self.clock = self._engine.clock

    # --- finding and keeping

    def is_off(self, key: str) -> bool:
        """Say whether reading is switched off for a key, here and now."""
        try:
            return self._engine.is_off(Command.GET, key)
        except CacheError:  # no backend is mounted: the first command says so
            return False

    async def find(self, request: Fields, key: str) -> Found:
        """Find the response to a request, among those that vary by the selecting fields (RFC 9111, 4.1)."""
        stored = unpack(await self._read(key))
        if not isinstance(stored, Variants):
            return Found(key, key, stored)
        place = self._place(key, stored, request)
        response = unpack(await self._read(place))
        return Found(key, place, response if isinstance(response, StoredResponse) else None, stored)

    def selects(self, names: tuple[str, ...], request: Fields) -> str:
        """Return a text that is the same for all requests that select the same response."""
        return selection(names, request, self._normalisers) if names else ""

    def _place(self, key: str, variants: Variants, request: Fields) -> str:
        return f"{key}{AFTER}vary={variants.generation}:{self.selects(variants.names, request)}"

    async def keep(
        self, found: Found, request: Fields, plan: StoragePlan, response: StoredResponse, into: ResponseStoring
    ) -> None:
        """Store a response, beside the others of its URL if they vary."""
        variants, place = found.variants, found.key
        if plan.vary or variants is not None:
            variants = await self._variants(found, plan)
            place = self._place(found.key, variants, request)
        if not await into.store(place, response.pack(), plan.ttl, into.tags) or variants is None:
            return
        if variants is not found.variants:
            await into.store(found.key, variants.pack(), plan.ttl)
        elif 0 <= await self.quietly(self._cache.get_expire(found.key), -1) < plan.ttl:
            await self.quietly(self._cache.expire(found.key, plan.ttl), False)

    async def _variants(self, found: Found, plan: StoragePlan) -> Variants:
        """Return the names that a URL's responses vary by, of another generation if these or too many are new."""
        known = found.variants
        names = plan.vary if known is None else tuple(sorted({*known.names, *plan.vary}))
        if known is not None and names == known.names:
            if found.stored is not None:
                return known
            counter = f"{found.key}{AFTER}count={known.generation}"
            if await self.quietly(self._cache.incr(counter, 1, plan.ttl), 0) < self._max_variants:
                return known
        return Variants(names, f"{self._engine.random.getrandbits(64):016x}")

    async def remove(self, *keys: str) -> None:
        """Remove the values of some keys; a load of theirs that has begun stores nothing any more."""
        await self.quietly(self._cache.delete_many(*keys), None)

    async def remove_tags(self, *tags: str) -> None:
        """Remove the responses that carry a tag."""
        if tags:
            await self.quietly(self._cache.delete_tags(*tags), None)

    async def remove_match(self, pattern: str) -> None:
        """Remove the responses whose keys match a pattern."""
        await self.quietly(self._cache.delete_match(pattern), None)

    async def soften(self, pattern: str, concerns: Callable[[StoredResponse], bool]) -> None:
        """Have responses whose keys match be stale from now on, and stay as long as they would have.

        Loads that have begun store nothing, and no request joins them: they may bring such a response. One that has
        taken a response's place meanwhile is left alone.
        """
        self._engine.permits.void(self._engine.permits.matching(pattern))
        try:
            async for key, value in self._cache.get_match(pattern):
                stored = unpack(value)
                if isinstance(stored, StoredResponse) and concerns(stored):
                    await self._soften(key, stored)
        except CacheError as error:
            self._said(error)

    async def _soften(self, key: str, stored: StoredResponse) -> None:
        left = await self._cache.get_expire(key)
        tags = await self._cache.get_key_tags(key)
        self._softening.add(key)
        try:
            is_there = unpack(await self._cache.get(key)) == stored
            if is_there and left > 0 and key in self._softening:
                await self._cache.set(key, stored.softened().pack(), left, exist=True, tags=tags)
        finally:
            self._softening.discard(key)

    def give_way(self, key: str) -> None:
        """Have a soft purge leave a key alone whose new response is on its way to the store."""
        self._softening.discard(key)

    def everything_under(self, *beginnings: str) -> Pattern:
        """Return the pattern of all keys that begin with a text, to the letter."""
        return Pattern.of(("".join(beginnings), ""))

    def matching(self, pattern: str) -> Pattern:
        """Return a pattern over URLs as one over keys."""
        return Pattern.of(pieces_of(pattern)).__radd__(self._naming.prefix)

    async def _read(self, key: str) -> object:
        try:
            stored: object = await self._cache.get(key)
        except CacheError as error:
            self._said(error)
            return None
        self._failing = False
        return stored

    async def quietly(self, command: Awaitable[T], otherwise: T) -> T:
        """Await a command; if the store fails, say so once and answer otherwise."""
        try:
            return await command
        except CacheError as error:
            self._said(error)
            return otherwise

    def _said(self, error: CacheError) -> None:
        if not self._failing:
            self._failing = True
            logger.warning("the HTTP cache does without its store: %s", error)

    # --- loading

    async def share(self, place: str, load: Load) -> tuple[Outcome, bool]:
        """Load a response, or wait for the load that runs; says whether the outcome is another request's.

        A load that raises `HandOver` lets one of those that wait for it take its place.
        """
        return await self._flights.load(place, load, TAGS_TO_COME)

    def answer(self, flight: LoadPermit, outcome: Outcome) -> None:
        """Answer all that wait for a load, before it ends; requests that come later load anew."""
        self._flights.answer(flight, outcome)

    def refresh(self, place: str, run: Callable[[], Awaitable[Outcome]]) -> None:
        """Have a response loaded behind the requests' backs."""
        self._engine.refresh(self._flights, place, run)

    async def storing(self, found: Found, lock: str = "") -> ResponseStoring:
        """Return the right to store the response of a load that is about to begin, and to release its lock."""
        storing = ResponseStoring(self, self._cache.filling(found.key), found.place, lock)
        try:
            await self.quietly(storing.filling.begin(), None)
        except BaseException:
            await storing.end()
            raise
        return storing

    async def take_lock(self, place: str) -> str:
        """Lock a load against other processes, waiting for theirs; no token if the store cannot, or time is up."""
        key, token = f"{place}{AFTER}lock", f"{self._engine.random.getrandbits(128):032x}"
        try:
            return token if await self._took_lock(key, token) else ""
        except BaseException:  # the store may have locked it all the same
            await self.release(place, token)
            raise

    async def _took_lock(self, key: str, token: str) -> bool:
        deadline = self.clock.now() + LEASE
        while not await self.quietly(self._cache.set_lock(key, token, LEASE), False):
            left = deadline - self.clock.now()
            if left <= 0 or not await self.quietly(self._cache.is_locked(key), False):
                return False
            await self.quietly(self._cache.is_locked(key, wait=left), False)
        return True

    async def release(self, place: str, token: str) -> None:
        """Let the next process load; also while the request is being cancelled."""
        with self.clock.move_on_at(self.clock.now() + PATIENCE) as scope:
            scope.shield = True
            await self.quietly(self._cache.unlock(f"{place}{AFTER}lock", token), False)


class ResponseStoring:
    """The right to store the response of one load, and the lock of its place."""

    __slots__ = ("_ended", "_lock", "_place", "_responses", "filling", "tags")

    def __init__(self, responses: Responses, filling: Filling, place: str, lock: str) -> None:
        self.filling = filling
        self.tags: tuple[str, ...] = ()
        """The tags of the response, once it has come."""
        self._responses = responses
        self._place = place
        self._lock = lock
        self._ended = False

    async def store(self, key: str, value: bytes, ttl: float, tags: tuple[str, ...] = ()) -> bool:
        """Store a value; says whether it was stored."""
        if not self.filling.overtaken:
            self._responses.give_way(key)
        return await self._responses.quietly(self.filling.set(key, value, ttl, tags), False)

    async def end(self) -> None:
        """Give the right back, and the lock; nothing to do if that is done."""
        if self._ended:
            return
        self._ended = True
        self.filling.end()
        if self._lock:
            await self._responses.release(self._place, self._lock)
