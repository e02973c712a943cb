"""The Redis store.

`connection` and `inbox`: one multiplexed connection. `commands`, `scripts`, `pages`: what is said on it. `store`: what
becomes of a message when the server fails.
"""

from __future__ import annotations

from cashews.backends.redis.address import parse_address as parse_address
from cashews.backends.redis.options import RedisOptions as RedisOptions
from cashews.backends.redis.store import RedisStore as RedisStore
