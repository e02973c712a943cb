"""The options of ``redis://``, ``rediss://`` and ``unix://``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from redis.credentials import CredentialProvider

from cashews.exceptions import WrongOptionError
from cashews.serialize import SerializerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions(SerializerOptions):
    """The connection to a server, the patience with it, and the answer to its failures. Times are in seconds.

    `socket_timeout`: the wait of a request for its reply; then the connection is replaced. `socket_connect_timeout` and
    `wait_for_connection_timeout`: the wait of a request for a connection, the shorter of both; then the server is taken
    to be down. `retry_on_timeout`: a read that timed out is asked once more. `health_check_interval`: the silence after
    which the connection is tested, 0 for never. `connections`: the number of multiplexed connections; one is nearly
    always best. `max_connections` and `minsize` are accepted and have no effect. `suppress`: a failure of the server is
    answered neutrally instead of raised.
    """

    db: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    credential_provider: CredentialProvider | None = field(default=None, repr=False)
    client_name: str | None = None
    protocol: int = 3
    suppress: bool = True
    socket_timeout: float = 5.0
    socket_connect_timeout: float = 1.0
    wait_for_connection_timeout: float | None = None
    retry_on_timeout: bool = False
    health_check_interval: float = 0.0
    socket_keepalive: bool = False
    connections: int = 1
    max_value_size: int = 512 * 1024 * 1024
    max_connections: int | None = None
    minsize: int | None = None
    ssl_ca_certs: str | None = None
    ssl_ca_path: str | None = None
    ssl_ca_data: str | None = field(default=None, repr=False)
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = field(default=None, repr=False)
    ssl_cert_reqs: Literal["required", "optional", "none"] = "required"
    ssl_check_hostname: bool = True

    def __post_init__(self) -> None:
        self.check_serializer()
        for name in ("socket_timeout", "socket_connect_timeout", "wait_for_connection_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise WrongOptionError(name, seconds, "seconds above 0")
        if self.health_check_interval < 0:
            raise WrongOptionError("health_check_interval", self.health_check_interval, "seconds from 0")
        if self.connections < 1:
            raise WrongOptionError("connections", self.connections, "an integer from 1")
        if self.db is not None and self.db < 0:
            raise WrongOptionError("db", self.db, "an integer from 0")
        if self.protocol not in {2, 3}:
            raise WrongOptionError("protocol", self.protocol, "2 or 3")

    @property
    def patience(self) -> float:
        """The seconds that a request waits for a connection."""
        return min(self.socket_connect_timeout, self.wait_for_connection_timeout or self.socket_connect_timeout)
