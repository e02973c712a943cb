"""Caching for asyncio and trio: decorators and strategies over several stores, on structured concurrency.

The names below are the public ones. `cache` is a ready-made cache that wants `cache.setup(url)`; `mem` keeps a million
values in memory. The decorators of `cache` are here under their own names.
"""

from __future__ import annotations

from cashews._typing import TTL as TTL
from cashews._version import __version__ as __version__
from cashews.api.cache import Cache as Cache
from cashews.api.keying import noself as noself
from cashews.api.settings import register_backend as register_backend
from cashews.backends.interface import Backend as Backend
from cashews.clock import Clock as Clock
from cashews.commands import Command as Command
from cashews.engine.context import Detector as Detector
from cashews.engine.context import invalidate_further as invalidate_further
from cashews.engine.coordinator.transaction import TransactionMode as TransactionMode
from cashews.exceptions import CacheBackendInteractionError as CacheBackendInteractionError
from cashews.exceptions import CacheError as CacheError
from cashews.exceptions import CircuitBreakerOpen as CircuitBreakerOpen
from cashews.exceptions import LockedError as LockedError
from cashews.exceptions import LockLostError as LockLostError
from cashews.exceptions import LockRefusedError as LockRefusedError
from cashews.exceptions import RateLimitError as RateLimitError
from cashews.exceptions import TransactionError as TransactionError
from cashews.helpers import add_prefix as add_prefix
from cashews.helpers import all_keys_lower as all_keys_lower
from cashews.helpers import fast_condition as fast_condition
from cashews.helpers import memory_limit as memory_limit
from cashews.keys.compile import get_cache_key_template as get_cache_key_template
from cashews.keys.context import key_context as key_context
from cashews.keys.context import register_key_context as register_key_context
from cashews.keys.formatter import default_formatter as default_formatter
from cashews.messages.values import Cause as Cause
from cashews.strategies.conditions import NOT_NONE as NOT_NONE
from cashews.strategies.conditions import only_exceptions as only_exceptions
from cashews.strategies.conditions import with_exceptions as with_exceptions

CacheDetect = Detector

cache = Cache("default")
mem = Cache("mem")
mem.setup("mem://", size=1_000_000)

setup = cache.setup
disable, enable, disabling = cache.disable, cache.enable, cache.disabling
early, soft, hit, dynamic, failover = cache.early, cache.soft, cache.hit, cache.dynamic, cache.failover
invalidate, transaction = cache.invalidate, cache.transaction
iterator = cache.iterator
locked, rate_limit, slice_rate_limit = cache.locked, cache.rate_limit, cache.slice_rate_limit
circuit_breaker, thunder_protection = cache.circuit_breaker, cache.thunder_protection
noself_cache = noself(cache)
