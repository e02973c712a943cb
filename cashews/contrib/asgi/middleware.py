"""The HTTP cache: ASGI middleware that stores responses and answers from them (RFC 9111)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Literal

from cashews import cache as default_cache
from cashews._arguments import integer, text
from cashews._log import logger
from cashews._typing import Duration
from cashews.api.cache import Cache
from cashews.contrib.asgi._types import App, Receive, Scope, Send
from cashews.contrib.asgi.exchange import Exchange
from cashews.contrib.asgi.hosting import Client, Settings
from cashews.contrib.asgi.naming import AFTER, Naming, QueryRule
from cashews.contrib.asgi.relay import Beginning, Relay
from cashews.contrib.asgi.replies import StatusSigner
from cashews.contrib.asgi.responses import Responses
from cashews.contrib.http.directives import OWN_TARGET
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.policy import SAFE_METHODS, Rules, groups_of, invalidates
from cashews.contrib.http.status import CacheStatus, Forward, item
from cashews.contrib.http.vary import NORMALISERS, Normaliser
from cashews.exceptions import WrongArgumentError
from cashews.keys.pattern import Pattern
from cashews.ttl import seconds

TARGETS: Final = (OWN_TARGET,)
TAGS: Final = ("cache-groups", "cache-tag", "surrogate-key")
PASSING: Final = 10.0
"""Seconds for which requests are not joined after a response that was for one client."""
MOST_PASSING: Final = 4096
_READ: Final = frozenset({"GET", "HEAD"})
_PROFILES: Final = ("safe", "rfc")


class HTTPCache:
    """Stores the responses of an ASGI application and answers from them, as RFC 9111 has it for shared caches.

    ``app.add_middleware(HTTPCache)`` on Starlette and FastAPI, ``HTTPCache(app, cache)`` around anything else. The
    time is that of the cache's clock. A store that fails costs a request its caching, never its answer.

    :param cache: the cache whose backends keep the responses; the default one if `None`. The 1,000 values of a plain
        ``mem://`` are few for responses: give it a `size`
    :param name: the name of this cache in Cache-Status
    :param prefix: the beginning of all its keys, such as that of a backend of its own
    :param profile: ``"safe"`` keeps from the store whatever may be meant for one client: responses with Set-Cookie
        that are not `public`, and responses to requests with cookies that say nothing of others. ``"rfc"`` keeps to the
        letter
    :param default_ttl: how long a 200 is fresh that says nothing; `None` for not at all
    :param stale_while_revalidate: for how long a stale response is served while a new one is loaded, if it does not
        say so itself; never where it must be revalidated
    :param stale_if_error: likewise, where the application fails
    :param keep: how long a stale response stays, so that the application can confirm it
    :param max_body: the most bytes of a body that is stored; longer ones pass through
    :param max_variants: the most responses of one URL that are kept side by side
    :param chunk: the most bytes of a body in one message
    :param vary: by the name of a request field, a function that returns the same for values that select the same
        response, beside those for Accept-Language and Accept-Encoding
    :param key: ``key(scope)`` returns an addition to the key, such as a tenant: ``""`` for none, `None` to leave the
        request alone
    :param query: ``{"ignore": ("utm_*",), "sort": True}``: which parameters make no difference, and whether their
        order does
    :param targets: the fields that go before Cache-Control (RFC 9213), the first first
    :param tags: the fields with the names that responses can be purged by
    :param collapse: have concurrent requests for one response wait for a single load
    :param lock: likewise for requests in several processes
    :param status: tell in Cache-Status how a request was handled; ``"full"`` adds the key
    :param trust_requests: obey no-cache, max-age, max-stale and min-fresh of clients, and let each of them put load on
        the application
    :raises WrongArgumentError: if an option has a value that is not allowed
    """

    def __init__(
        self,
        app: App,
        cache: Cache | None = None,
        *,
        name: str = "cashews",
        prefix: str = "http:",
        profile: Literal["safe", "rfc"] = "safe",
        default_ttl: Duration | None = None,
        stale_while_revalidate: Duration | None = None,
        stale_if_error: Duration | None = None,
        keep: Duration | None = "1d",
        max_body: int = 8 * 2**20,
        max_variants: int = 64,
        chunk: int = 256 * 2**10,
        vary: Mapping[str, Normaliser] | None = None,
        key: Callable[[Scope], str | None] | None = None,
        query: Mapping[str, object] | None = None,
        targets: Iterable[str] = TARGETS,
        tags: Iterable[str] = TAGS,
        collapse: bool = True,
        lock: bool = False,
        status: bool | Literal["full"] = True,
        trust_requests: bool = False,
    ) -> None:
        if profile not in _PROFILES:
            raise WrongArgumentError("profile", profile, "'safe' or 'rfc'")
        rules = Rules(
            safe=profile == "safe",
            targets=_lowered(targets),
            tags=_lowered(tags),
            default_ttl=seconds(default_ttl, "default_ttl"),
            while_stale=seconds(stale_while_revalidate, "stale_while_revalidate"),
            on_error=seconds(stale_if_error, "stale_if_error"),
            keep=seconds(keep, "keep") or 0.0,
            trusting=trust_requests,
        )
        signature = StatusSigner(item(text("name", name)), bool(status), status == "full")
        self.app = app
        self.settings = Settings(
            rules, signature, integer("max_body", max_body, 0), integer("chunk", chunk, 1), collapse, lock
        )
        self._naming = Naming(text("prefix", prefix), QueryRule.of(query))
        self._addition = key
        normalisers = {**NORMALISERS, **{name.lower(): each for name, each in (vary or {}).items()}}
        cache = default_cache if cache is None else cache
        self.responses = Responses(cache, self._naming, normalisers, integer("max_variants", max_variants, 1))
        self._passing: dict[str, float] = {}
        self._counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["cashews.http"] = self
        request = Fields(scope["headers"])
        url = self._naming.url_of(scope, request)
        addition = self._addition_for(scope)
        key = self._naming.key(url, addition or "")
        client = Client(scope, receive, send, request, url, self._naming.group)
        if scope["method"] not in _READ:
            await self._write(client, key, addition or "")
        elif addition is None or _is_beyond(request) or self.responses.is_off(key):
            client.forward = Forward.BYPASS
            await self._relay(client, key)
        else:
            await Exchange(self, client, key).run()

    def _addition_for(self, scope: Scope) -> str | None:
        """Return the addition to the key of a request; `None` to leave it alone, also if the user's function fails."""
        if self._addition is None:
            return ""
        try:
            return self._addition(scope)
        except Exception as error:  # noqa: BLE001  a user's function meets the fields of strangers
            if not self._counts["unnamed"]:
                logger.warning("key= of an HTTP cache has failed, and the request passes: %s", error, exc_info=error)
            self.count("unnamed")
            return None

    async def _write(self, client: Client, key: str, addition: str) -> None:
        """Hand on a request that may change something, and remove the responses that it has changed (RFC 9111, 4.4)."""
        client.forward = Forward.METHOD
        unsafe = client.scope["method"] not in SAFE_METHODS
        await self._relay(client, key, partial(self._invalidate, client, addition) if unsafe else None)

    async def _invalidate(self, client: Client, addition: str, status: int, response: Fields) -> None:
        """Remove what a change has made old, also while its client leaves: the application has made the change."""
        if not invalidates(client.scope["method"], status):
            return
        with self.responses.shielded():
            await self._remove_changed(client, addition, response)

    async def _remove_changed(self, client: Client, addition: str, response: Fields) -> None:
        references = [response.get(name) for name in ("location", "content-location")]
        named = [self._naming.beside(client.url, reference) for reference in references if reference]
        urls = dict.fromkeys([client.url, *[each for each in named if each is not None]])
        await self.responses.overtake(*urls)
        await self.responses.remove(*[self._naming.key(each, addition) for each in urls])
        groups = groups_of(response, "cache-group-invalidation")
        await self.responses.remove_tags(*[self._naming.group(client.url, group) for group in groups])

    async def _relay(self, client: Client, key: str, beginning: Beginning | None = None) -> None:
        self.count("passed")
        relay = Relay(client.send, self.settings.signature, CacheStatus(forward=client.forward), key, beginning)
        await self.app(client.scope, client.receive, relay)

    # --- purging

    async def purge(
        self, url: str | None = None, *, tag: str | None = None, match: str | None = None, soft: bool = False
    ) -> None:
        """Remove stored responses; a load that has begun before stores none any more.

        Say which by one of the three. A response that is purged softly is stale: it is served once more while a new
        one is loaded, unless it must be revalidated. That looks at every stored response if it is by tag.

        :param url: absolute; all responses to it, with whatever addition to the key
        :param tag: a member of Cache-Tag or Surrogate-Key
        :param match: a pattern of ``scheme://host/path?query`` in which `*` stands for any text
        :raises WrongArgumentError: if not one of the three is given
        """
        given = [each for each in (url, tag, match) if each is not None]
        if len(given) != 1:
            raise WrongArgumentError("purge()", given, "one of url, tag= and match=")
        if url is not None:
            await self._purge_url(self._naming.canonical(url), soft=soft)
        elif match is not None:
            await self._purge_match(match, soft=soft)
        elif soft:
            everything = self.responses.everything_under(self._naming.prefix)
            await self.responses.soften(everything, lambda stored: tag in stored.tags)
        else:
            await self.responses.remove_tags(str(tag))

    async def _purge_url(self, url: str, *, soft: bool) -> None:
        key = self._naming.key(url)
        others = self.responses.everything_under(key, AFTER)
        await self.responses.overtake(url)
        if soft:
            for pattern in (Pattern.of((key,)), others):
                await self.responses.soften(pattern, lambda _: True)
            return
        await self.responses.remove(key)
        if self._addition is not None:
            await self.responses.remove_match(others)

    async def _purge_match(self, match: str, *, soft: bool) -> None:
        patterns = [match] if match.endswith("*") else [match, f"{match}{AFTER}*"]
        for pattern in patterns:
            if soft:
                await self.responses.soften(self.responses.matching(pattern), lambda _: True)
            else:
                await self.responses.remove_match(self.responses.matching(pattern))

    # --- remembering

    def passes(self, place: str) -> bool:
        """Say whether the responses of a place have lately been for one client each."""
        until = self._passing.get(place)
        return until is not None and until > self.responses.clock.now()

    def pass_by(self, place: str, *, passing: bool) -> None:
        """Take note of whether the responses of a place are for one client each."""
        self._passing.pop(place, None)
        if passing:
            if len(self._passing) >= MOST_PASSING:
                del self._passing[next(iter(self._passing))]
            self._passing[place] = self.responses.clock.now() + PASSING

    def count(self, event: str) -> None:
        """Count an outcome."""
        self._counts[event] += 1

    def statistics(self) -> dict[str, int]:
        """Return how many requests had which outcome."""
        return dict(self._counts)


def _lowered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple([name.lower() for name in names])


def _is_beyond(request: Fields) -> bool:
    """Say whether a request is for the application alone: it has content, or conditions of a change."""
    if "if-match" in request or "if-unmodified-since" in request or "transfer-encoding" in request:
        return True
    return "content-length" in request and request.get("content-length") != "0"
