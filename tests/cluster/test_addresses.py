"""The URLs of clusters: lists of nodes, IPv6, users, passwords, TLS; none of their secrets is shown."""

from __future__ import annotations

import logging
import traceback
from urllib.parse import quote, urlsplit

import pytest

from cashews import Cache
from cashews.backends.redis.address import parse_cluster
from cashews.backends.redis.options import RedisOptions
from cashews.exceptions import CacheBackendInteractionError, WrongOptionError
from tests.cluster.test_commands import topology_of

pytestmark = pytest.mark.redis
SECRET = "p@ss:w/ord,[%]"
QUOTED = quote(SECRET, safe="")


def parsed(url, **options):
    return parse_cluster(urlsplit(url), RedisOptions(**options))


def places(url, **options):
    return [(node.host, node.port) for node in parsed(url, **options)]


def test_nodes_are_listed_by_name_and_by_both_kinds_of_address():
    assert places("redis+cluster://one") == [("one", 6379)]
    assert places("redis+cluster://one:7000,10.0.0.2:7001,three") == [
        ("one", 7000),
        ("10.0.0.2", 7001),
        ("three", 6379),
    ]
    assert places("redis+cluster://[::1]:7000,[fe80::2],one/0") == [("::1", 7000), ("fe80::2", 6379), ("one", 6379)]
    assert places(f"redis+cluster://me:{QUOTED}@[::1]:7000,two") == [("::1", 7000), ("two", 6379)]
    assert places("redis://one:7000", cluster=True) == [("one", 7000)]


def test_an_address_of_ipv6_is_written_as_urls_have_it():
    assert str(parsed("redis+cluster://[::1]:7000")[0]) == "[::1]:7000"


def test_every_node_has_the_credentials():
    for node in parsed(f"redis+cluster://me:{QUOTED}@one,two"):
        assert (node.username, node.password, node.is_node) == ("me", SECRET, True)
    for node in parsed(f"redis+cluster://:{QUOTED}@one,two"):
        assert (node.username, node.password) == (None, SECRET)
    for node in parsed("redis+cluster://me:other@one,two", username="you", password=SECRET):
        assert (node.username, node.password) == ("you", SECRET)


def test_tls_is_for_every_node():
    assert all(node.tls is not None for node in parsed("rediss+cluster://one,two"))
    assert all(node.tls is not None for node in parsed("redis+cluster://one,two", ssl=True))
    assert all(node.tls is None for node in parsed("redis+cluster://one,two"))


@pytest.mark.parametrize(
    "place", ["one:port", "[::1", "::1:7000", "one,", "one:7000/x", "one:1234567", "[one]", "one/1", "", "one two:x"]
)
def test_a_url_that_cannot_be_read_shows_nothing_of_the_password(place):
    with pytest.raises(WrongOptionError) as refused:
        Cache().setup(f"redis+cluster://me:{QUOTED}@{place}")
    text = "".join(traceback.format_exception(refused.value, chain=False))
    assert not any(piece in str(refused.value) for piece in (SECRET, QUOTED, "p@ss", "ord,"))
    assert refused.value.__cause__ is None
    assert SECRET not in text


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_password_is_given_to_every_node_and_shown_nowhere(own_cluster, protocol, caplog):
    caplog.set_level(logging.DEBUG)
    for node in own_cluster.nodes:
        node.command("CONFIG", "SET", "requirepass", SECRET)
    at = ",".join(f"{node.host}:{node.port}" for node in own_cluster.nodes)
    async with Cache.open(f"redis+cluster://:{QUOTED}@{at}", suppress=False, protocol=protocol) as cache:
        for number in range(30):
            assert await cache.set(f"key:{number}", number)
        shown = [repr(cache), str(topology_of(cache)), *map(repr, topology_of(cache)._seeds)]
    async with Cache.open(f"redis+cluster://:{QUOTED}x@{at}", suppress=False, protocol=protocol) as cache:
        with pytest.raises(CacheBackendInteractionError, match=r"WRONGPASS|invalid password") as refused:
            await cache.get("key")
    shown += traceback.format_exception(refused.value)
    for text in (*shown, caplog.text):
        assert SECRET not in text
        assert QUOTED not in text
