"""Requests that wait for one load, responses that do not become whole, and applications that fail."""

import logging
from collections import Counter

import anyio
import pytest

from cashews import Cache, Command
from cashews.contrib.asgi import HTTPCache
from cashews.exceptions import CacheBackendInteractionError
from cashews.testing import VirtualClock
from tests.contrib.asgi.world import Client, Origin, pairs_of, scope_of

MANY = 100


def app_of(*steps, **fields):
    """Return an application whose every call awaits some steps: bytes are sent, an exception is raised."""

    async def app(_, receive, send):
        app.calls += 1
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": pairs_of(fields)})
        for step in steps:
            if isinstance(step, bytes):
                await send({"type": "http.response.body", "body": step, "more_body": True})
            elif isinstance(step, Exception):
                raise step
            elif step is not None:
                await step()
        if None not in steps:
            await send({"type": "http.response.body", "body": b""})

    app.calls = 0
    return app


async def test_concurrent_requests_are_one_call(cache, client_of, clock):
    origin = Origin(cache_control="max-age=60")
    origin.gate = anyio.Event()
    client = client_of(HTTPCache(origin, cache))
    answers = [client.start() for _ in range(MANY)]
    await clock.settle()
    origin.gate.set()
    for answer in answers:
        await answer.ended.wait()
    assert origin.calls == 1
    assert {answer.body for answer in answers} == {b"1"}
    told = Counter(answer.told for answer in answers)
    assert told["fwd=uri-miss; ttl=60; collapsed"] == MANY - 1
    assert told["fwd=uri-miss; fwd-status=200; ttl=60; stored"] == 1


async def test_responses_for_one_client_each_are_loaded_in_parallel(cache, client_of, clock):
    origin = Origin(cache_control="private")
    client = client_of(HTTPCache(origin, cache))

    async def slowly(scope, receive, send):
        await clock.sleep(1)
        await origin(scope, receive, send)

    client = client_of(HTTPCache(slowly, cache))
    answers = [client.start() for _ in range(MANY)]
    await clock.advance(1)
    await clock.advance(1)
    assert len({answer.body for answer in answers}) == origin.calls == MANY
    again = [client.start() for _ in range(MANY)]
    await clock.advance(1)
    assert all(answer.whole.is_set() for answer in again)


async def test_requests_for_another_variant_do_not_get_the_first_one(cache, client_of, clock):
    origin = Origin(cache_control="max-age=60", vary="x")
    origin.gate = anyio.Event()
    client = client_of(HTTPCache(origin, cache))
    answers = [client.start(x=str(number % 4)) for number in range(20)]
    await clock.settle()
    origin.gate.set()
    for answer in answers:
        await answer.ended.wait()
    assert origin.calls == 4
    assert all(len({answer.body for answer in answers[number::4]}) == 1 for number in range(4))


async def test_a_client_that_leaves_hands_over_to_one_other(cache, tasks, clock):
    """Guarantee 9."""
    origin = Origin(cache_control="max-age=60")
    origin.gate = anyio.Event()
    http = HTTPCache(origin, cache)
    client = Client(http, tasks)
    leaving = anyio.CancelScope()

    async def leave():
        with leaving:
            await client.get()

    tasks.start_soon(leave)
    await clock.settle()
    answers = [client.start() for _ in range(10)]
    await clock.settle()
    leaving.cancel()
    await clock.settle()
    assert origin.calls == 2
    origin.gate.set()
    for answer in answers:
        await answer.ended.wait()
    assert origin.calls == 2
    assert {answer.body for answer in answers} == {b"2"}


async def test_a_client_that_is_gone_in_the_middle_of_a_body_hands_over_to_one_other(cache, client_of, clock):
    """Guarantee 9: the server says so with an error, and the application ends without the last message."""
    gate = anyio.Event()
    app = app_of(b"a", gate.wait, b"b", cache_control="max-age=60")
    http = HTTPCache(app, cache)
    client = client_of(http)
    sent = []

    async def gone(message):
        sent.append(message)
        if len(sent) > 2:
            raise BrokenPipeError

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def lead():
        with pytest.raises(BrokenPipeError):
            await http(scope_of("/", {}), receive, gone)

    client.tasks.start_soon(lead)
    await clock.settle()
    answers = [client.start() for _ in range(10)]
    await clock.settle()
    gate.set()
    for answer in answers:
        await answer.ended.wait()
    assert app.calls == 2
    assert {(answer.body, answer.error) for answer in answers} == {(b"ab", None)}


