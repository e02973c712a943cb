"""Requests that try to be taken for others, and requests that end at a bad moment."""

import anyio
import pytest

from cashews import Cache, Command
from cashews.contrib.asgi import HTTPCache
from tests.contrib.asgi.world import Client, Origin, scope_of

STRANGE = [
    {"host": "example.org/a", "path": "/b"},
    {"host": "example.org", "path": "a/b"},
    {"host": "example.", "path": "org/a/b"},
    {"host": "example.org/a/b?", "path": "/"},
    {"host": "example.org/a/b#", "path": "/"},
    {"host": "example.org\\a", "path": "/b"},
    {"host": "user@example.org", "path": "/a/b"},
    {"host": "example.org/a/b ", "path": ""},
]


async def respond(app, scope):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return b"".join([message.get("body", b"") for message in sent])


def request_of(*, host, path):
    return {**scope_of("/", {}, host=host), "path": path, "raw_path": path.encode()}


@pytest.mark.parametrize("strange", STRANGE, ids=str)
async def test_no_request_is_stored_as_another(cache, strange):
    """Guarantee 33: a host or a path that is none must not give others its response."""
    http = HTTPCache(Origin(cache_control="max-age=60"), cache)
    assert await respond(http, request_of(**strange)) == b"1"
    assert await respond(http, request_of(host="example.org", path="/a/b")) == b"2"
    assert await respond(http, request_of(**strange)) == b"1"


@pytest.mark.parametrize("host", ["EXAMPLE.org:80", "[::1]", "[::1]:8000", "xn--bcher-kva.example", "a_b.example", ""])
async def test_a_host_stands_in_the_key_as_it_is(cache, host):
    http = HTTPCache(Origin(cache_control="max-age=60"), cache)
    await respond(http, request_of(host=host, path="/a"))
    (key,) = [key async for key in cache.scan("http:*")]
    assert key == f"http:http://{host.lower().removesuffix(':80') or '127.0.0.1'}/a"
    await http.purge(key.removeprefix("http:"))
    assert await cache.get_keys_count() == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("fields", [{}, {"range": "bytes=0-1"}, {"authorization": "x"}, {"if_match": '"a"'}])
async def test_every_endpoint_finds_the_cache_in_its_scope(cache, method, fields):
    origin = Origin()
    http = HTTPCache(origin, cache)
    await Client(http).get(method=method, **fields)
    assert [scope["cashews.http"] for scope in origin.scopes] == [http]


async def test_a_client_that_leaves_while_its_change_is_carried_out_leaves_no_old_response(clock):
    """The application has changed something: the cache must not lose that."""
    asked = anyio.Event()

    async def slow(call, cmd, _backend, *args, **kwargs):
        if cmd in {Command.DELETE_TAGS, Command.DELETE_MANY} and not asked.is_set():
            asked.set()
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[slow], clock=clock) as cache:
        client = Client(HTTPCache(Origin(cache_control="max-age=60"), cache))
        assert (await client.get()).body == b"1"
        async with anyio.create_task_group() as group:

            async def change():
                await client.get(method="POST")

            group.start_soon(change)
            await asked.wait()
            group.cancel_scope.cancel()
        assert (await client.get()).body == b"3"
