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

from cashews.backends.redis.address import parse_address as parse_address
from cashews.backends.redis.near_store import NearStore as NearStore
from cashews.backends.redis.options import RedisOptions as RedisOptions
from cashews.backends.redis.options import own_options as own_options
from cashews.backends.redis.store import RedisStore as RedisStore
