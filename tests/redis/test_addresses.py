"""Where a server is and who we are to it: URLs, options, and what is never printed."""

from __future__ import annotations

import socket
import ssl
from dataclasses import fields
from urllib.parse import quote

import pytest

from cashews import Cache
from cashews.backends.redis import RedisOptions
from cashews.exceptions import CacheBackendInteractionError, UnknownOptionError, WrongOptionError
from tests.internals import inside

pytestmark = pytest.mark.redis

PASSWORD = "p@ss/w:rd?#%&1"


async def test_a_host_that_means_everywhere_is_this_one(server):
    async with Cache.open(f"redis://0.0.0.0:{server.port}/", suppress=False) as cache:
        await cache.set("k", 1)
    assert server.command("EXISTS", "k") == 1


async def test_a_socket_file_leads_to_the_server_too(server):
    async with Cache.open(f"unix://{server.path}?db=2", suppress=False) as cache:
        await cache.set("k", 1)
    assert server.commands(("SELECT", 2), ("EXISTS", "k"))[-1] == 1


@pytest.mark.parametrize(
    ("path", "options", "db"), [("/3", {}, 3), ("/?db=4", {}, 4), ("", {"db": 5}, 5), ("/1?db=2", {"db": 6}, 6)]
)
async def test_the_database_stands_in_the_path_the_query_or_a_keyword(server, path, options, db):
    async with Cache.open(f"redis://127.0.0.1:{server.port}{path}", suppress=False, **options) as cache:
        await cache.set("k", 1)
    assert server.commands(("SELECT", db), ("EXISTS", "k"))[-1] == 1


@pytest.mark.parametrize("protocol", [2, 3])
async def test_credentials_stand_in_the_url_or_are_keywords(own_server, protocol):
    """D51: what is special in a URL is percent-encoded."""
    with own_server(requirepass=PASSWORD) as server:
        server.command("ACL", "SETUSER", "ann", "on", f">{PASSWORD}2", "~*", "&*", "+@all")
        at = f"127.0.0.1:{server.port}/"
        for url, options in (
            (f"redis://:{quote(PASSWORD, safe='')}@{at}", {}),
            (f"redis://ann:{quote(PASSWORD + '2', safe='')}@{at}", {}),
            (f"redis://{at}", {"password": PASSWORD}),
            (f"redis://{at}?password={quote(PASSWORD, safe='')}", {}),
            (f"redis://{at}", {"username": "ann", "password": PASSWORD + "2"}),
            (f"unix://{server.path}", {"password": PASSWORD}),
        ):
            async with Cache.open(url, suppress=False, protocol=protocol, **options) as cache:
                assert await cache.set("k", 1)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_wrong_password_is_an_error_that_does_not_show_it(own_server, protocol, caplog):
    """D113: not even where failures are suppressed is it silent."""
    with own_server(requirepass="right") as server:
        url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/"
        async with Cache.open(url, suppress=False, protocol=protocol) as cache:
            with pytest.raises(CacheBackendInteractionError, match=r"WRONGPASS|invalid password") as refused:
                await cache.get("k")
        async with Cache.open(url, protocol=protocol) as cache:
            assert await cache.get("k") is None
            printed = f"{refused.value!r} {caplog.text} {cache!r} {inside(cache).engine.routes} {cache.statistics()}"
    assert "cannot be used" in caplog.text
    assert PASSWORD not in printed
    assert quote(PASSWORD, safe="") not in printed


async def test_a_server_that_knows_no_resp3_is_spoken_to_in_resp2(own_server):
    with own_server(rename_command=("HELLO", "GREET")) as server:
        async with Cache.open(server.patient_url, suppress=False) as cache:
            await cache.set("k", 1.5, tags=["t"])
            assert await cache.get("k") == 1.5
            assert await cache.incr("n") == 1
            async with cache.lock("l", 10):
                assert await cache.is_locked("l")
            await cache.delete_tags("t")
            assert await cache.get("k") is None


