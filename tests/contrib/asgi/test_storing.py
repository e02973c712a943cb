"""Responses that are stored, served, told apart and invalidated: guarantee 33, request by request."""

from functools import partial

import anyio
import http_sf
import pytest

from cashews import Cache, Command
from cashews.contrib.asgi import HTTPCache
from cashews.exceptions import WrongArgumentError
from tests.contrib.asgi.world import Client, Origin, memory

TAGGED = {"cache_control": "max-age=60", "etag": '"a"'}


def asked(app, cache, **options):
    return Client(HTTPCache(app, cache, **options))


async def test_the_second_request_is_a_hit_with_an_age(cache, clock):
    origin = Origin(cache_control="max-age=60", x="1")
    client = asked(origin, cache)
    first = await client.get("/a")
    await clock.advance(10)
    second = await client.get("/a")
    assert (first.body, second.body, origin.calls) == (b"1", b"1", 1)
    assert (first["age"], second["age"], second["x"]) == (None, "10", "1")
    assert first.told == "fwd=uri-miss; fwd-status=200; ttl=60; stored"
    assert second.told == "hit; ttl=50"


async def test_a_stale_response_is_asked_about_and_freshened(cache, clock):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    await client.get()
    await clock.advance(61)
    answer = await client.get()
    assert (answer.status, answer.body, origin.calls) == (200, b"1", 2)
    assert origin.requests[1].get("if-none-match") == '"a"'
    assert answer.told == "fwd=stale; fwd-status=304; ttl=60; stored"
    assert (await client.get()).told == "hit; ttl=60"


async def test_a_304_about_another_response_has_the_application_asked_again(cache, clock):
    calls = []

    async def app(scope, receive, send):
        calls.append((await receive(), dict(scope["headers"]).get(b"if-none-match")))
        status, tag = ((200, b'"a"'), (304, b'"b"'), (200, b'"b"'))[len(calls) - 1]
        headers = [(b"etag", tag), (b"cache-control", b"max-age=60")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if status == 304 else tag})

    client = asked(app, cache)
    await client.get()
    await clock.advance(61)
    assert (await client.get()).body == b'"b"'
    request = {"type": "http.request", "body": b"", "more_body": False}
    assert calls == [(request, None), (request, b'"a"'), (request, None)]
    assert (await client.get()).body == b'"b"'


async def test_the_clients_conditions_are_answered_by_the_cache(cache):
    fields = {"expires": "x", "vary": "z", "content_location": "/", "date": "Fri, 15 Jan 2027 08:00:00 GMT"}
    origin = Origin(**TAGGED, **fields, content_type="text/plain", access_control_allow_origin="*")
    client = asked(origin, cache)
    for told in ("fwd=uri-miss; fwd-status=200; ttl=60; stored", "hit; ttl=60"):
        answer = await client.get(if_none_match='W/"a"')
        assert (answer.status, answer.body, answer.told) == (304, b"", told)
        for name in ("etag", "cache-control", "vary", "expires", "content-location", "date"):
            assert answer[name] is not None
        assert (answer["access-control-allow-origin"], answer["content-type"]) == ("*", None)
    assert "if-none-match" not in origin.requests[0]


async def test_a_part_comes_from_the_stored_whole(cache):
    client = asked(Origin(**TAGGED, body=b"0123456789"), cache)
    await client.get()
    part = await client.get(range="bytes=2-4")
    assert (part.status, part.body, part["content-range"], part["content-length"]) == (206, b"234", "bytes 2-4/10", "3")
    beyond = await client.get(range="bytes=10-")
    assert (beyond.status, beyond["content-range"], beyond.body) == (416, "bytes */10", b"")
    assert (await client.get(range="bytes=2-4", if_range='W/"a"')).status == 200
    assert (await client.get(range="bytes=2-4", if_none_match='"a"')).status == 304


async def test_head_is_answered_from_a_stored_get_and_stores_nothing(cache):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    assert (await client.get(method="HEAD")).told == "fwd=uri-miss; fwd-status=200"
    await client.get()
    head = await client.get(method="HEAD", range="bytes=0-0")
    assert (head.status, head.body, head["content-length"], origin.calls) == (200, b"", "1", 2)


