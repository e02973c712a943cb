"""The middlewares of the specification, in FastAPI and on any ASGI application."""

import os
from pathlib import Path

import anyio
import pytest
from fastapi import FastAPI, Header, Query
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse, StreamingResponse
from httpx import ASGITransport, AsyncClient

import cashews
from cashews import Cache, Command, RateLimitError
from cashews.contrib.fastapi import (
    CacheDeleteMiddleware,
    CacheEtagMiddleware,
    CacheRequestControlMiddleware,
    cache_control_ttl,
    rate_limit_handler,
)
from cashews.engine.context import AMBIENT, Detector, add, take_back
from cashews.exceptions import CacheBackendInteractionError
from tests.contrib.asgi.world import Client, Origin, pairs_of, scope_of

SOURCE = Path(__file__).read_bytes()


class Shop:
    """A FastAPI application over a cache: each run of a function takes a number."""

    def __init__(self, cache, *middlewares):
        self.cache = cache
        self.runs = 0
        self.failing = None
        self.app = FastAPI()
        for middleware, options in middlewares:
            self.app.add_middleware(middleware, cache_instance=cache, **options)

    def route(self, path, decorator, **headers):
        @decorator
        async def value():
            self.runs += 1
            if self.failing is not None:
                raise self.failing
            return self.runs

        @self.app.get(path)
        async def endpoint():
            return PlainTextResponse(str(await value()), headers=headers)

        return value

    async def get(self, path="/", **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        async with AsyncClient(transport=ASGITransport(self.app), base_url="http://test") as client:
            return await client.get(path, headers=fields)


ETAG, CONTROL, DELETE = CacheEtagMiddleware, CacheRequestControlMiddleware, CacheDeleteMiddleware
ALL = ((DELETE, {}), (ETAG, {}), (CONTROL, {}))


# --- the example of the specification


async def test_the_example_works_as_it_is_written(monkeypatch):
    monkeypatch.setenv("CACHE_URI", "mem://")
    cache = Cache("fresh")
    monkeypatch.setattr("cashews.contrib.asgi.etag.default_cache", cache)
    monkeypatch.setattr("cashews.contrib.asgi.control.default_cache", cache)
    runs = []
    app = FastAPI()
    app.add_middleware(CacheDeleteMiddleware)
    app.add_middleware(CacheEtagMiddleware)
    app.add_middleware(CacheRequestControlMiddleware)
    cache.setup(os.environ.get("CACHE_URI", "redis://"))

    @app.get("/")
    @cache.failover(ttl="1h")
    @cache(ttl=cache_control_ttl(default="4m"), key="simple:{user_agent:hash}", time_condition="1s")
    async def simple(user_agent: str = Header("No")):  # noqa: FAST002  as the specification writes it
        return user_agent

    @app.get("/stream")
    @cache(ttl="1m", key="stream:{file_path}")
    async def stream(file_path: str = Query(__file__)):  # noqa: FAST002  likewise
        return StreamingResponse(read_file(file_path=file_path))

    async def read_file(file_path):
        runs.append(file_path)
        async with await anyio.open_file(file_path, "rb") as file:
            while piece := await file.read(1000):
                yield piece

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        first = await client.get("/", headers={"user-agent": "browser"})
        assert (first.status_code, first.json()) == (200, "browser")
        assert first.headers["etag"]
        streams = [await client.get("/stream") for _ in range(3)]
        assert {response.status_code for response in streams} == {200}
        assert {response.content for response in streams} == {SOURCE}
        assert len(runs) == 1
        known = streams[1].headers["etag"]
        assert (await client.get("/stream", headers={"if-none-match": known})).status_code == 304
    await cache.close()


# --- ETag


async def test_a_client_that_has_the_response_gets_a_304(cache):
    shop = Shop(cache, (ETAG, {}))
    value = shop.route("/", cache(ttl="1m", key="v"), vary="x")
    first = await shop.get()
    tag = first.headers["etag"]
    assert (first.text, first.headers["content-length"]) == ("1", "1")
    for condition in (tag, f'"other", W/{tag}', "*"):
        again = await shop.get(if_none_match=condition)
        assert (again.status_code, again.content) == (304, b"")
        assert (again.headers["etag"], again.headers["vary"]) == (tag, "x")
        assert "content-length" not in again.headers
    await value.invalidate()
    changed = await shop.get(if_none_match=tag)
    assert (changed.status_code, changed.text) == (200, "2")
    assert changed.headers["etag"] != tag


async def test_an_etag_is_of_the_bytes_whatever_the_url_and_other_caches(cache, clock):
    async with Cache.open("mem://", clock=clock) as other:
        shop = Shop(cache, (ETAG, {}))
        shop.route("/other", other(ttl="1m", key="v"))
        shop.route("/plain", lambda function: function)
        shop.route("/own", cache(ttl="1m", key="own"), etag='"mine"')
        assert "etag" not in (await shop.get("/other")).headers
        assert "etag" not in (await shop.get("/plain")).headers
        assert (await shop.get("/own", if_none_match='"mine"')).status_code == 304
        assert (await shop.get("/own")).headers["etag"] == '"mine"'


async def test_two_requests_at_once_have_each_their_own_etag(cache, client_of, clock):
    """One of them uses the cache while the other does not."""
    gate = anyio.Event()

    @cache(ttl="1m", key="v")
    async def value():
        await gate.wait()
        return b"cached"

    async def app(scope, _receive, send):
        body = await value() if scope["path"] == "/cached" else b"plain"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    client = client_of(CacheRequestControlMiddleware(CacheEtagMiddleware(app, cache), cache))
    cached = client.start("/cached")
    await clock.settle()
    plain = await client.get("/plain")
    gate.set()
    await cached.ended.wait()
    assert (plain["etag"], plain["cache-control"]) == (None, "no-cache")
    assert cached["etag"] is not None
    assert cached["cache-control"] == "private, max-age=60"


async def test_nothing_follows_a_304(cache):
    """A server that sends files by itself gets a path instead of a body."""
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"a"')], "trailers": True})
        await send({"type": "http.response.pathsend", "path": "/file"})
        await send({"type": "http.response.trailers", "headers": []})

    async def collect(message):
        sent.append(message["type"])

    scope = scope_of("/", {"if_none_match": '"a"'})
    await CacheEtagMiddleware(app, cache)(scope, None, collect)
    assert sent == ["http.response.start", "http.response.body"]


async def test_a_weak_tag_for_every_response(cache):
    shop = Shop(cache, (ETAG, {"weak": True, "only_cached": False}))
    shop.route("/", lambda function: function)
    assert (await shop.get()).headers["etag"].startswith('W/"')


@pytest.mark.parametrize("fields", [{"content_type": "text/event-stream"}, {"content_type": "Text/Event-Stream; a=b"}])
async def test_events_are_not_held_back(cache, client_of, clock, fields):
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": pairs_of(fields)})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await anyio.sleep_forever()

    answer = client_of(CacheEtagMiddleware(app, cache, only_cached=False)).start()
    await clock.settle()
    assert answer.body == b"data: 1\n\n"


async def test_what_cannot_be_held_back_passes(cache, client_of):
    origin = Origin(body=b"x" * 11)
    answer = await client_of(CacheEtagMiddleware(origin, cache, only_cached=False, max_body=10)).get()
    assert (answer.body, answer["etag"]) == (b"x" * 11, None)


async def test_a_stream_that_runs_for_the_first_time_is_not_held_back(cache, client_of, clock):
    gate = anyio.Event()

    @cache(ttl="1m", key="s")
    async def stream():
        return StreamingResponse(pieces())

    async def pieces():
        yield "begun"
        await gate.wait()
        yield "ended"

    async def app(scope, receive, send):
        await (await stream())(scope, receive, send)

    client = client_of(CacheEtagMiddleware(app, cache))
    first = client.start()
    await clock.settle()
    assert first.body == b"begun"
    gate.set()
    await first.ended.wait()
    second = await client.get()
    assert second.body == b"begunended"
    assert second["etag"] is not None


async def test_the_tag_is_of_the_compressed_bytes(cache):
    shop = Shop(cache, (GZipWithCache, {"minimum_size": 1}), (ETAG, {}))
    shop.route("/", cache(ttl="1m", key="v"))
    zipped, plain = await shop.get(accept_encoding="gzip"), await shop.get(accept_encoding="identity")
    assert zipped.text == plain.text == "1"
    assert zipped.headers["etag"] != plain.headers["etag"]


class GZipWithCache(GZipMiddleware):
    def __init__(self, app, cache_instance, **options):
        super().__init__(app, **options)


async def test_other_methods_and_statuses_are_left_alone(cache):
    for origin, method in ((Origin(status=404), "GET"), (Origin(), "POST")):
        answer = await Client(CacheEtagMiddleware(origin, cache, only_cached=False)).get(method=method)
        assert answer["etag"] is None


# --- Cache-Control


async def test_a_response_says_how_long_its_values_stay(cache, clock):
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/", cache(ttl="1m", key="v"))
    first = await shop.get()
    assert first.headers["cache-control"] == "private, max-age=60"
    assert first.headers["cache-status"] == "cashews; fwd=miss; ttl=60; stored"
    await clock.advance(20)
    second = await shop.get()
    assert second.headers["cache-control"] == "private, max-age=40"
    assert second.headers["cache-status"] == "cashews; hit; ttl=40"


async def test_a_value_whose_time_cannot_be_asked_for_stays_for_none(clock):
    """Guarantee 33."""

    async def down(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.GET_EXPIRE:
            raise CacheBackendInteractionError(cmd.value)
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[down], clock=clock) as cache:
        shop = Shop(cache, (CONTROL, {}))
        shop.route("/", cache(ttl="1m", key="v"))
        assert (await shop.get()).headers["cache-control"] == "private, max-age=0"


async def test_a_value_without_an_end_stays_as_long_as_can_be_said(cache):
    """RFC 9111, 1.2.2."""
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/", cache(ttl=None, key="v"))
    assert (await shop.get()).headers["cache-control"] == "private, max-age=2147483648"


async def test_the_least_time_of_all_values_counts(cache):
    shop = Shop(cache, (CONTROL, {"private": False}))

    @cache(ttl="10s", key="short")
    async def short():
        return 1

    @shop.app.get("/")
    @cache(ttl="1m", key="long")
    async def long():
        return await short()

    assert (await shop.get()).headers["cache-control"] == "public, max-age=10"


@pytest.mark.parametrize(
    ("decorator", "after", "control"),
    [
        (lambda cache: cache.early(ttl="60s", early_ttl="40s", key="v"), 0, "max-age=40, stale-while-revalidate=20"),
        (lambda cache: cache.early(ttl="60s", early_ttl="40s", key="v"), 50, "max-age=0, stale-while-revalidate=10"),
        (lambda cache: cache.soft(ttl="60s", soft_ttl="40s", key="v"), 10, "max-age=30, stale-if-error=20"),
        (lambda cache: cache.hit(ttl="60s", cache_hits=9, key="v"), 10, "max-age=50"),
    ],
)
async def test_a_response_tells_the_state_of_its_strategy(cache, clock, decorator, after, control):
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/", decorator(cache))
    response = await shop.get()
    if after:
        await clock.advance(after)
        response = await shop.get()
    assert response.headers["cache-control"] == f"private, {control}"
    ttl = f"ttl={control.partition(',')[0].removeprefix('max-age=')}"
    kind = f"hit; {ttl}" if after else f"fwd=miss; {ttl}; stored"
    detail = "; detail=early" if "revalidate" in control else "; detail=soft" if "error" in control else ""
    assert response.headers["cache-status"] == f"cashews; {kind}{detail}"


async def test_a_fallback_is_fresh_for_no_time(cache):
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/", cache.failover(ttl="1h", key="v"))
    assert (await shop.get()).headers["cache-control"] == "private, max-age=0, stale-if-error=3600"
    shop.failing = ValueError()
    fallen_back = await shop.get()
    assert fallen_back.headers["cache-control"] == "private, max-age=0, stale-if-error=3600"
    assert fallen_back.headers["cache-status"].endswith("; detail=failover")


async def test_what_the_application_says_stands_and_what_is_not_cached_is_no_cache(cache):
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/own", cache(ttl="1m", key="own"), **{"cache-control": "max-age=5"})
    shop.route("/plain", lambda function: function)
    assert (await shop.get("/own")).headers["cache-control"] == "max-age=5"
    assert (await shop.get("/plain")).headers["cache-control"] == "no-cache"
    assert "cache-control" not in (await shop.get("/missing")).headers


@pytest.mark.parametrize("control", ["no-cache", "max-age=1, NO-CACHE", "no-store"])
async def test_a_request_for_something_new(cache, control):
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/", cache(ttl="1m", key="v"))
    assert (await shop.get()).text == "1"
    assert (await shop.get(cache_control=control)).text == "2"
    assert (await shop.get()).text == ("1" if control == "no-store" else "2")


async def test_a_prefix_limits_what_a_request_can_switch_off(cache):
    cache.setup("mem://", prefix="fast:")
    shop = Shop(cache, (CONTROL, {"prefix_to_disable": "fast:"}))
    shop.route("/", cache(ttl="1m", key="slow:v"))
    shop.route("/fast", cache(ttl="1m", key="fast:v"))
    assert [(await shop.get(cache_control="no-cache")).text for _ in range(2)] == ["1", "1"]
    assert [(await shop.get("/fast", cache_control="no-cache")).text for _ in range(2)] == ["2", "3"]


@pytest.mark.parametrize(
    ("options", "control", "ttl"),
    [
        ({}, None, 240),
        ({}, "max-age=10", 10),
        ({}, "max-age=31536000", 240),
        ({}, "max-age=later", 0),
        ({"longest": "1h"}, "max-age=3000", 3000),
        ({"longest": "1h"}, "max-age=31536000", 3600),
    ],
)
async def test_a_request_may_shorten_a_ttl(cache, options, control, ttl):
    shop = Shop(cache, (CONTROL, {}))
    shop.route("/", cache(ttl=cache_control_ttl(default="4m", **options), key="v"))
    await (shop.get(cache_control=control) if control else shop.get())
    assert await cache.get_expire("v") == (ttl or -2)


async def test_a_ttl_outside_of_a_request_is_the_default(cache):
    @cache(ttl=cache_control_ttl("4m"), key="v")
    async def value():
        return 1

    await value()
    assert await cache.get_expire("v") == 240


async def test_a_max_age_holds_for_its_request_alone(cache, client_of):
    """Guarantee 33: also where one task serves several requests, one after the other."""

    @cache(ttl=cache_control_ttl("4m"), key="v:{path}")
    async def value(path):
        return path

    async def app(scope, _receive, send):
        await value(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = client_of(CacheRequestControlMiddleware(app, cache))
    await client.get("/first", cache_control="max-age=10")
    await client.get("/second")
    assert [await cache.get_expire(f"v:{path}") for path in ("/first", "/second")] == [10, 240]


async def test_nothing_is_left_of_a_request_that_has_ended(cache, client_of):
    """Neither in the context of its task nor in its scope; a detector of the caller's stays."""
    scopes = []

    async def app(scope, _receive, send):
        scopes.append(scope)
        if scope["path"] == "/fails":
            raise LookupError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = client_of(CacheRequestControlMiddleware(CacheEtagMiddleware(app, cache), cache))
    await client.get("/")
    with pytest.raises(LookupError):
        await client.get("/fails")
    assert AMBIENT.get() is None
    with cache.detect:
        before = AMBIENT.get()
        await client.get("/")
        assert AMBIENT.get() is before
    assert [scope["cashews.detectors"] for scope in scopes] == [{}, {}, {}]


async def test_an_entry_that_the_application_leaves_behind_stays(cache, client_of):
    detector = Detector()

    async def app(_scope, _receive, send):
        add("detectors", detector)
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    await client_of(CacheRequestControlMiddleware(app, cache)).get()
    assert AMBIENT.get().detectors == (detector,)
    take_back("detectors", detector)


# --- Clear-Site-Data


@pytest.mark.parametrize(
    ("field", "cleared"), [('"cache"', True), ("cache", True), ('"cookies", "*"', True), ('"cookies"', False)]
)
async def test_a_request_clears_what_it_comes_upon(cache, field, cleared):
    shop = Shop(cache, (DELETE, {}))
    shop.route("/", cache(ttl="1m", key="v"))
    assert [(await shop.get()).text for _ in range(2)] == ["1", "1"]
    assert (await shop.get(clear_site_data=field)).text == ("2" if cleared else "1")
    assert (await shop.get()).text == ("2" if cleared else "1")


async def test_a_request_that_clears_passes_no_rate_limit(cache):
    shop = Shop(cache, (DELETE, {}))
    shop.app.add_exception_handler(RateLimitError, rate_limit_handler)
    shop.route("/", cache.rate_limit(limit=1, period="1m", key="v"))
    statuses = [(await shop.get(clear_site_data='"cache"')).status_code for _ in range(2)]
    assert statuses == [200, 429]


# --- rate limits


async def test_a_refused_call_is_429_and_says_when_to_come_again(cache, clock):
    shop = Shop(cache, *ALL)
    shop.app.add_exception_handler(RateLimitError, rate_limit_handler)
    shop.route("/", cache.rate_limit(limit=1, period="1m", ttl="10m", key="v"))
    assert (await shop.get()).status_code == 200
    await shop.get()
    await clock.advance(100)
    refused = await shop.get()
    assert (refused.status_code, refused.json()) == (429, {"detail": "Too Many Requests"})
    assert refused.headers["retry-after"] == "500"
    assert refused.headers["ratelimit-policy"] == '"default";q=1;w=60'
    assert refused.headers["ratelimit"] == '"default";r=0;t=500'


async def test_a_refusal_without_end_has_the_longest_wait(cache):
    """A window lasts for ever if its key was given no time to live."""
    shop = Shop(cache, *ALL)
    shop.app.add_exception_handler(RateLimitError, rate_limit_handler)
    shop.route("/", cache.rate_limit(limit=1, period="1m", key="v"))
    assert (await shop.get()).status_code == 200
    for key in [key async for key in cache.scan("*")]:
        await cache.expire(key, None)
    refused = await shop.get()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, str(2**31))


# --- all together


async def test_all_three_over_every_kind_of_request(cache):
    shop = Shop(cache, *ALL)
    shop.route("/", cache(ttl="1m", key="v"))
    first = await shop.get()
    again = await shop.get(if_none_match=first.headers["etag"])
    assert again.status_code == 304
    assert again.headers["cache-control"] == "private, max-age=60"
    anew = await shop.get(if_none_match=first.headers["etag"], clear_site_data='"cache"')
    assert (anew.status_code, anew.text) == (200, "2")


async def test_other_scopes_pass(cache):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    for middleware in (CacheEtagMiddleware, CacheRequestControlMiddleware, CacheDeleteMiddleware):
        given = {"type": "websocket"}, object(), object()
        await middleware(app, cache)(*given)
        assert seen.pop() == given


def test_the_default_cache_is_the_ready_made_one():
    assert CacheEtagMiddleware(Origin()).cache is cashews.cache
    assert CacheRequestControlMiddleware(Origin()).cache is cashews.cache