async def test_a_client_has_the_name_it_is_given(server):
    async with Cache.open(server.patient_url, suppress=False, client_name="of-a-test") as cache:
        await cache.ping()
        assert b"name=of-a-test" in server.command("CLIENT", "LIST")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec#ret@host/",
        "redis://:sec/ret@host/",
        "redis://user:secret@host:port/",
        "redis://user:secret@host/first",
        "redis://user:secret@host/1/2",
        "unix://user:secret@",
    ],
)
def test_a_url_that_cannot_be_read_shows_nothing_of_the_password(url):
    with pytest.raises(WrongOptionError, match="percent-encoded") as refused:
        Cache.open(url)
    assert "sec" not in str(refused.value).replace("percent", "")
    assert refused.value.__cause__ is None


# --- options

GIVEN = {
    "db": 1,
    "username": "ann",
    "password": "made up",
    "client_name": "name",
    "protocol": 2,
    "suppress": False,
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.25,
    "wait_for_connection_timeout": 0.5,
    "retry_on_timeout": True,
    "health_check_interval": 30.0,
    "socket_keepalive": True,
    "lib_name": "shop",
    "lib_version": "1.0",
    "max_value_size": 1_000,
    "ssl": True,
    "ssl_min_version": "TLSv1.3",
    "ssl_ciphers": "HIGH",
    "connections": 2,
    "max_connections": 10,
    "minsize": 1,
    "ssl_cert_reqs": "none",
    "ssl_check_hostname": False,
    "pickle_type": "json",
    "digestmod": "sha256",
    "compress_type": "zlib",
    "compress_threshold": 10,
    "size_limit": 1_000,
    "check_repr": False,
    "secret": "made up",
}


def options_of(url, **keywords):
    """Return the options of the store that a URL and keywords make."""
    cache = Cache.open(url, **keywords)
    (connection, *_) = inside(cache).connections
    return connection._options


def test_an_option_is_the_same_in_a_url_and_as_a_keyword():
    query = "&".join(f"{name}={quote(str(value))}" for name, value in GIVEN.items())
    assert options_of(f"redis://host/?{query}") == options_of("redis://host/", **GIVEN) == RedisOptions(**GIVEN)


OFF = {
    "cache": None,
    "cache_config": None,
    "client_side": False,
    "client_side_prefix": "shop:",
    "cluster": "0",
    "decode_responses": False,
    "encoding": "utf-8",
    "encoding_errors": "strict",
    "event_dispatcher": None,
    "redis_connect_func": None,
    "retry": None,
    "retry_on_error": [],
    "single_connection_client": "false",
    "socket_read_size": 65_536,
    "ssl_validate_ocsp": False,
    "ssl_validate_ocsp_stapled": False,
}
"""Options of redis-py and of cashews 7 for modes that are not there, each switched off."""


async def test_options_of_others_are_accepted_while_they_are_off(server):
    async with Cache.open(server.patient_url, suppress=False, **OFF) as cache:
        assert await cache.set("k", "é")
        assert await cache.get("k") == "é"
    query = "&".join(f"{name}={quote(str(value))}" for name, value in OFF.items())
    assert options_of(f"redis://host/?{query}") == RedisOptions(client_side_prefix="shop:")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("decode_responses", True),
        ("encoding", "latin-1"),
        ("retry_on_error", [OSError]),
        ("single_connection_client", True),
        ("ssl_validate_ocsp", "yes"),
    ],
)
def test_an_option_of_others_that_is_on_is_an_error_that_names_it(option, value):
    with pytest.raises(WrongOptionError, match=option):
        Cache.open("redis://host/", **{option: value})


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        *[(given, ssl.CERT_REQUIRED) for given in ("required", "CERT_REQUIRED", ssl.CERT_REQUIRED)],
        ("optional", ssl.CERT_OPTIONAL),
        *[(given, ssl.CERT_NONE) for given in ("none", None, ssl.CERT_NONE)],
    ],
)
def test_what_a_server_has_to_show_is_said_as_in_redis_py(given, mode):
    context = context_of("rediss://host/", ssl_cert_reqs=given)
    assert (context.verify_mode, context.check_hostname) == (mode, mode is not ssl.CERT_NONE)


