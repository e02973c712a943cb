"""The Redis store.

`store` has the map from each message to its command: a function in one of the six rooms `values`, `structures`,
`locks`, `tags`, `keys` and `transactions`. A command asks the server through `remote`, with one request or with one of
the `scripts`, whose Lua is in the folder `lua`. `servers` says which server has a key: there is one, or it is one of
the masters in the `topology` of a cluster. A scan takes a `survey` of them, from their `views`. `connection` and
`inbox` are the multiplexed connection that carries the requests; `address`, `options` and `handshake` open it. `wire`
has the forms of requests and replies, `layout` the forms of keys and values, `slots` those of a cluster's keys,
`failures` the errors.

`near_store` puts a table of its own before the store, for `client_side`: `near` is the pure table, and `tracking` what
a connection adds to it.
"""

from __future__ import annotations

from urllib.parse import SplitResult

from cashews.backends.interface import Environment
from cashews.backends.redis.address import Directory, parse_address, parse_cluster, parse_sentinels
from cashews.backends.redis.near import Near
from cashews.backends.redis.near_store import NearStore as NearStore
from cashews.backends.redis.options import RedisOptions as RedisOptions
from cashews.backends.redis.options import own_options as own_options
from cashews.backends.redis.sentinels import Sentinels
from cashews.backends.redis.servers import OneServer, Servers
from cashews.backends.redis.store import RedisStore as RedisStore
from cashews.backends.redis.topology import Topology
from cashews.backends.redis.tracking import Tracking


def store_of(url: SplitResult, options: RedisOptions, environment: Environment) -> RedisStore | NearStore:
    """Return the store that a URL names: of a server, of sentinels that know where it is, or of a cluster.

    :raises WrongOptionError: if the URL cannot be parsed, or a certificate cannot be read
    """
    near = Near(options.client_side_size, options.client_side_bytes) if options.client_side else None
    store = RedisStore(_servers_of(url, options, environment, near), options, environment)
    return store if near is None else NearStore(store, near, options, environment)


def _servers_of(url: SplitResult, options: RedisOptions, environment: Environment, near: Near | None) -> Servers:
    if options.cluster or url.scheme.endswith("+cluster"):
        options.check_cluster()
        return Topology(parse_cluster(url, options), options, environment, near)
    directory: Directory
    if url.scheme.endswith("+sentinel"):
        places, service, master = parse_sentinels(url, options)
        directory = Sentinels(places, service, master, patience=options.patience, clock=environment.clock)
    else:
        directory = parse_address(url, options)
    return OneServer(directory, options, environment, None if near is None else Tracking(near, options))
