"""Passwords, secrets, tokens and values: markers planted everywhere, and looked for in all that is printed."""

from __future__ import annotations

import logging
import traceback
from urllib.parse import quote

import anyio
import pytest
from redis.credentials import UsernamePasswordCredentialProvider

from cashews import Cache
from cashews.exceptions import CacheError
from tests.faults.replying import GREETING, Replying
from tests.internals import inside

pytestmark = pytest.mark.redis

PASSWORD, SECRET, TOKEN, VALUE = MARKERS = ("Mp4ssw0rd'`,%", "Ms3cret", "Mt0ken", "Mv4lue")
DECIMAL = b"12"


class Exotic:
    """A value that cannot be encoded, and whose text is the value."""

    def __repr__(self):
        return VALUE

    def __reduce__(self):
        raise TypeError


def shown(errors, log, *objects):
    """Return all that a program or its log can see of some errors and objects."""
    texts = ["".join(traceback.format_exception(error)) for error in errors]
    return "\n".join([*texts, log, *map(repr, objects), *map(str, objects)])


def assert_hidden(text):
    for marker in MARKERS:
        for form in {marker, quote(marker, safe=""), repr(marker)[1:-1], marker.encode().hex()}:
            lines = [line for line in text.splitlines() if form in line]
            assert lines == []


class Echoing(Replying):
    """A server without the commands that it is asked for: it repeats their arguments, as servers of old do.

    :param greets: that it knows HELLO, and refuses only what comes behind
    """

    def __init__(self, *, greets, mark="'"):
        self.greets = greets
        self.mark = mark
        self.asked = set()

    def _reply(self, words):
        self.asked.add(words[0])
        if self.greets and words[0] == b"HELLO":
            return GREETING
        mark = self.mark.encode()
        echo = b" ".join(mark + word + mark for word in words[1:])
        return b"-ERR unknown command " + mark + words[0] + mark + b", with args beginning with: " + echo + b"\r\n"


class Repeating(Echoing):
    """A server that repeats them in words of its own."""

    def _reply(self, words):
        self.asked.add(words[0])
        return b"-ERR no " + b" ".join(words) + b" here\r\n"


LOGINS = {
    "url": lambda port: (f"redis://user:{quote(PASSWORD, safe='')}@127.0.0.1:{port}", {}),
    "query": lambda port: (f"redis://127.0.0.1:{port}?password={quote(PASSWORD, safe='')}", {}),
    "keyword": lambda port: (f"redis://127.0.0.1:{port}", {"password": PASSWORD}),
    "provider": lambda port: (
        f"redis://127.0.0.1:{port}",
        {"credential_provider": UsernamePasswordCredentialProvider("user", PASSWORD)},
    ),
    "resp2": lambda port: (f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{port}?protocol=2", {}),
}


@pytest.mark.parametrize("kind", [Echoing, Repeating])
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("suppress", [True, False])
async def test_a_server_that_repeats_what_it_is_told_gives_no_password_away(opened, caplog, kind, login, suppress):
    """Guarantee 22."""
    caplog.set_level(logging.DEBUG)
    server = kind(greets=False)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.serve)
        url, options = LOGINS[login](server.port)
        async with opened(url, suppress=suppress, secret=SECRET, **options) as cache:
            errors = await errors_of(cache.get("k"), cache.ping())
            text = shown(errors, caplog.text, cache, cache.statistics(), *innards(cache))
        tasks.cancel_scope.cancel()
    assert "cannot be used" in text
    assert server.asked & {b"HELLO", b"AUTH"}
    assert_hidden(text)


@pytest.mark.parametrize("mark", ["'", "`", '"'])
@pytest.mark.parametrize("suppress", [True, False])
async def test_a_server_that_repeats_what_it_is_told_gives_no_value_and_no_token_away(opened, caplog, mark, suppress):
    caplog.set_level(logging.DEBUG)
    server = Echoing(greets=True, mark=mark)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.serve)
        async with opened(f"redis://127.0.0.1:{server.port}", suppress=suppress, secret=SECRET) as cache:
            errors = await errors_of(
                cache.set("k", VALUE),
                cache.set_raw("k", VALUE),
                cache.set_many({"k": VALUE}, 10),
                cache.set_add("k", VALUE),
                cache.set("k", VALUE, tags=["t"]),
                cache.set_lock("k", TOKEN, 10),
                cache.unlock("k", TOKEN),
            )
            text = shown(errors, caplog.text, cache, cache.statistics(), *innards(cache))
        tasks.cancel_scope.cancel()
    assert "unknown command" in text
    assert_hidden(text)


async def errors_of(*commands):
    errors = []
    for command in commands:
        try:
            await command
        except CacheError as error:
            errors.append(error)
    return errors


def innards(cache):
    store = inside(cache).store()
    (connection,) = store._servers.connections
    return store, connection, connection._directory, connection._options, store.remote.values


async def test_values_that_cannot_be_stored_or_read_are_not_shown(server, caplog):
    caplog.set_level(logging.DEBUG)
    async with Cache.open(server.patient_url, secret=SECRET, suppress=False) as cache:
        await cache.set("unsigned", 1)
        server.command("SET", "unsigned", f"bytes:{VALUE}")
        server.command("SET", "text", VALUE)
        server.command("RPUSH", "list", VALUE)
        assert await cache.get("unsigned") is None
        errors = await errors_of(
            cache.set("k", Exotic()),
            cache.set_raw("k", [VALUE]),
            cache.incr("text"),
            cache.set_add("text", VALUE),
            cache.incr("list"),
        )
        text = shown(errors, caplog.text, cache, cache.statistics(), *innards(cache))
    assert len(errors) == 5
    assert_hidden(text)


URLS = [
    f"disk://{SECRET}?secret={SECRET}",
    f"disk:///path?secret={SECRET}",
    f"disk://?secert={SECRET}",
    f"disk://?secret={SECRET}&secret=",
    f"mem://host?secret={SECRET}",
    f"mem://?secert={SECRET}",
    f"mem://?secret={SECRET}&digestmod=none",
    f"redis://:{PASSWORD}#@host/?secret={SECRET}",
    f"redis://:{PASSWORD}@host/?passwrod={SECRET}",
    f"redis://user:{quote(PASSWORD)}@host:port/",
    f"redis://user:{quote(PASSWORD)}@host/zero",
    f"redis://user:{quote(PASSWORD)}@[host/",
    f"rediss://:{quote(PASSWORD)}@host/?ssl_password={SECRET}&ssl_certfile=/no/such/file",
    f"unix://user:{quote(PASSWORD)}@",
    f"radis://user:{quote(PASSWORD)}@host",
    f"redis:/{PASSWORD}@host",
]


@pytest.mark.parametrize("url", URLS)
def test_a_wrong_url_shows_nothing_of_its_secrets(url):
    with pytest.raises(CacheError) as refused:
        Cache.open(url)
    assert_hidden(shown([refused.value], ""))


@pytest.mark.parametrize("name", ["password", "secret", "ssl_password", "username"])
@pytest.mark.parametrize(
    "wrap", [lambda text: [text, 1], lambda text: {text: text}, str.encode, lambda text: (text, "")]
)
def test_a_wrong_option_shows_nothing_of_its_secrets(name, wrap):
    for url in ("redis://", "mem://", "disk://"):
        try:
            printed = repr(Cache.open(url, **{name: wrap(SECRET)}))
        except CacheError as error:
            printed = shown([error], "")
        assert_hidden(printed)
