"""The types for annotations in programs that use a cache; the package itself exports them, too."""

from __future__ import annotations

from cashews._typing import TTL, Duration
from cashews.api.blocking import Blocking
from cashews.api.decorated import Cached, CachedIterator, CachedMany, Filtered
from cashews.api.decorated_plain import BlockingCached, BlockingCachedIterator, BlockingCachedMany, BlockingFiltered
from cashews.api.filling import Filling
from cashews.api.settings import BackendFactory
from cashews.backends.interface import Backend
from cashews.clock import Clock
from cashews.commands import Command, Effect
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.context import Detector
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.modes import TransactionMode
from cashews.engine.coordinator.transaction import Transaction
from cashews.engine.counts import CallStatistics
from cashews.engine.interceptors import Callback, Middleware
from cashews.engine.statistics import EngineStatistics
from cashews.keys.formatter import Formatter
from cashews.keys.tags import Tag, Tags
from cashews.messages import CommitOutcome, Message
from cashews.messages.values import Cause, OnRemove
from cashews.runners.explanation import Explanation
from cashews.strategies.conditions import Condition

__all__ = [
    "TTL",
    "Backend",
    "BackendFactory",
    "Blocking",
    "BlockingCached",
    "BlockingCachedIterator",
    "BlockingCachedMany",
    "BlockingFiltered",
    "Cached",
    "CachedIterator",
    "CachedMany",
    "CallStatistics",
    "Callback",
    "Cause",
    "Clock",
    "Command",
    "CommitOutcome",
    "Condition",
    "Detector",
    "Duration",
    "Effect",
    "EngineStatistics",
    "Explanation",
    "Filling",
    "Filtered",
    "Formatter",
    "HeldLock",
    "Interceptor",
    "Message",
    "Middleware",
    "OnRemove",
    "Proceed",
    "Tag",
    "Tags",
    "Transaction",
    "TransactionMode",
]
