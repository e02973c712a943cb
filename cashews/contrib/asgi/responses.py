"""The stored responses of one HTTP cache, and the loads that fill them: all that it asks of the engine.

A store that cannot be reached costs a request its caching, never its answer: a failure is a miss, and said once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, TypeAlias, TypeVar

from cashews._dataclass import dataclass
from cashews._log import logger
from cashews.api.cache import Cache
from cashews.api.face import engine_of
from cashews.api.filling import Filling
from cashews.commands import Command
from cashews.contrib.asgi.naming import AFTER, Naming
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.policy import StoragePlan
from cashews.contrib.http.record import StoredResponse, Variants, unpack
from cashews.contrib.http.status import Forward
from cashews.contrib.http.vary import Normaliser, selection
from cashews.engine.context import undisturbed
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.load_locks import hold
from cashews.exceptions import CacheError
from cashews.keys.pattern import Pattern, pieces_of
from cashews.messages import Get, GetExpire, GetKeyTags, GetRaw, KnownTags, LoadPermit, OneKey, SetTagged
from cashews.runners.batches import ask_all
from cashews.strategies.entry import Outcome

T = TypeVar("T")
Load: TypeAlias = Callable[[LoadPermit], Awaitable[Outcome]]
"""Has the application answer a request, under a permit to store the response."""

LEASE: Final = 30.0
"""Seconds after which the lock of a load is free whose process was killed; others wait for it no longer."""
TOGETHER: Final = 32
"""The most responses that a soft purge has in hand at a time: each of them may be large."""
PATIENCE: Final = 2.0
"""Seconds for which commands go on whose request is cancelled."""


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


@dataclass(frozen=True, slots=True)
class TakenLock:
    """The lock of a load, and the blocks that end when it is released."""

    lock: HeldLock
    blocks: ExitStack


class ResponseTags(KnownTags):
    """The tags that overtake a load of a response: its own to come, and that of its URL's loads."""

    __slots__ = ("_loads",)

    def __init__(self, naming: Naming, url: str) -> None:
        super().__init__((naming.loads_of(url),), more=True)
        object.__setattr__(self, "_loads", naming.loads_of())

    _loads: str

    def may_add(self, tags: Iterable[str]) -> bool:
        """Say whether the response may carry one of some tags; none carries those of loads."""
        return not all(tag.startswith(self._loads) for tag in tags)


