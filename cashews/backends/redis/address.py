"""The address of a server: parsed from a URL and options, and opened as a line."""

from __future__ import annotations

import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, unquote

import anyio
from redis import connection

from cashews._dataclass import dataclass, field, replace
from cashews.actors.connecting import connect_tcp, connect_unix
from cashews.actors.line import Line
from cashews.exceptions import WrongOptionError

if TYPE_CHECKING:
    from cashews.backends.redis.options import RedisOptions

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing is bound here: servers listen there
"""Addresses that a server can listen on but no client can connect to, each with the one that is meant."""
SENTINEL_PORT, PORT = 26379, 6379
PLACE = re.compile(r"(?:(?P<host>[^\[\]:,/]+)|\[(?P<bracketed>[0-9a-fA-F:.%]+)\])(?::(?P<port>[0-9]{1,5}))?")
"""One of the places in a list: host and port."""
EXAMPLES = {
    "unix": "/path",
    "cluster": "user:password@host1:6379,host2:6379",
    "sentinel": "user:password@host1:26379,host2:26379/service/0",
}
"""What may stand behind the scheme of a URL."""
parse_url = cast("Callable[[str], dict[str, Any]]", connection.parse_url)  # pyright: ignore[reportUnknownMemberType]  untyped


class Directory(ABC):
    """Knows where a server is to be found."""

    __slots__ = ()

    @abstractmethod
    async def locate(self) -> Address:
        """Return the address of the server.

        :raises redis.exceptions.RedisError: if nobody knows it
        """

    @abstractmethod
    async def until_moved(self, address: Address) -> None:
        """Return when another server has taken the place of the one at an address, if ever."""


@dataclass(frozen=True, slots=True)
class Address(Directory):
    """A server's host and port or socket file, its database, and our credentials."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    """The socket file, for ``unix://``."""
    tls: ssl.SSLContext | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_node: bool = False
    """Whether a node of a cluster is meant."""
    is_master: bool = False
    """Whether only a master is meant: sentinels may point to one that is none any more."""

    async def locate(self) -> Address:
        return self

    async def until_moved(self, address: Address) -> None:
        await anyio.sleep_forever()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host  # one of IPv6, as URLs have it
        return self.path or f"{host}:{self.port}"

    async def connect(self, *, keepalive: bool = False, probes: Mapping[int, int] | None = None) -> Line:
        """Open a line to the server.

        :param keepalive: have the operating system probe a silent connection
        :param probes: options of TCP for these probes, by their numbers in `socket`
        :raises OSError: if no server listens there, or TLS fails
        """
        if self.path is not None:
            return await connect_unix(self.path)
        line = await connect_tcp(self.host, self.port, self.tls)
        if keepalive:
            line.socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            for option, value in (probes or {}).items():
                line.socket.setsockopt(IPPROTO_TCP, option, value)
        return line


def parse_address(url: SplitResult, options: RedisOptions) -> Address:
    """Parse a URL; options take precedence over its parts.

    :raises WrongOptionError: if the URL cannot be parsed, or a certificate cannot be read
    """
    try:
        parts = parse_url(f"{url.scheme}://{url.netloc}{url.path}")
    except ValueError:  # its text may contain a piece of the password
        raise _wrong(url) from None
    db = url.path.strip("/")
    if url.scheme != "unix" and db and not db.isdecimal():
        raise _wrong(url)
    host: str = parts.get("host", "localhost")
    return Address(
        host=EVERYWHERE.get(host, host),
        port=parts.get("port", 6379),
        path=_socket_file(url, parts),
        tls=_tls(options) if url.scheme == "rediss" or (options.ssl and url.scheme != "unix") else None,
        db=parts.get("db", 0) if options.db is None else options.db,
        username=options.username or parts.get("username"),
        password=options.password or parts.get("password"),
    )


