"""Caching for asyncio and trio: decorators and strategies over several stores, on structured concurrency.

The names in `__all__` are public, and so are the modules of the package whose names have no underscore and that
`dir(cashews)` lists once they are imported. `cache` is a ready-made cache that needs `cache.setup(url)`; `mem` holds up
to a million values in memory. The decorators of `cache` are here under their own names.
"""

from __future__ import annotations

from cashews._version import __version__
from cashews.api.cache import Cache
from cashews.api.keying import noself
from cashews.api.settings import register_backend
from cashews.contrib import _starlette as _starlette
from cashews.engine.context import invalidate_further
from cashews.engine.key_context import key_context
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    CacheError,
    CircuitBreakerOpen,
    CounterOverflowError,
    CrossSlotError,
    DecodeError,
    EncodeError,
    EventLoopError,
    LoadCancelledError,
    LoadTimeoutError,
    LockedError,
    LockLostError,
    LockReenteredError,
    LockRefusedError,
    MissingExtraError,
    NoKeyError,
    NotAsyncError,
    NotConfiguredError,
    NotSupportedError,
    RateLimitError,
    SettingsError,
    SharedKeyError,
    SharedKeyWarning,
    TransactionConflictError,
    TransactionError,
    UnknownOptionError,
    UnknownSchemeError,
    UnstableKeyError,
    UnstableKeyWarning,
    WeakDigestWarning,
    WrongArgumentError,
    WrongKeyError,
    WrongOptionError,
    WrongTagError,
    WrongTokenError,
    WrongTTLError,
    WrongTypeError,
)
from cashews.helpers import add_prefix, all_keys_lower, fast_condition, memory_limit
from cashews.keys.compile import get_cache_key_template
from cashews.keys.context import register_key_context
from cashews.keys.formatter import default_formatter
from cashews.strategies.conditions import NOT_NONE, only_exceptions, with_exceptions
from cashews.typing import (
    TTL,
    Backend,
    BackendFactory,
    Blocking,
    BlockingCached,
    BlockingCachedIterator,
    BlockingCachedMany,
    BlockingFiltered,
    Cached,
    CachedIterator,
    CachedMany,
    Callback,
    CallStatistics,
    Cause,
    Clock,
    Command,
    CommitOutcome,
    Condition,
    Detector,
    Duration,
    Effect,
    EngineStatistics,
    Explanation,
    Filling,
    Filtered,
    Formatter,
    HeldLock,
    Interceptor,
    Message,
    Middleware,
    OnRemove,
    Proceed,
    Tag,
    Tags,
    Transaction,
    TransactionMode,
)

CacheDetect = Detector

cache = Cache("default")
mem: Cache
"""A cache of up to a million values in memory. It is made, and the memory store loaded, at its first use."""

setup = cache.setup
disable, enable, disabling = cache.disable, cache.enable, cache.disabling
early, soft, hit, dynamic, failover = cache.early, cache.soft, cache.hit, cache.dynamic, cache.failover
invalidate, transaction = cache.invalidate, cache.transaction
iterator = cache.iterator
locked, rate_limit, slice_rate_limit = cache.locked, cache.rate_limit, cache.slice_rate_limit
circuit_breaker, thunder_protection = cache.circuit_breaker, cache.thunder_protection
noself_cache = noself(cache)

_MODULES = (
    *("backends", "clock", "commands", "exceptions", "helpers", "messages"),
    *("serialize", "testing", "ttl", "typing"),
)
"""The modules that may be imported by path."""

__all__ = [
    "NOT_NONE",
    "TTL",
    "Backend",
    "BackendFactory",
    "Blocking",
    "BlockingCached",
    "BlockingCachedIterator",
    "BlockingCachedMany",
    "BlockingFiltered",
    "Cache",
    "CacheBackendInteractionError",
    "CacheClosedError",
    "CacheDetect",
    "CacheError",
    "Cached",
    "CachedIterator",
    "CachedMany",
    "CallStatistics",
    "Callback",
    "Cause",
    "CircuitBreakerOpen",
    "Clock",
    "Command",
    "CommitOutcome",
    "Condition",
    "CounterOverflowError",
    "CrossSlotError",
    "DecodeError",
    "Detector",
    "Duration",
    "Effect",
    "EncodeError",
    "EngineStatistics",
    "EventLoopError",
    "Explanation",
    "Filling",
    "Filtered",
    "Formatter",
    "HeldLock",
    "Interceptor",
    "LoadCancelledError",
    "LoadTimeoutError",
    "LockLostError",
    "LockReenteredError",
    "LockRefusedError",
    "LockedError",
    "Message",
    "Middleware",
    "MissingExtraError",
    "NoKeyError",
    "NotAsyncError",
    "NotConfiguredError",
    "NotSupportedError",
    "OnRemove",
    "Proceed",
    "RateLimitError",
    "SettingsError",
    "SharedKeyError",
    "SharedKeyWarning",
    "Tag",
    "Tags",
    "Transaction",
    "TransactionConflictError",
    "TransactionError",
    "TransactionMode",
    "UnknownOptionError",
    "UnknownSchemeError",
    "UnstableKeyError",
    "UnstableKeyWarning",
    "WeakDigestWarning",
    "WrongArgumentError",
    "WrongKeyError",
    "WrongOptionError",
    "WrongTTLError",
    "WrongTagError",
    "WrongTokenError",
    "WrongTypeError",
    "__version__",
    "add_prefix",
    "all_keys_lower",
    "cache",
    "circuit_breaker",
    "default_formatter",
    "disable",
    "disabling",
    "dynamic",
    "early",
    "enable",
    "failover",
    "fast_condition",
    "get_cache_key_template",
    "hit",
    "invalidate",
    "invalidate_further",
    "iterator",
    "key_context",
    "locked",
    "mem",
    "memory_limit",
    "noself",
    "noself_cache",
    "only_exceptions",
    "rate_limit",
    "register_backend",
    "register_key_context",
    "setup",
    "slice_rate_limit",
    "soft",
    "thunder_protection",
    "transaction",
    "with_exceptions",
]


def __getattr__(name: str) -> object:
    if name == "mem":
        made = Cache("mem")
        made.setup("mem://", size=1_000_000)
        return globals().setdefault("mem", made)  # that of another thread, if it was first
    from cashews._deprecated import deprecated  # noqa: PLC0415  hardly anybody asks

    return deprecated(__name__, name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in _MODULES if name in globals())})