class Responses:
    """Finds, keeps and removes responses, and has each loaded once."""

    def __init__(self, cache: Cache, naming: Naming, normalisers: Mapping[str, Normaliser], max_variants: int) -> None:
        self._cache = cache
        self._engine = engine_of(cache)
        self._naming = naming
        self._normalisers = normalisers
        self._max_variants = max_variants
        self._failing = False
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
        """Remove the values of some keys; a load of theirs that has begun here stores nothing any more."""
        await self.quietly(self._cache.delete_many(*keys), None)

    async def remove_tags(self, *tags: str) -> None:
        """Remove the responses that carry a tag; loads that it overtakes store nothing, in whatever process."""
        if tags:
            await self.quietly(self._cache.delete_tags(*tags), None)

    async def overtake(self, *urls: str) -> None:
        """Have the loads of some URLs store nothing, in whatever process."""
        await self.remove_tags(*map(self._naming.loads_of, urls))

    async def remove_match(self, pattern: str) -> None:
        """Remove the responses whose keys match a pattern."""
        await self.quietly(self._cache.delete_match(pattern), None)

    async def soften(self, pattern: str, concerns: Callable[[StoredResponse], bool]) -> None:
        """Have responses whose keys match be stale from now on, and stay as long as they would have.

        Loads that have begun store nothing, and no request joins them: they may bring such a response. One that has
        taken a response's place meanwhile is left alone. A transaction or `invalidate_further()` around is none of the
        purge's.
        """
        self._engine.permits.void(self._engine.permits.matching(pattern))
        keys: list[str] = []
        try:
            with undisturbed():
                async for key, value in self._cache.get_match(pattern):
                    stored = unpack(value)
                    if isinstance(stored, StoredResponse) and concerns(stored):
                        keys.append(key)
                    if len(keys) == TOGETHER:
                        await self._soften(keys)
                        keys.clear()
                await self._soften(keys)
        except CacheError as error:
            self._said(error)

    async def _soften(self, keys: list[str]) -> None:
        """Replace the responses of some keys by softened ones; each only if it is the one that was read."""
        before = await self._ask_all([GetRaw(key) for key in keys])
        found = await self._ask_all([Get(key) for key in keys])
        left = await self._ask_all([GetExpire(key) for key in keys])
        tags = await self._ask_all([GetKeyTags(key) for key in keys])
        softened: list[SetTagged] = []
        for key, raw, value, seconds, names in zip(keys, before, found, left, tags, strict=True):
            stored = unpack(value)
            if isinstance(stored, StoredResponse) and seconds > 0:
                softened.append(SetTagged(key, stored.softened().pack(), seconds, tags=names, instead_of=raw))
        await self._ask_all(softened)

    async def _ask_all(self, messages: Sequence[OneKey[T]]) -> list[T]:
        """Ask several messages as one batch.

        :raises Exception: the first failure, once all have been asked
        """
        replies: list[T] = []
        for reply in await ask_all(self._engine, messages):
            if isinstance(reply, Exception):
                raise reply
            replies.append(reply)
        return replies

    def everything_under(self, *beginnings: str) -> Pattern:
        """Return the pattern of all keys that begin with a text, to the letter."""
        return Pattern.of(("".join(beginnings), ""))

    def matching(self, pattern: str) -> Pattern:
        """Return a pattern over URLs as one over keys."""
        return Pattern.of(pieces_of(pattern)).__radd__(self._naming.prefix)

    @contextmanager
    def shielded(self) -> Generator[None]:
        """Let a block of commands run although its request is cancelled, but not for long."""
        with self.clock.move_on_at(self.clock.now() + PATIENCE) as scope:
            scope.shield = True
            yield

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

    async def share(self, place: str, url: str, load: Load) -> tuple[Outcome, bool]:
        """Load a response, or wait for the load that runs; says whether the outcome is another request's.

        A load that raises `HandOver` lets one of those that wait for it take its place.
        """
        return await self._flights.load(place, _run, load, ResponseTags(self._naming, url))

    def answer(self, flight: LoadPermit, outcome: Outcome) -> None:
        """Answer all that wait for a load, before it ends; requests that come later load anew."""
        self._flights.answer(flight, outcome)

    def refresh(self, place: str, run: Callable[[], Awaitable[Outcome]]) -> None:
        """Have a response loaded behind the requests' backs."""
        self._engine.refresh(self._flights, place, run)

    async def storing(self, found: Found, url: str, lock: TakenLock | None = None) -> ResponseStoring:
        """Return the right to store the response of a load that is about to begin, and to release its lock."""
        filling = self._cache.filling(found.key, overtaken_by=(self._naming.loads_of(url),))
        storing = ResponseStoring(self, filling, lock)
        try:
            await self.quietly(storing.filling.begin(), None)
        except BaseException:
            await storing.end()
            raise
        return storing

    async def take_lock(self, place: str, flight: LoadPermit) -> TakenLock | None:
        """Lock a load against other processes, waiting for theirs; no lock if the store cannot, or time is up.

        Its lease is renewed until it is released. A load that an application asks for while it loads the same response
        runs without the lock.
        """
        key, locks, load_locks = f"{place}{AFTER}lock", self._engine.locks_here(), self._engine.load_locks
        if locks.is_off(key) or load_locks.waits_for_itself(key):
            return None
        lock = locks.claim(key, LEASE)
        with ExitStack() as blocks:
            noted = blocks.enter_context(load_locks.waiting(flight, key))
            try:
                await locks.acquire(lock, locks.until(LEASE))
            except CacheError:
                return None
            hold(noted, flight)
            locks.note_entered(lock)
            if lock.renewed:
                locks.start_renewing(lock, _load_on)
            return TakenLock(lock, blocks.pop_all())

    async def release(self, taken: TakenLock) -> None:
        """Let the next process load; also while the request is being cancelled."""
        locks = self._engine.locks_here()
        locks.stop_renewing(taken.lock)
        locks.note_left(taken.lock)
        taken.blocks.close()
        await locks.give_back(taken.lock, quietly=True)


def _run(load: Load, permit: LoadPermit) -> Awaitable[Outcome]:
    return load(permit)


def _load_on() -> None:
    """Do nothing: a load whose lock is lost goes on without it."""


class ResponseStoring:
    """The right to store the response of one load, and the lock of its place."""

    __slots__ = ("_ended", "_lock", "_responses", "filling", "tags")

    def __init__(self, responses: Responses, filling: Filling, lock: TakenLock | None) -> None:
        self.filling = filling
        self.tags: tuple[str, ...] = ()
        """The tags of the response, once it has come."""
        self._responses = responses
        self._lock = lock
        self._ended = False

    async def store(self, key: str, value: bytes, ttl: float, tags: tuple[str, ...] = ()) -> bool:
        """Store a value; says whether it was stored."""
        return await self._responses.quietly(self.filling.set(key, value, ttl, tags), False)

    async def end(self) -> None:
        """Give the right back, and the lock; nothing to do if that is done."""
        if self._ended:
            return
        self._ended = True
        self.filling.end()
        if self._lock is not None:
            await self._responses.release(self._lock)