async def test_a_failing_application_fails_each_client_with_an_exception_of_its_own(cache, client_of, clock):
    """Guarantee 9."""
    origin = Origin()
    origin.gate, origin.failing = anyio.Event(), ValueError("no")
    client = client_of(HTTPCache(origin, cache))
    answers = [client.start() for _ in range(5)]
    await clock.settle()
    origin.gate.set()
    for answer in answers:
        await answer.ended.wait()
    assert origin.calls == 1
    assert {(type(answer.error), str(answer.error)) for answer in answers} == {(ValueError, "no")}
    assert len({id(answer.error) for answer in answers}) == 5


@pytest.mark.parametrize("last", [ValueError("no"), None], ids=["raises", "stops"])
async def test_a_response_that_does_not_become_whole_is_not_stored(cache, last):
    app = app_of(b"a", last, cache_control="max-age=60")
    client = Client(HTTPCache(app, cache))
    for _ in range(2):
        try:
            await client.get()
        except ValueError:
            assert last is not None
    assert app.calls == 2
    assert (await client.get(cache_control="only-if-cached")).status == 504


@pytest.mark.parametrize(("length", "calls"), [("2", 1), ("3", 2), ("1", 2)])
@pytest.mark.parametrize("pieces", [[b"ab"], [b"a", b"b"]])
async def test_a_body_has_the_length_that_it_says(cache, length, calls, pieces):
    app = app_of(*pieces, cache_control="max-age=60", content_length=length)
    client = Client(HTTPCache(app, cache))
    await client.get()
    await client.get()
    assert app.calls == calls


async def test_a_body_that_goes_on_behind_its_length_is_removed_with_new_variants_too(cache):
    fields = {"cache_control": "max-age=60", "content_length": "1", "vary": "x"}
    http = HTTPCache(app_of(b"a", **fields), cache)
    client = Client(http)
    await client.get(x="1")
    http.app = longer = app_of(b"a", b"b", **{**fields, "vary": "x, y"})
    for calls in (1, 2):
        await client.get(x="2")
        assert longer.calls == calls


async def test_a_response_is_stored_before_its_last_byte_is_sent(cache, client_of):
    """The client goes on at Content-Length bytes, whatever the application does behind them."""
    app = app_of(b"ab", anyio.sleep_forever, cache_control="max-age=60", content_length="2")
    client = client_of(HTTPCache(app, cache))
    await client.start().whole.wait()
    assert (await client.get()).told == "hit; ttl=60"
    assert app.calls == 1


async def test_background_work_holds_nobody(cache, client_of):
    origin = Origin(cache_control="max-age=60")

    async def app(scope, receive, send):
        await origin(scope, receive, send)
        await anyio.sleep_forever()

    client = client_of(HTTPCache(app, cache))
    await client.start().whole.wait()
    assert (await client.get()).body == b"1"


async def test_events_pass_at_once_and_nothing_of_them_is_stored(cache, client_of, clock):
    app = app_of(b"data: 1\n\n", anyio.sleep_forever, cache_control="max-age=60", content_type="text/event-stream")
    client = client_of(HTTPCache(app, cache))
    answers = [client.start() for _ in range(3)]
    await clock.settle()
    assert [answer.body for answer in answers] == [b"data: 1\n\n"] * 3
    assert app.calls == 3
    assert await cache.get_keys_count() == 0


async def test_a_stream_passes_while_it_is_stored(cache, client_of, clock):
    gate = anyio.Event()
    app = app_of(b"a", gate.wait, b"b", cache_control="max-age=60")
    client = client_of(HTTPCache(app, cache))
    answer = client.start()
    await clock.settle()
    assert answer.body == b"a"
    gate.set()
    await answer.ended.wait()
    assert (await client.get()).body == b"ab"
    assert app.calls == 1


@pytest.mark.parametrize("fields", [{}, {"content_length": "4"}])
async def test_a_body_that_is_too_long_passes_and_is_not_stored(cache, client_of, clock, fields):
    app = app_of(b"ab", b"cd", anyio.sleep_forever, cache_control="max-age=60", **fields)
    client = client_of(HTTPCache(app, cache, max_body=3))
    answers = [client.start() for _ in range(3)]
    await clock.settle()
    assert [answer.body for answer in answers] == [b"abcd"] * 3
    assert await cache.get_keys_count() == 0