async def test_a_body_comes_in_pieces_of_a_bounded_size(cache):
    client = asked(Origin(**TAGGED, body=b"0123456789"), cache, chunk=5)
    await client.get()
    assert (await client.get()).pieces == [b"01234", b"56789"]
    client = asked(Origin(**TAGGED, body=b"0123456789"), cache, chunk=3)
    assert (await client.get()).pieces == [b"012", b"345", b"678", b"9"]


async def test_other_hosts_schemes_and_escapes_are_other_entries(cache):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    requests = [{}, {"host": "other.org"}, {"scheme": "https"}, {"path": "/a%2Fb"}, {"path": "/a/b"}, {"path": "/?a"}]
    bodies = [(await client.get(**each)).body for each in requests * 2]
    assert bodies == [b"1", b"2", b"3", b"4", b"5", b"6"] * 2
    assert (await client.get(host="EXAMPLE.org:80")).body == b"1"


async def test_a_query_is_as_it_came_unless_a_rule_says_otherwise(cache):
    plain = asked(Origin(**TAGGED), cache)
    assert [(await plain.get(path)).body for path in ("/?a=1&b=2", "/?b=2&a=1")] == [b"1", b"2"]
    ruled = asked(Origin(**TAGGED), cache, prefix="ruled:", query={"ignore": ("utm_*",), "sort": True})
    paths = ("/?a=1&b=2", "/?b=2&utm_source=x&a=1", "/?b=2")
    assert [(await ruled.get(path)).body for path in paths] == [b"1", b"1", b"2"]


async def test_an_addition_to_the_key_keeps_tenants_apart_and_none_lets_pass(cache):
    def tenant(scope):
        return {b"x": "", b"y": "y", b"z": None}[dict(scope["headers"])[b"tenant"]]

    client = asked(Origin(**TAGGED), cache, key=tenant)
    assert [(await client.get(tenant=each)).body for each in "xyxyzz"] == [b"1", b"2", b"1", b"2", b"3", b"4"]
    assert (await client.get(tenant="z")).told == "fwd=bypass; fwd-status=200"


@pytest.mark.parametrize("soft", [False, True])
async def test_a_purge_by_address_is_about_every_tenant(cache, clock, soft):
    origin = Origin(cache_control="max-age=60")
    http = HTTPCache(origin, cache, key=lambda scope: dict(scope["headers"])[b"tenant"].decode())
    client = Client(http)
    for tenant in "ab":
        await client.get(tenant=tenant)
        await client.get("/b", tenant=tenant)
    await http.purge("http://example.org/", soft=soft)
    for tenant in "ab":
        await client.get(tenant=tenant)
        await clock.settle()
    assert [(await client.get(tenant=tenant)).body for tenant in "ab"] == [b"5", b"6"]
    assert [(await client.get("/b", tenant=tenant)).body for tenant in "ab"] == [b"2", b"4"]


async def test_a_key_function_that_fails_leaves_its_request_alone(cache, caplog):
    """Guarantee 33: it meets the fields of strangers."""

    def tenant(scope):
        return dict(scope["headers"])[b"tenant"].decode()

    client = asked(Origin(**TAGGED), cache, key=tenant)
    with caplog.at_level("WARNING", "cashews"):
        assert [(await client.get()).told for _ in range(2)] == ["fwd=bypass; fwd-status=200"] * 2
        assert (await client.get(method="POST")).status == 200
    assert len(caplog.records) == 1
    assert [(await client.get(tenant="a")).body for _ in range(2)] == [b"4", b"4"]


async def test_variants_are_stored_side_by_side(cache):
    origin = Origin(**TAGGED, vary="accept-language, x")
    client = asked(origin, cache)
    requests = [{"accept_language": "en, de"}, {"accept_language": "fr"}, {"accept_language": "fr", "x": "1"}]
    assert [(await client.get(**each)).body for each in requests * 2] == [b"1", b"2", b"3"] * 2
    assert (await client.get(accept_language="DE,en")).body == b"1"
    assert (await client.get(accept_language="it")).told == "fwd=vary-miss; fwd-status=200; ttl=60; stored"


