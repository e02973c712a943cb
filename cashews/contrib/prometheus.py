"""Metrics for Prometheus: a collector that reads the figures of a cache, and a middleware that measures commands.

`CacheCollector` costs a command nothing: it reads `statistics()` when Prometheus asks. The middleware sees every
command and its latency. In the multiprocess mode of prometheus_client custom collectors are left out, the middleware's
metrics are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from cashews._typing import ABSENT
from cashews.api.cache import Cache
from cashews.api.face import engine_of
from cashews.clock import SystemClock
from cashews.commands import Command
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.counts import CallStatistics
from cashews.keys.tags import TAG_LABELS
from cashews.messages import Message, OneKey
from cashews.serialize.optional import load

_BUCKETS: Final = (0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_READS: Final = frozenset({Command.GET, Command.GET_RAW})

CALL_COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "loads": ("cashews_loads", "Runs of cached functions"),
    "load_seconds": ("cashews_load_seconds", "The seconds that they took"),
    "errors": ("cashews_load_errors", "Those that raised"),
    "refused": ("cashews_refused", "Results that were not stored, since the options of the decorator say so"),
}
"""The counters by the name of their figure of cached functions, on every store."""
COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "hits": ("cashews_hits", "Reads of a store that found a value"),
    "misses": ("cashews_misses", "Reads of a store that found none"),
    "evicted": ("cashews_evictions", "Values that were removed for lack of room"),
    "expired": ("cashews_expirations", "Values that were removed at their deadline"),
    "decode_failures": ("cashews_decode_failures", "Stored values that could not be read"),
}
"""The counters by the name of their figure, for every backend that has it."""
REDIS_COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "commands": ("cashews_redis_commands", "Commands that were sent to the server"),
    "batches": ("cashews_redis_batches", "Writes to the connections, each with one command or more"),
    "connects": ("cashews_redis_connects", "Connections that were made"),
}


def _client() -> Any:
    return load("prometheus_client", "prometheus")


# --- figures


class CacheCollector:
    """Reads the figures of a cache when it is asked: ``REGISTRY.register(CacheCollector(cache))``.

    :param name: the value of the label `cache`; by default the cache's name
    :raises MissingExtraError: if prometheus_client is not installed
    """

    def __init__(self, cache: Cache, *, name: str | None = None) -> None:
        self._core = load("prometheus_client.core", "prometheus")
        self._cache = cache
        self._name = cache.name if name is None else name

    def describe(self) -> list[Any]:
        """Return no metrics, so that a registry lets several caches have a collector each."""
        return []

    def collect(self) -> Iterator[Any]:
        """Give all metrics."""
        figures = self._cache.statistics()
        yield from self._of_calls(figures.calls)
        yield from self._of_backends(figures.backends)
        yield self._gauge("cashews_load_waiters", "Calls that wait for the load of another call", figures.load_waiters)
        yield self._gauge("cashews_lock_waiters", "Calls that wait for a lock", figures.lock_waiters)
        yield self._gauge("cashews_loads_in_flight", "Loads that run", figures.loads)
        outcomes = {cause: figures.refreshes[cause] for cause in ("done", "failed", "refused")}
        yield self._counter("cashews_refreshes", "Refreshes in the background, by their end", "cause", outcomes)
        yield self._counter("cashews_uncached", "Calls that were not cached, by reason", "cause", figures.uncached)

    def _of_calls(self, calls: CallStatistics) -> Iterator[Any]:
        results = {"hit": calls.hits, "miss": calls.misses, "stale": calls.stale, "shared": calls.shared}
        yield self._counter("cashews_requests", "Calls of cached functions, by their result", "result", results)
        for figure, (name, text) in CALL_COUNTERS.items():
            family = self._core.CounterMetricFamily(name, text, labels=["cache"])
            family.add_metric([self._name], getattr(calls, figure))
            yield family

    def _of_backends(self, backends: Mapping[str, Mapping[str, int]]) -> Iterator[Any]:
        engine = engine_of(self._cache)
        labels = {prefix: [self._name, prefix, engine.backend_at(prefix).name] for prefix in backends}
        entries = self._core.GaugeMetricFamily("cashews_entries", "Values that are stored", labels=_BACKEND)
        for prefix, figures in backends.items():
            if "keys" in figures:
                entries.add_metric(labels[prefix], figures["keys"])
        yield entries
        redis = {prefix: figures for prefix, figures in backends.items() if "connects" in figures}
        for table, concerned in ((COUNTERS, backends), (REDIS_COUNTERS, redis)):
            for figure, (name, text) in table.items():
                family = self._core.CounterMetricFamily(name, text, labels=_BACKEND)
                for prefix, figures in concerned.items():
                    if figure in figures:
                        family.add_metric(labels[prefix], figures[figure])
                yield family

    def _gauge(self, name: str, text: str, value: int) -> Any:
        family = self._core.GaugeMetricFamily(name, text, labels=["cache"])
        family.add_metric([self._name], value)
        return family

    def _counter(self, name: str, text: str, label: str, values: Mapping[str, int]) -> Any:
        family = self._core.CounterMetricFamily(name, text, labels=["cache", label])
        for each, value in values.items():
            family.add_metric([self._name, each], value)
        return family


_BACKEND: Final = ["cache", "prefix", "backend"]


# --- commands


def create_metrics_middleware(*, with_tag: bool = False, registry: Any = None) -> MetricsMiddleware:
    """Return a middleware that measures commands: ``cache.setup(url, middlewares=(create_metrics_middleware(),))``.

    `cashews_operations_latency_seconds` is a histogram by `operation`, `cashews_get_operation_total` a counter of reads
    by `result`, hit or miss. A read in memory goes a longer way then: see `CacheCollector` for figures without a cost.

    :param with_tag: tell commands apart by `tag`, too: the tag templates of the function whose key it is
    :param registry: the registry of prometheus_client; its default one if `None`
    :raises MissingExtraError: if prometheus_client is not installed
    """
    return MetricsMiddleware(*_families(_client().REGISTRY if registry is None else registry, with_tag), with_tag)


@lru_cache(maxsize=16)
def _families(registry: Any, with_tag: bool) -> tuple[Any, Any]:  # noqa: FBT001  a part of the key
    """Return the two metrics of a registry; they are made once, whoever asks."""
    client, tag = _client(), ("tag",) if with_tag else ()
    latency = client.Histogram(
        "cashews_operations_latency_seconds",
        "Latency of commands of a cache",
        ("operation", *tag),
        buckets=_BUCKETS,
        registry=registry,
    )
    reads = client.Counter(
        "cashews_get_operation", "Reads of a cache by their result", ("result", *tag), registry=registry
    )
    return latency, reads


class MetricsMiddleware(Interceptor):
    """Measures the commands that pass."""

    def __init__(self, latency: Any, reads: Any, with_tag: bool) -> None:  # noqa: FBT001  see above
        self._latency = latency
        self._reads = reads
        self._with_tag = with_tag
        self._now = SystemClock().now

    def concerns(self, command: Command) -> bool:
        return True

    async def __call__(self, message: Message[Any], proceed: Proceed) -> Any:
        tag = (TAG_LABELS.of(message.keys[0] if message.keys else ""),) if self._with_tag else ()
        begun = self._now()
        try:
            reply = await proceed(message)
        finally:
            self._latency.labels(message.command.value, *tag).observe(self._now() - begun)
        if message.command in _READS and isinstance(message, OneKey):
            missed = reply is ABSENT or reply is getattr(message, "default", None)
            self._reads.labels("miss" if missed else "hit", *tag).inc()
        return reply