async def test_a_stale_response_is_served_while_a_new_one_is_loaded(cache, clock):
    """Guarantee 11."""
    origin = Origin(cache_control="max-age=10, stale-while-revalidate=10")
    client = Client(HTTPCache(origin, cache))
    await client.get(cookie="a", range="bytes=0-0")
    await client.get()
    await clock.advance(11)
    assert (await client.get(method="HEAD", if_none_match='"x"')).told == "hit; ttl=-1"
    await clock.settle()
    assert (origin.calls, origin.methods[-1]) == (2, "GET")
    assert (await client.get()).body == b"2"
    await clock.advance(11)
    assert (await client.get(range="bytes=0-0", if_none_match='"x"')).status == 206
    await clock.settle()
    assert origin.calls == 3
    assert not {"range", "if-none-match"} & set(map(bytes.decode, dict(origin.requests[-1].pairs)))


async def test_a_refresh_of_a_response_without_end_ends(cache, clock):
    """Guarantee 11: the worker of a refresh is not held by a stream that nobody reads."""
    left = []
    fields = {"cache_control": "max-age=10, stale-while-revalidate=100"}
    http = HTTPCache(Origin(**fields), cache)
    client = Client(http)
    await client.get()
    await clock.advance(11)

    async def endless(_scope, receive, send):
        await receive()
        headers = pairs_of({**fields, "content_type": "text/event-stream"})
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
                await anyio.lowlevel.checkpoint()
        finally:
            left.append((await receive())["type"])

    http.app = endless
    assert (await client.get()).body == b"1"
    await clock.settle()
    assert left == ["http.disconnect"]
    assert cache.statistics().refreshes["pending"] == 0
    assert (await client.get(cache_control="only-if-cached")).status == 504


async def test_a_request_that_is_cancelled_while_it_takes_its_lock_leaves_none(clock):
    """The answer of the store is on its way when the client leaves."""
    taken = anyio.Event()

    async def slow(call, cmd, _backend, *args, **kwargs):
        await anyio.lowlevel.checkpoint()
        reply = await call(*args, **kwargs)
        if cmd is Command.SET_LOCK:
            taken.set()
            await anyio.sleep_forever()
        return reply

    async with Cache.open("mem://", middlewares=[slow], clock=clock) as cache:
        client = Client(HTTPCache(Origin(cache_control="max-age=60"), cache, lock=True))
        async with anyio.create_task_group() as group:
            group.start_soon(client.get)
            await taken.wait()
            group.cancel_scope.cancel()
        assert [lock async for lock in cache.locks()] == []


@pytest.mark.parametrize("margin", ["", ", stale-if-error=100"])
async def test_a_refresh_that_fails_leaves_the_stale_response(cache, clock, caplog, margin):
    origin = Origin(cache_control=f"max-age=10, stale-while-revalidate=100{margin}")
    client = Client(HTTPCache(origin, cache))
    await client.get()
    await clock.advance(11)
    for failing, status in ((ValueError("no"), 200), (None, 503)):
        origin.failing, origin.status, origin.fields = failing, status, {}
        with caplog.at_level(logging.CRITICAL, "cashews"):
            assert (await client.get()).body == b"1"
            await clock.advance(5)
    assert (await client.get()).body == b"1"


@pytest.mark.parametrize("failure", [ValueError("no"), 500, 502, 503, 504])
async def test_a_stale_response_stands_in_for_a_failing_application(cache, clock, caplog, failure):
    """RFC 5861, 4."""
    for name, directives in (("may", "max-age=10"), ("may not", "max-age=10, must-revalidate")):
        origin = Origin(cache_control=directives)
        client = Client(HTTPCache(origin, cache, stale_if_error=60, prefix=f"{name}:"))
        await client.get()
        await clock.advance(11)
        origin.failing = failure if isinstance(failure, Exception) else None
        origin.status = 200 if origin.failing else failure
        with caplog.at_level(logging.CRITICAL, "cashews"):
            if name == "may":
                answer = await client.get()
                assert (answer.status, answer.body) == (200, b"1")
                status = "" if origin.failing else f" fwd-status={failure};"
                assert answer.told == f"fwd=stale;{status} ttl=-1; detail=stale-if-error"
            elif origin.failing:
                with pytest.raises(ValueError, match="no"):
                    await client.get()
            else:
                assert (await client.get()).status == failure


async def test_an_application_that_answers_500_and_raises_is_stood_in_for(cache, clock):
    """As frameworks do that tell the server of an exception once they have answered."""
    origin = Origin(cache_control="max-age=10, stale-if-error=60")

    async def app(scope, receive, send):
        await origin(scope, receive, send)
        if origin.status == 500:
            raise ValueError

    client = Client(HTTPCache(app, cache))
    await client.get()
    await clock.advance(11)
    origin.status = 500
    assert (await client.get()).body == b"1"