def parse_sentinels(url: SplitResult, options: RedisOptions) -> tuple[list[Address], str, Address]:
    """Parse a URL such as ``redis+sentinel://user:password@host1:26379,host2/service/0``.

    Returns the addresses of the sentinels, the name of the service, and the address of its master but for host and
    port. Options take precedence over parts of the URL. Credentials in the URL are the master's.

    :raises WrongOptionError: if the URL cannot be parsed, or a certificate cannot be read
    """
    credentials, _, hosts = url.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    service, _, db = url.path.strip("/").partition("/")
    if not (service and hosts) or not (db.isdecimal() or not db):
        raise _wrong(url)
    tls = _tls(options) if url.scheme.startswith("rediss") or options.ssl else None
    master = Address(
        tls=tls,
        db=int(db or 0) if options.db is None else options.db,
        username=options.username or unquote(username) or None,
        password=options.password or unquote(password) or None,
        is_master=True,
    )
    any_place = Address(tls=tls, username=options.sentinel_username, password=options.sentinel_password)
    return [_place_in(url, each, any_place) for each in hosts.split(",")], unquote(service), master


def parse_cluster(url: SplitResult, options: RedisOptions) -> list[Address]:
    """Parse a URL such as ``redis+cluster://user:password@host1:6379,host2``: the addresses of some nodes.

    :raises WrongOptionError: if the URL cannot be parsed, or names a database other than 0
    """
    credentials, _, hosts = url.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    db = url.path.strip("/")
    if not hosts or not (db.isdecimal() or not db):
        raise _wrong(url)
    if int(db or 0) or options.db:
        raise WrongOptionError("db", int(db or 0) or options.db, "0: a cluster has one database")
    node = Address(
        tls=_tls(options) if url.scheme.startswith("rediss") or options.ssl else None,
        username=options.username or unquote(username) or None,
        password=options.password or unquote(password) or None,
        is_node=True,
    )
    return [_place_in(url, each, node, PORT) for each in hosts.split(",")]


def _place_in(url: SplitResult, text: str, address: Address, port: int = SENTINEL_PORT) -> Address:
    """Return an address with another host, in brackets if it is one of IPv6, and its port."""
    place = PLACE.fullmatch(text)
    if place is None:
        raise _wrong(url)
    host = place["host"] or place["bracketed"]
    return replace(address, host=EVERYWHERE.get(host, host), port=int(place["port"] or port))


def _wrong(url: SplitResult) -> WrongOptionError:
    """Return an error that shows nothing of the URL: the mistake may be the end of its password."""
    example = EXAMPLES.get(url.scheme.partition("+")[2] or url.scheme, "user:password@host:6379/0")
    example = f"{url.scheme}://{example}"
    allowed = f"a URL such as {example!r}, special characters of user and password percent-encoded"
    return WrongOptionError("url", f"{url.scheme}://...", allowed)


def _socket_file(url: SplitResult, parts: dict[str, Any]) -> str | None:
    if url.scheme != "unix":
        return None
    if not parts.get("path"):
        raise _wrong(url)
    return str(parts["path"])


def _tls(options: RedisOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=options.ssl_ca_certs, capath=options.ssl_ca_path, cadata=options.ssl_ca_data
        )
    except (OSError, ValueError) as error:
        raise WrongOptionError("ssl_ca_certs", options.ssl_ca_certs, f"a file of certificates ({error})") from None
    assert options.verify_mode is not None, "options are checked"
    context.check_hostname = options.ssl_check_hostname and options.verify_mode is not ssl.CERT_NONE
    context.verify_mode = options.verify_mode
    if options.least_version is not None:
        context.minimum_version = options.least_version
    if options.ssl_ciphers is not None:
        try:
            context.set_ciphers(options.ssl_ciphers)
        except ssl.SSLError as error:
            raise WrongOptionError("ssl_ciphers", options.ssl_ciphers, f"ciphers of OpenSSL ({error})") from None
    if options.ssl_certfile is not None:
        try:
            # an empty password rather than none: OpenSSL would ask for it at the terminal
            context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile, options.ssl_password or "")
        except OSError as error:
            allowed = f"a certificate whose key is in ssl_keyfile ({error})"
            raise WrongOptionError("ssl_certfile", options.ssl_certfile, allowed) from None
    return context