async def test_a_variant_that_is_fresh_for_longer_than_the_others_is_found_as_long(cache, clock):
    origin = Origin(cache_control="max-age=10", vary="x")
    client = asked(origin, cache)
    await client.get(x="1")
    origin.fields["cache_control"] = "max-age=1000"
    await client.get(x="2")
    await clock.advance(500)
    assert (await client.get(x="2")).told == "hit; ttl=500"


async def test_the_number_of_variants_is_bounded(cache):
    client = asked(Origin(**TAGGED, vary="x"), cache, max_variants=3)
    for number in range(20):
        await client.get(x=str(number))
    answers = [await client.get(x=str(number), cache_control="only-if-cached") for number in range(20)]
    stored = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert 1 <= len(stored) <= 3
    assert stored[-1] == 19


@pytest.mark.parametrize(
    ("response", "request_fields"),
    [
        ({"cache_control": "max-age=60", "set_cookie": "a=b"}, {}),
        ({"cache_control": "max-age=60"}, {"authorization": "x"}),
        ({"cache_control": "private, max-age=60"}, {}),
        ({"etag": '"1"'}, {"cookie": "user=1"}),
    ],
)
async def test_two_users_never_share_what_is_not_shared(cache, response, request_fields):
    """Guarantee 33, in the default profile."""
    client = asked(Origin(**response), cache)
    assert [(await client.get(**request_fields)).body for _ in range(2)] == [b"1", b"2"]


async def test_a_cookie_that_is_public_is_stored_and_any_by_the_letter(cache):
    for origin, options in (
        (Origin(cache_control="max-age=60, public", set_cookie="a=b"), {}),
        (Origin(cache_control="max-age=60", set_cookie="a=b"), {"profile": "rfc", "prefix": "rfc:"}),
    ):
        client = asked(origin, cache, **options)
        await client.get()
        assert (await client.get())["set-cookie"] == "a=b"
        assert origin.calls == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "M-SEARCH"])
async def test_an_unsafe_request_that_succeeds_removes_the_response(cache, method):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    await client.get()
    origin.status = 500
    await client.get(method=method)
    assert (await client.get()).body == b"1"
    origin.status = 201
    assert (await client.get(method=method)).told == "fwd=method; fwd-status=201"
    assert (await client.get()).body == b"4"


async def test_an_unsafe_request_removes_the_places_that_its_answer_names(cache):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    paths = ("/a", "/b", "/c")
    for path in paths:
        await client.get(path)
    await client.get("/c", host="other.org")
    origin.fields = {"location": "/a", "content_location": "http://example.org/b"}
    await client.get("/x", method="POST")
    origin.fields = {"location": "http://other.org/c"}
    await client.get("/x", method="POST")
    origin.fields = TAGGED
    assert [(await client.get(path)).body for path in paths] == [b"7", b"8", b"3"]
    assert (await client.get("/c", host="other.org")).body == b"4"


async def test_purge_by_address_tag_and_pattern(cache):
    origin = Origin(**TAGGED, vary="x", cache_tag="one, two")
    http = HTTPCache(origin, cache)
    client = Client(http)

    async def calls_after(purging):
        await client.get("/a", x="1")
        await client.get("/a", x="2")
        before = origin.calls
        await purging
        await client.get("/a", x="1")
        await client.get("/a", x="2")
        return origin.calls - before

    assert await calls_after(http.purge("http://EXAMPLE.org:80/a#x")) == 2
    assert await calls_after(http.purge(tag="two")) == 2
    assert await calls_after(cache.delete_tags("one")) == 2
    assert await calls_after(http.purge(match="http://example.org/*")) == 2
    assert await calls_after(http.purge("http://example.org/b")) == 0
    assert await calls_after(http.purge(tag="three")) == 0
    with pytest.raises(WrongArgumentError):
        await http.purge()
    with pytest.raises(WrongArgumentError):
        await http.purge("/a")