async def test_other_scopes_and_messages_pass_as_they_are(cache):
    scopes = []

    async def app(scope, _, send):
        scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.early_hint", "links": []})
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"1"})
            await send({"type": "http.response.trailers", "headers": []})

    http = HTTPCache(app, cache)
    for kind in ("lifespan", "websocket"):
        scope = {"type": kind}
        await http(scope, None, None)
        assert scopes[-1] is scope
        assert scope == {"type": kind}
    extensions = {"http.response.pathsend": {}, "http.response.zerocopysend": {}, "http.response.early_hint": {}}
    answer = await Client(http).get(extensions=extensions)
    assert [message["type"] for message in answer.other] == ["http.response.early_hint", "http.response.trailers"]
    assert list(scopes[-1]["extensions"]) == ["http.response.early_hint"]
    assert scopes[-1]["cashews.http"] is http


async def test_a_response_with_trailers_is_not_stored(cache):
    calls = []

    async def app(_scope, _receive, send):
        calls.append(1)
        headers = pairs_of({"cache_control": "max-age=60"})
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": b"1"})

    client = Client(HTTPCache(app, cache))
    await client.get()
    await client.get()
    assert len(calls) == 2


async def test_each_client_has_fields_of_its_own(cache):
    seen = []
    http = HTTPCache(Origin(cache_control="max-age=60"), cache)

    async def outer(scope, receive, send):
        async def spoiling(message):
            if message["type"] == "http.response.start":
                seen.append(len(message["headers"]))
                message["headers"].append((b"x", b"1"))
            await send(message)

        await http(scope, receive, spoiling)

    client = Client(outer)
    for _ in range(4):
        await client.get()
    assert len(set(seen[1:])) == 1


async def test_a_store_that_is_down_costs_no_request_its_answer(caplog):
    """Guarantees 29 and 33."""

    async def down(call, cmd, _backend, *args, **kwargs):
        if outage:
            raise CacheBackendInteractionError(cmd.value)
        return await call(*args, **kwargs)

    outage = []
    async with Cache.open("mem://", middlewares=[down], clock=VirtualClock()) as cache:
        origin = Origin(cache_control="max-age=60", vary="x", cache_tag="t")
        http = HTTPCache(origin, cache)
        client = Client(http)
        await client.get()
        outage.append(True)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "cashews"):
            assert [(await client.get()).body for _ in range(3)] == [b"2", b"3", b"4"]
            assert (await client.get(method="POST")).status == 200
            await http.purge("http://example.org/", soft=True)
        assert len(caplog.records) == 1
        outage.clear()
        assert (await client.get()).body == b"1"
        outage.append(True)
        with caplog.at_level(logging.WARNING, "cashews"):
            await client.get()
        assert len(caplog.records) == 2


async def test_a_closed_cache_costs_no_request_its_answer(caplog):
    cache = Cache.open("mem://", clock=VirtualClock())
    client = Client(HTTPCache(Origin(cache_control="max-age=60"), cache))
    async with cache:
        await client.get()
    with caplog.at_level(logging.CRITICAL, "cashews"):
        assert [(await client.get()).body for _ in range(2)] == [b"2", b"3"]


async def test_a_damaged_response_is_a_miss(cache):
    origin = Origin(cache_control="max-age=60")
    client = Client(HTTPCache(origin, cache))
    await client.get()
    (key,) = [key async for key in cache.scan("http:*")]
    whole = await cache.get(key)
    for number, damaged in enumerate((whole[:-1], whole[:30], b"", "text", None, {"a": 1}, [whole]), start=2):
        await cache.set(key, damaged)
        assert (await client.get()).body == b"%d" % number


@pytest.mark.parametrize("lock", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_application_may_ask_itself(cache, lock, elsewhere):
    """Guarantee 9: a load waits for itself no more than for others that wait for it."""

    async def app(_scope, _receive, send):
        app.calls += 1
        inner = b""
        if app.calls == 1:
            async with anyio.create_task_group() as tasks:
                answer = Client(http, tasks).start() if elsewhere else await Client(http).get()
            inner = answer.body
        await send({"type": "http.response.start", "status": 200, "headers": pairs_of({"cache_control": "max-age=60"})})
        await send({"type": "http.response.body", "body": inner + b"%d" % app.calls})

    app.calls = 0
    http = HTTPCache(app, cache, lock=lock)
    assert (await Client(http).get()).body == b"22"
    assert [held async for held in cache.locks()] == []
