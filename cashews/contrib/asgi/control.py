"""Cache-Control in both directions: requests that want new values, responses that say how long theirs stay."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any, Final

from cashews import cache as default_cache
from cashews._arguments import text
from cashews._dataclass import dataclass
from cashews._typing import Duration
from cashews.api.cache import Cache
from cashews.api.face import engine_of
from cashews.commands import Command
from cashews.contrib.asgi._types import App, Message, Receive, Scope, Send
from cashews.contrib.asgi.detecting import detecting
from cashews.contrib.http.directives import NO_DIRECTIVES, Directives, asked
from cashews.contrib.http.fields import Fields, Pair
from cashews.contrib.http.status import CacheStatus, Forward
from cashews.engine.context import Detector
from cashews.messages import GetExpire
from cashews.runners.batches import ask_all
from cashews.ttl import seconds

_FIRST_ERROR: Final = 400
_EVER: Final = 2**31
"""The seconds of a value without a time to live (RFC 9111, 1.2.2)."""
_MAX_AGE: ContextVar[int | None] = ContextVar("cashews_max_age", default=None)
_NAME: Final = "cashews"
_SPOKEN: Final = frozenset({b"cache-control", b"pragma"})


class CacheControlTTL:
    """The `ttl` of a decorator that a request may shorten: see `cache_control_ttl`."""

    def __init__(self, default: Duration | None, longest: Duration | None) -> None:
        self._default = seconds(default, "default")
        self._longest = self._default if longest is None else seconds(longest, "longest")

    def __call__(self, *_args: object, **_kwargs: object) -> float | None:
        asked_for = _MAX_AGE.get()
        if asked_for is None:
            return self._default
        return asked_for if self._longest is None else min(asked_for, self._longest)


def cache_control_ttl(default: Duration | None, *, longest: Duration | None = None) -> CacheControlTTL:
    """Return a `ttl` that is the request's max-age, where `CacheRequestControlMiddleware` has seen one.

    :param default: the ttl without max-age
    :param longest: the most that a request gets, the default if `None`: no client decides for the others that a value
        stays for a year
    """
    return CacheControlTTL(default, longest)


class CacheRequestControlMiddleware:
    """Obeys the Cache-Control of requests, and adds one to responses that cached functions had a part in.

    A request with no-cache has the functions run and their results stored; one with no-store has nothing stored
    either. A response says for how many seconds all its parts stay: its max-age is the least time that is left of a
    value. A value of `early` gives the time to its early ttl and the rest as stale-while-revalidate, one of `soft` or
    `failover` the rest as stale-if-error. A response without such parts says no-cache. What the application says itself
    stands. Cache-Status says whether values came from the cache, and of which strategy.

    :param cache_instance: the cache whose values count; the default one if `None`
    :param methods: the methods of the requests that are concerned
    :param private: say that the response is for its client alone
    :param prefix_to_disable: the prefix of the only backend that no-cache and no-store are about; all if it is empty
    """

    def __init__(
        self,
        app: App,
        cache_instance: Cache | None = None,
        methods: Iterable[str] = ("get",),
        private: bool = True,  # noqa: FBT001, FBT002  the specification's signature
        prefix_to_disable: str = "",
    ) -> None:
        self.app = app
        self.cache = default_cache if cache_instance is None else cache_instance
        self.engine = engine_of(self.cache)
        self.clock = self.engine.clock
        self.methods = frozenset(method.upper() for method in methods)
        self.scope = "private" if private else "public"
        self.prefix = text("prefix_to_disable", prefix_to_disable) or None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in self.methods:
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        is_silent = _SPOKEN.isdisjoint([name for name, _ in headers])
        wishes = NO_DIRECTIVES if is_silent else asked(Fields(headers))
        with detecting(self.engine, scope) as detector:
            controlling = Controlling(self, wishes, send, detector)
            if not wishes:
                await self.app(scope, receive, controlling)
                return
            with ExitStack() as blocks:
                self._obey(wishes, blocks)
                await self.app(scope, receive, controlling)

    def _obey(self, wishes: Directives, blocks: ExitStack) -> None:
        off = [Command.GET] * ("no-cache" in wishes or "no-store" in wishes) + [Command.SET] * ("no-store" in wishes)
        if off:
            blocks.enter_context(self.cache.disabling(*off, prefix=self.prefix))
        if (max_age := wishes.seconds("max-age")) is not None:
            blocks.callback(_MAX_AGE.reset, _MAX_AGE.set(max_age))


class Controlling:
    """An ASGI `send` that adds Cache-Control and Cache-Status."""

    __slots__ = ("_detector", "_options", "_send", "_wishes")

    def __init__(
        self, options: CacheRequestControlMiddleware, wishes: Directives, send: Send, detector: Detector
    ) -> None:
        self._options = options
        self._wishes = wishes
        self._send = send
        self._detector = detector

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < _FIRST_ERROR:
            latest = self._detector.latest()
            lifetimes = await self._lifetimes(latest) if latest else []
            headers = message.get("headers", ())
            message = {**message, "headers": [*headers, *self._added(headers, lifetimes)]}
        await self._send(message)

    def _added(self, headers: Iterable[Pair], lifetimes: list[StateLifetime]) -> list[Pair]:
        """Return the fields for a response that has some already."""
        is_own = b"cache-control" in [name.lower() for name, _ in headers]
        added = [] if is_own else [(b"cache-control", control(lifetimes, self._options.scope).encode())]
        if lifetimes:
            added.append((b"cache-status", self._status(lifetimes).member(_NAME)))
        return added

    async def _lifetimes(self, latest: dict[str, dict[str, Any]]) -> list[StateLifetime]:
        """Return those of all values that were used or stored, by their last records."""
        detector = self._detector
        lifetimes: list[StateLifetime] = []
        replies = await ask_all(self._options.engine, [GetExpire(key) for key in latest])
        for (key, record), reply in zip(latest.items(), replies, strict=True):
            left = -2 if isinstance(reply, Exception) else reply
            fresh = rest = left if left >= 0 else _EVER if left == -1 else 0
            deadline = detector.deadline_of(key)
            if deadline is not None and deadline < math.inf:
                fresh = max(0, min(rest, math.floor(deadline - self._options.clock.wall())))
            lifetimes.append(StateLifetime(record["name"], fresh, rest, "exc" in record))
        return lifetimes

    def _status(self, lifetimes: list[StateLifetime]) -> CacheStatus:
        is_hit = self._detector.has_answers()
        ttl = lifetimes[0].fresh if len(lifetimes) == 1 else min([each.fresh for each in lifetimes])
        told = CacheStatus(hit=is_hit, stored=self._detector.has_stored(), ttl=ttl)
        if not is_hit:
            told.forward = Forward.REQUEST if "no-cache" in self._wishes else Forward.MISS
        for each in lifetimes:
            if each.stood_in or each.strategy in _TOLD:
                told.detail = each.strategy
                break
        return told


_TOLD: Final = ("early", "soft", "failover")


@dataclass(slots=True)
class StateLifetime:
    """The seconds of one value: for how many its strategy serves it as new, and how many it has left in the store.

    `stood_in` says that it was served in the place of an exception.
    """

    strategy: str
    fresh: int
    rest: int
    stood_in: bool


def control(values: list[StateLifetime], scope: str) -> str:
    """Return the Cache-Control of a response that is made of values with some lifetimes."""
    if not values:
        return "no-cache"
    fresh: list[int] = []
    rests: dict[str, int] = {}
    is_stale = False
    for each in values:
        is_stale = is_stale or each.stood_in
        if each.strategy != "failover":
            fresh.append(each.fresh)
        if (name := _MARGINS.get(each.strategy)) is not None:
            rests[name] = min(each.rest, rests.get(name, _EVER))
    max_age = 0 if is_stale or not fresh else min(fresh)
    directives = f"{scope}, max-age={max_age}"
    for name, rest in rests.items():
        if rest > max_age:
            directives += f", {name}={rest - max_age}"
    return directives


_MARGINS: Final = {
    "early": "stale-while-revalidate",
    "soft": "stale-if-error",
    "failover": "stale-if-error",
}
"""The directive about the time after max-age of a value, by its strategy."""