@pytest.mark.parametrize("purging", [{"url": "http://example.org/"}, {"tag": "t"}, {"match": "http://*"}])
async def test_a_soft_purge_serves_once_more_and_refreshes(cache, clock, purging):
    origin = Origin(cache_control="max-age=60", cache_tag="t", vary="x")
    http = HTTPCache(origin, cache)
    client = Client(http)
    await client.get(x="1")
    await http.purge(**purging, soft=True)
    assert (await client.get(x="1")).body == b"1"
    await clock.settle()
    assert (await client.get(x="1")).body == b"2"
    assert origin.calls == 2
    await clock.advance(61)
    assert await cache.get_key_tags("x") == ()


@pytest.mark.parametrize("waiting", [Command.GET_EXPIRE, Command.GET])
async def test_a_soft_purge_leaves_a_response_alone_that_comes_meanwhile(clock, tasks, waiting):
    """The purge has read the old one, and waits while another request stores the new one."""
    gates = []

    async def slow(call, cmd, _backend, *args, **kwargs):
        reply = await call(*args, **kwargs)
        if cmd is waiting and gates:
            await gates.pop().wait()
        return reply

    async with Cache.open("mem://", middlewares=[slow], clock=clock) as cache:
        origin = Origin(cache_control="max-age=60")
        http = HTTPCache(origin, cache, trust_requests=True)
        client = Client(http)
        await client.get()
        gate = anyio.Event()
        gates.append(gate)
        tasks.start_soon(partial(http.purge, "http://example.org/", soft=True))
        await clock.settle()
        assert (await client.get(cache_control="no-cache")).body == b"2"
        gate.set()
        await clock.settle()
        assert [(await client.get()).body for _ in range(2)] == [b"2", b"2"]
        await clock.settle()
        assert origin.calls == 2


@pytest.mark.parametrize("which", [{"url": "http://example.org/"}, {"tag": "t"}, {"match": "http://*"}])
@pytest.mark.parametrize("how", [{}, {"soft": True}])
@pytest.mark.parametrize("varies", [(), ("x", "x"), ("x", "x, y")])
async def test_a_load_from_before_a_purge_is_neither_stored_nor_shared(cache, client_of, which, how, varies):
    """Guarantee 10, also where one variant is stored and another one is loaded."""
    origin = Origin(cache_control="max-age=60", cache_tag="t")
    http = HTTPCache(origin, cache)
    client = client_of(http)
    if varies:
        origin.fields["vary"], later = varies
        await client.get(x="1")
        origin.fields["vary"] = later
    origin.gate = gate = anyio.Event()
    old = client.start(x="2")
    await http.responses.clock.settle()
    await http.purge(**which, **how)
    origin.gate = None
    new = client.start(x="2")
    await http.responses.clock.settle()
    assert new.whole.is_set()
    gate.set()
    await old.ended.wait()
    assert int(new.body) == int(old.body) + 1
    assert (await client.get(x="2")).body == new.body


@pytest.mark.parametrize("how", [{}, {"soft": True}])
async def test_a_tag_of_very_many_addresses_is_purged_in_steps(clock, tasks, how):
    """Guarantee 25."""
    many, turns = 5_000, []

    async def count():
        while True:
            turns.append(1)
            await anyio.lowlevel.checkpoint()

    async with memory(clock, size=many) as cache:
        client = Client(http := HTTPCache(Origin(cache_control="max-age=60", cache_tag="t"), cache))
        for number in range(many):
            await client.get(f"/{number}")
        tasks.start_soon(count)
        await anyio.lowlevel.checkpoint()
        turns.clear()
        await http.purge(tag="t", **how)
        assert len(turns) > 2
        assert (await client.get("/0")).told.startswith("hit; ttl=60" if how else "fwd=uri-miss")


async def test_groups_are_removed_within_their_origin(cache):
    """RFC 9875."""
    origin = Origin(cache_control="max-age=60", cache_groups='"g"')
    client = asked(origin, cache)
    places = [("/a", "one.org"), ("/b", "one.org"), ("/a", "two.org")]
    for path, host in places:
        await client.get(path, host=host)
    origin.fields["cache_group_invalidation"] = '"g"'
    await client.get("/x", host="one.org", method="POST")
    assert [(await client.get(path, host=host)).body for path, host in places] == [b"5", b"6", b"3"]