def test_options_of_tls_reach_its_context():
    cipher = "ECDHE-RSA-AES256-GCM-SHA384"
    context = context_of("redis://host/", ssl=True, ssl_min_version="TLSv1.3", ssl_ciphers=cipher)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert "ECDHE-RSA-AES128-GCM-SHA256" not in [each["name"] for each in context.get_ciphers()]
    assert context_of("rediss://host/", ssl_min_version=ssl.TLSVersion.TLSv1_3).minimum_version == 0x304
    assert context_of("redis://host/") is None


def context_of(url, **keywords):
    """Return the context of TLS of the store that a URL and keywords make."""
    (connection,) = inside(Cache.open(url, **keywords)).connections
    return connection._directory.tls


@pytest.mark.parametrize("probes", ["1", b"1", [1], {"1": 1}, {1: "1"}, {1: None}])
def test_options_of_tcp_are_numbers_by_numbers(probes):
    with pytest.raises(WrongOptionError, match="socket_keepalive_options"):
        Cache.open("redis://", socket_keepalive=True, socket_keepalive_options=probes)
    with pytest.raises(WrongOptionError, match="socket_keepalive_options"):
        Cache.open("redis://?socket_keepalive=1&socket_keepalive_options=1")


async def test_a_connection_has_the_options_it_is_given(server):
    probes = {socket.TCP_KEEPIDLE: 60}
    options = {"lib_name": "of-a-test", "lib_version": "1.2", "socket_keepalive": True}
    url = server.patient_url
    async with Cache.open(url, suppress=False, socket_keepalive_options=probes, **options) as cache:
        await cache.ping()
        listed = server.command("CLIENT", "LIST")
        assert b"lib-name=" not in listed or b"lib-name=of-a-test lib-ver=1.2" in listed
        (connection,) = inside(cache).connections
        raw = connection._link.line.socket
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


@pytest.mark.parametrize("url", ["redis://host/?socket_tmieout=1", "rediss://host/?socket_tmieout=1"])
def test_an_unknown_option_is_an_error_that_lists_the_known_ones(url):
    with pytest.raises(UnknownOptionError) as refused:
        Cache.open(url)
    assert "no option 'socket_tmieout'" in str(refused.value)
    for name in (*(field.name for field in fields(RedisOptions)), "enable", "disable"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("socket_timeout", 0),
        ("socket_connect_timeout", -1),
        ("wait_for_connection_timeout", 0),
        ("health_check_interval", -1),
        ("connections", 0),
        ("max_value_size", 0),
        ("ssl_min_version", "TLSv9"),
        ("ssl_ciphers", 5),
        ("db", -1),
        ("protocol", 4),
        ("ssl_cert_reqs", "perhaps"),
        ("suppress", "perhaps"),
    ],
)
def test_a_value_that_is_not_allowed_is_an_error_that_names_the_option(option, value):
    with pytest.raises(WrongOptionError, match=option):
        Cache.open("redis://host/", **{option: value})


@pytest.mark.parametrize(
    "given", [{"ssl_ca_certs": "/no/such/file"}, {"ssl_certfile": "/no/such/file", "ssl_password": "made-up"}]
)
def test_a_certificate_that_cannot_be_read_is_an_error_at_setup(given):
    with pytest.raises(WrongOptionError, match=next(iter(given))) as refused:
        Cache.open("rediss://host/", **given)
    assert "made-up" not in str(refused.value)


def test_options_print_no_secrets():
    printed = repr(RedisOptions(**GIVEN, ssl_password="made up", ssl_ca_data="made up"))
    assert "made up" not in printed
