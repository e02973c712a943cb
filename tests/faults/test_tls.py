"""``rediss://``: who the server is, and who we are, by certificates."""

from __future__ import annotations

import logging
import ssl

import anyio
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from cashews.exceptions import CacheBackendInteractionError, SettingsError
from tests.faults.proxy import PATIENCE, Proxy, until

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger():
    """An authority that nobody trusts."""
    return trustme.CA()


@pytest.fixture
def as_file(tmp_path):
    """``as_file(blobs...)``: the path of a file that holds them."""

    def write(*blobs):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pem"
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    return write


@pytest.fixture
def trusted(authority, as_file):
    return as_file(authority.cert_pem)


def identity(authority, name="localhost", *, asks=False):
    """What a server shows; with `asks`, it wants to see certificates of the same authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    if asks:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
async def secure(server, authority):
    async with Proxy(server.port, identity(authority)).serving() as proxy:
        yield proxy


@pytest.fixture
async def asking(server, authority):
    async with Proxy(server.port, identity(authority, asks=True)).serving() as proxy:
        yield proxy


def errors_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def works(cache):
    values = {f"k{number}": "x" * 10_000 for number in range(20)}
    await cache.set_many(values)
    return await cache.get_many(*values) == tuple(values.values()) and await cache.incr("n") > 0


async def assert_refused(cache, *words):
    for _ in range(2):
        with anyio.fail_after(PATIENCE), pytest.raises(CacheBackendInteractionError) as caught:
            await cache.get("k")
        assert [word for word in words if word in str(caught.value)]


async def test_a_server_of_a_trusted_authority_is_served(secure, opened, trusted):
    async with opened(secure.url, ssl_ca_certs=trusted, suppress=False) as cache:
        assert await works(cache)
        secure.cut()
        await until(lambda: not cache.statistics().backends[""]["connected"])
        assert await works(cache)
        secure.drips = True
        assert await cache.get("n") == 2
        secure.recover()
    async with opened(f"{secure.url}?ssl_ca_certs={trusted}", suppress=False) as cache:
        assert await works(cache)


async def test_the_certificates_may_be_given_as_text(secure, opened, authority):
    text = authority.cert_pem.bytes().decode()
    async with opened(secure.url, ssl_ca_data=text, suppress=False) as cache:
        assert await works(cache)


async def test_an_authority_that_is_not_trusted_is_a_clear_error(secure, opened, stranger, as_file, caplog):
    async with opened(secure.url, ssl_ca_certs=as_file(stranger.cert_pem), suppress=False) as cache:
        await assert_refused(cache, "CERTIFICATE_VERIFY_FAILED")
    assert ["CERTIFICATE_VERIFY_FAILED" in line for line in errors_in(caplog)] == [True]
    async with opened(secure.url, suppress=False) as cache:  # no authority of ours at all
        await assert_refused(cache, "CERTIFICATE_VERIFY_FAILED")
    await until(lambda: not secure.links)


async def test_suppressed_it_is_logged_and_neutral(secure, opened, caplog):
    async with opened(secure.url) as cache:
        for _ in range(3):
            assert await cache.get("k", default="neutral") == "neutral"
    assert ["CERTIFICATE_VERIFY_FAILED" in line for line in errors_in(caplog)] == [True]


@pytest.mark.parametrize("options", [{"ssl_cert_reqs": "none"}, {"ssl_cert_reqs": "none", "ssl_check_hostname": True}])
async def test_nothing_is_checked_if_that_is_said(secure, opened, options):
    async with opened(secure.url, suppress=False, **options) as cache:
        assert await works(cache)


async def test_a_certificate_for_another_name_is_refused_unless_names_are_not_checked(
    server, authority, opened, trusted
):
    async with Proxy(server.port, identity(authority, "example.org")).serving() as proxy:
        async with opened(proxy.url, ssl_ca_certs=trusted, suppress=False) as cache:
            await assert_refused(cache, "Hostname mismatch")
        async with opened(proxy.url, ssl_ca_certs=trusted, ssl_check_hostname=False, suppress=False) as cache:
            assert await works(cache)
        async with opened(f"{proxy.url}?ssl_check_hostname=false", ssl_ca_certs=trusted, suppress=False) as cache:
            assert await works(cache)


async def test_a_server_that_asks_is_shown_a_certificate(asking, authority, opened, as_file, trusted):
    own = authority.issue_cert("client@example.org")
    certificate, key = as_file(*own.cert_chain_pems), as_file(own.private_key_pem)
    options = {"ssl_ca_certs": trusted, "suppress": False}
    async with opened(asking.url, ssl_certfile=certificate, ssl_keyfile=key, **options) as cache:
        assert await works(cache)
    both = as_file(own.private_key_and_cert_chain_pem)
    async with opened(asking.url, ssl_certfile=both, **options) as cache:
        assert await works(cache)


async def test_a_server_that_asks_refuses_strangers_and_the_nameless(asking, stranger, opened, as_file, trusted):
    own = as_file(stranger.issue_cert("client@example.org").private_key_and_cert_chain_pem)
    async with opened(asking.url, ssl_certfile=own, ssl_ca_certs=trusted, suppress=False) as cache:
        await assert_refused(cache, "SSL", "Broken", "Reset", "EndOfStream")
    async with opened(asking.url, ssl_ca_certs=trusted, suppress=False) as cache:
        await assert_refused(cache, "SSL", "Broken", "Reset", "EndOfStream")


async def test_a_server_that_does_not_speak_tls_is_down(proxy, opened, trusted, clock):
    url = proxy.url.replace("redis://", "rediss://")
    async with opened(url, ssl_ca_certs=trusted, suppress=False) as cache, anyio.create_task_group() as tasks:
        tasks.start_soon(assert_refused, cache, "SSL", "EndOfStream", "no connection")
        await until(lambda: proxy.accepted)
        await until(lambda: clock.statistics().sleepers or proxy.up > 100)
        await clock.advance(1)
    await until(lambda: not proxy.links)


async def test_a_server_that_is_silent_in_the_handshake_is_down_in_a_second(opened, trusted, clock):
    """And no socket is left."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        url = f"rediss://localhost:{port}"
        async with opened(url, ssl_ca_certs=trusted, suppress=False) as cache, anyio.create_task_group() as tasks:
            tasks.start_soon(assert_refused, cache, "no connection within 1 s")
            await until(lambda: clock.statistics().scopes)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            await clock.advance(1)


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_that_is_not_there_is_an_error_of_the_settings(opened, option, tmp_path):
    with pytest.raises(SettingsError, match=option):
        opened("rediss://localhost", **{option: str(tmp_path / "absent.pem")})


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_that_holds_no_certificate_is_an_error_of_the_settings(opened, option, tmp_path):
    path = tmp_path / "nonsense.pem"
    path.write_text("nonsense")
    with pytest.raises(SettingsError, match=option):
        opened("rediss://localhost", **{option: str(path)})


def test_a_certificate_without_its_key_is_an_error_of_the_settings(opened, authority, as_file):
    own = authority.issue_cert("client@example.org")
    with pytest.raises(SettingsError, match="ssl_certfile"):
        opened("rediss://localhost", ssl_certfile=as_file(*own.cert_chain_pems))


@pytest.fixture
def locked(authority, as_file, tmp_path):
    """A certificate and its key, which a password opens."""
    own, path = authority.issue_cert("client@example.org"), tmp_path / "locked.pem"
    key = load_pem_private_key(own.private_key_pem.bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right")))
    return {"ssl_certfile": as_file(*own.cert_chain_pems), "ssl_keyfile": str(path)}


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_password_that_does_not_open_the_key_is_an_error_of_the_settings(opened, locked, capfd, password):
    """And nobody is asked for another at the terminal."""
    with pytest.raises(SettingsError, match="ssl_certfile"):
        opened("rediss://localhost", **locked, ssl_password=password)
    opened("rediss://localhost", **locked, ssl_password="right")
    assert capfd.readouterr().err == ""
