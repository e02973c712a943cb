"""The options of ``redis://``, ``rediss://`` and ``unix://``."""

from __future__ import annotations

import ssl as tls
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from redis.credentials import CredentialProvider

from cashews._dataclass import dataclass, field
from cashews.backends.modes import refuse_modes, without_modes_off
from cashews.exceptions import WrongOptionError
from cashews.serialize import SerializerOptions

OWN_MODES: Final = frozenset({"client_side", "cluster"})
"""The modes that this store has."""
WITHOUT_EFFECT: Final = frozenset({"socket_read_size"})
"""Options of theirs that change nothing here."""
ENCODING: Final = {"encoding": ("utf-8", "utf8"), "encoding_errors": ("strict",)}
"""Options of redis-py with the only values that this store can follow, in lower case."""
VERIFY: Final = {"required": tls.CERT_REQUIRED, "optional": tls.CERT_OPTIONAL, "none": tls.CERT_NONE}


def own_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that `RedisOptions` has, of all those that redis-py and cashews 7 know.

    :raises WrongOptionError: if another option asks for a mode that this store does not have
    """
    left, own = without_modes_off(given), dict[str, Any]()
    refuse_modes({name: value for name, value in left.items() if name not in OWN_MODES})
    for name, value in left.items():
        if name in ENCODING and str(value).strip().lower() not in ENCODING[name]:
            raise WrongOptionError(name, value, repr(ENCODING[name][0]))
        if name not in WITHOUT_EFFECT | ENCODING.keys():
            own[name] = value
    return own


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions(SerializerOptions):
    """The connection to a server, the patience with it, and the answer to its failures. Times are in seconds.

    `socket_timeout`: the wait of a request for its reply; then the connection is replaced. `socket_connect_timeout` and
    `wait_for_connection_timeout`: the wait of a request for a connection, the shorter of both; then the server is taken
    to be down. `retry_on_timeout`: a read that timed out is asked once more. `health_check_interval`: the silence after
    which the connection is tested, 0 for never. `connections`: the number of multiplexed connections; one is nearly
    always best. `max_value_size`: the bytes of the largest value that the server takes; a larger one is not stored.
    `cluster`: the server is a node of a cluster, as with ``redis+cluster://``.
    `client_side` keeps values that were read in memory too, and serves them until the server tells of a change. Then
    every key begins with `client_side_prefix` at the server. `client_side_size`, `client_side_bytes`: at most so many
    keys and bytes of stored values are kept. `client_side_lag`: how long values are served after the server was last
    heard. `client_side_copy`: ``share`` returns the same object at each read, ``decode`` a new one.
    `max_connections` and `minsize` are accepted and have no effect. `suppress`: a failure of the server is answered
    neutrally instead of raised. `ssl`: TLS as with ``rediss://``.
    """

    db: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    credential_provider: CredentialProvider | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    client_name: str | None = None
    lib_name: str | None = None
    lib_version: str | None = None
    protocol: int = 3
    suppress: bool = True
    socket_timeout: float = 5.0
    socket_connect_timeout: float = 1.0
    wait_for_connection_timeout: float | None = None
    retry_on_timeout: bool = False
    health_check_interval: float = 0.0
    socket_keepalive: bool = False
    socket_keepalive_options: Mapping[int, int] | None = None
    connections: int = 1
    max_value_size: int = 512 * 1024 * 1024
    max_connections: int | None = None
    minsize: int | None = None
    cluster: bool = False
    client_side: bool = False
    client_side_prefix: str = "cashews:"
    client_side_size: int = 10_000
    client_side_bytes: int = 128 * 1024 * 1024
    client_side_lag: float = 2.0
    client_side_copy: Literal["share", "decode"] = "share"
    ssl: bool = False
    ssl_ca_certs: str | None = None
    ssl_ca_path: str | None = None
    ssl_ca_data: str | None = field(default=None, repr=False)
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = field(default=None, repr=False)
    ssl_cert_reqs: str | tls.VerifyMode | None = "required"
    ssl_check_hostname: bool = True
    ssl_min_version: tls.TLSVersion | str | None = None
    ssl_ciphers: str | None = None

    def __post_init__(self) -> None:
        self.check_serializer()
        for name in ("socket_timeout", "socket_connect_timeout", "wait_for_connection_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise WrongOptionError(name, seconds, "seconds above 0")
        if self.health_check_interval < 0:
            raise WrongOptionError("health_check_interval", self.health_check_interval, "seconds from 0")
        for name in ("connections", "max_value_size", "client_side_size", "client_side_bytes"):
            if getattr(self, name) < 1:
                raise WrongOptionError(name, getattr(self, name), "an integer from 1")
        self._check_client_side()
        if self.db is not None and self.db < 0:
            raise WrongOptionError("db", self.db, "an integer from 0")
        if self.protocol not in {2, 3}:
            raise WrongOptionError("protocol", self.protocol, "2 or 3")
        self._check_probes()
        self._check_tls()

    def _check_probes(self) -> None:
        """Check the options of TCP.

        :raises WrongOptionError: if they are no numbers by numbers, as those of a URL, which are text
        """
        given: object = self.socket_keepalive_options
        pairs = cast("Mapping[object, object]", given).items() if isinstance(given, Mapping) else [(given or 0,)]
        if not all(isinstance(each, int) for pair in pairs for each in pair):
            allowed = "a keyword alone: integers by their numbers in socket"
            raise WrongOptionError("socket_keepalive_options", given, allowed)

    def _check_client_side(self) -> None:
        """Check the options of the client side.

        :raises WrongOptionError: if one of them cannot be followed
        """
        if self.client_side_lag <= 0:
            raise WrongOptionError("client_side_lag", self.client_side_lag, "seconds above 0")
        if "*" in self.client_side_prefix:
            raise WrongOptionError("client_side_prefix", self.client_side_prefix, "text without '*'")
        if self.client_side and self.connections > 1:  # the changes of all keys come in one order on one connection
            raise WrongOptionError("connections", self.connections, "1 with client_side")

    def check_cluster(self) -> None:
        """Check that nothing is asked for that a cluster does not have.

        :raises WrongOptionError: if it is
        """
        if self.connections > 1:
            raise WrongOptionError("connections", self.connections, "1 on a cluster: one to each master")

    def _check_tls(self) -> None:
        """Check the options of TLS that have several forms.

        :raises WrongOptionError: if one of them has no such form
        """
        if self.verify_mode is None:
            raise WrongOptionError("ssl_cert_reqs", self.ssl_cert_reqs, ", ".join(map(repr, VERIFY)))
        if self.ssl_min_version is not None and self.least_version is None:
            names = ", ".join([version.name for version in tls.TLSVersion if version > 0])
            raise WrongOptionError("ssl_min_version", self.ssl_min_version, names)

    @property
    def verify_mode(self) -> tls.VerifyMode | None:
        """Which certificates the server may have, `None` for a wrong `ssl_cert_reqs`."""
        if isinstance(self.ssl_cert_reqs, tls.VerifyMode):
            return self.ssl_cert_reqs
        return VERIFY.get(str(self.ssl_cert_reqs).lower().removeprefix("cert_"))

    @property
    def least_version(self) -> tls.TLSVersion | None:
        """The lowest version of TLS, `None` for none or a wrong `ssl_min_version`."""
        if isinstance(self.ssl_min_version, tls.TLSVersion):
            return self.ssl_min_version
        name = str(self.ssl_min_version).replace(".", "_").lower()
        return next((version for version in tls.TLSVersion if version.name.lower() == name), None)

    @property
    def patience(self) -> float:
        """The seconds that a request waits for a connection."""
        return min(self.socket_connect_timeout, self.wait_for_connection_timeout or self.socket_connect_timeout)