async def test_what_is_invalidated_while_it_is_loaded_is_served_and_not_stored(cache, client_of, clock):
    """Guarantee 10."""
    origin = Origin(cache_control="max-age=60", cache_tag="t")
    http = HTTPCache(origin, cache)
    client = client_of(http)
    for number, invalidate in enumerate((cache.delete_tags, None)):
        origin.gate = anyio.Event()
        old = client.start()
        await clock.settle()
        if invalidate is None:
            origin.gate, gate = None, origin.gate
            await client.get(method="POST")
            gate.set()
        else:
            await invalidate("t")
            origin.gate.set()
        await old.ended.wait()
        assert old.status == 200
        origin.gate = None
        assert (await client.get(cache_control="only-if-cached")).status == 504, number


async def test_a_request_for_the_store_alone(cache):
    """RFC 9111, 5.2.1.7."""
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    answer = await client.get(cache_control="only-if-cached")
    assert (answer.status, answer.told, origin.calls) == (504, "detail=only-if-cached", 0)
    await client.get()
    assert (await client.get(cache_control="only-if-cached")).body == b"1"


async def test_clients_are_obeyed_if_they_are_trusted(cache):
    for trusted, calls in ((False, 1), (True, 2)):
        origin = Origin(cache_control="max-age=60")
        client = asked(origin, cache, trust_requests=trusted, prefix=f"{trusted}:")
        await client.get()
        answer = await client.get(cache_control="no-cache")
        assert origin.calls == calls
        assert answer.told.startswith("fwd=request" if trusted else "hit")


async def test_a_request_with_content_or_a_precondition_is_the_applications(cache):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    for fields in ({"content_length": "1"}, {"transfer_encoding": "chunked"}, {"if_match": '"a"'}):
        assert (await client.get(**fields)).told == "fwd=bypass; fwd-status=200"
    assert (await client.get()).body == b"4"


async def test_a_cache_that_is_switched_off_lets_everything_pass(cache):
    origin = Origin(**TAGGED)
    client = asked(origin, cache)
    await client.get()
    with cache.disabling():
        assert (await client.get()).told == "fwd=bypass; fwd-status=200"
    assert (await client.get()).body == b"1"


async def test_the_account_is_a_structured_field_in_every_outcome(cache, clock):
    origin = Origin(cache_control="max-age=1, stale-while-revalidate=1", cache_status="upstream; hit")
    client = asked(origin, cache, name='my "cache"', status="full")
    answers = [await client.get(), await client.get()]
    await clock.advance(1)
    answers += [await client.get(), await client.get(method="POST"), await client.get(if_match="*")]
    answers += [await client.get(cache_control="only-if-cached")]
    for answer in answers:
        value, parameters = http_sf.parse(answer["cache-status"].encode(), tltype="list")[-1]
        assert value == 'my "cache"'
        assert parameters["key"] == "http:http://example.org/"
    assert answers[0]["cache-status"].startswith("upstream; hit, ")
    silent = asked(origin, cache, status=False, prefix="silent:")
    assert (await silent.get(method="PUT"))["cache-status"] == "upstream; hit"


async def test_a_targeted_field_goes_before_the_others_if_it_is_valid(cache):
    """RFC 9213."""
    for value, calls in (("max-age=60", 1), ("max-age=60, &&", 2)):
        origin = Origin(cache_control="no-store", cashews_cache_control=value)
        client = asked(origin, cache, prefix=f"{value}:")
        answer = await client.get()
        await client.get()
        assert origin.calls == calls
        assert answer["cashews-cache-control"] is None


@pytest.mark.parametrize(
    "options",
    [{"profile": "x"}, {"max_body": -1}, {"chunk": 0}, {"max_variants": 0}, {"query": {"x": 1}}, {"name": 1}],
)
async def test_a_wrong_option_is_refused(cache, options):
    with pytest.raises(WrongArgumentError):
        HTTPCache(Origin(), cache, **options)


async def test_outcomes_are_counted(cache):
    http = HTTPCache(Origin(**TAGGED), cache)
    client = Client(http)
    for method in ("GET", "GET", "HEAD", "POST"):
        await client.get(method=method)
    assert http.statistics() == {"misses": 1, "hits": 2, "passed": 1}
