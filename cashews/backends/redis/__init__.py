"""The Redis store.

`store` has the map from each message to its command: a function in one of the six rooms `values`, `structures`,
`locks`, `tags`, `keys` and `transactions`. A command asks the server through `remote`, with one request or with one of
the `scripts`, whose Lua is in the folder `lua`. `connection` and `inbox` are the multiplexed connection that carries
the requests; `address`, `options` and `handshake` open it. `wire` has the forms of requests and replies, `layout` the
forms of keys and values, `failures` the errors.

`near_store` puts a table of its own before the store, for `client_side`: `near` is the pure table, and `tracking` what
a connection adds to it.
"""

from __future__ import annotations

from urllib.parse import SplitResult

from cashews.backends.interface import Environment
from cashews.backends.redis.address import Directory, parse_address, parse_sentinels
from cashews.backends.redis.near_store import NearStore as NearStore
from cashews.backends.redis.options import RedisOptions as RedisOptions
from cashews.backends.redis.options import own_options as own_options
from cashews.backends.redis.sentinels import Sentinels
from cashews.backends.redis.store import RedisStore as RedisStore


def directory_of(url: SplitResult, options: RedisOptions, environment: Environment) -> Directory:
    """Return the place that a URL names: a server, or the sentinels that know where it is.

    :raises WrongOptionError: if the URL cannot be parsed, or a certificate cannot be read
    """
    if not url.scheme.endswith("+sentinel"):
        return parse_address(url, options)
    places, service, master = parse_sentinels(url, options)
    return Sentinels(places, service, master, patience=options.patience, clock=environment.clock)
