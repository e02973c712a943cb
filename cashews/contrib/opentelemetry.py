"""Metrics and traces for OpenTelemetry, by its API package alone: the program chooses the SDK and the exporters.

There are no semantic conventions for caches yet, so the names begin with `cashews`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar

from cashews._typing import Self
from cashews._version import __version__
from cashews.api.cache import Cache
from cashews.api.face import engine_of
from cashews.backends.interface import CommandTracer, FindPlace, ServerPlace
from cashews.engine.observing import Answered, Event, Missed
from cashews.engine.refresher import Run
from cashews.engine.statistics import EngineStatistics
from cashews.engine.tracing import LoadTracer
from cashews.exceptions import MissingExtraError, WrongArgumentError
from cashews.messages import Message
from cashews.strategies.entry import Outcome

try:
    from opentelemetry import metrics, trace
except ImportError as error:
    raise MissingExtraError("opentelemetry", "opentelemetry") from error

T = TypeVar("T")
Figures: TypeAlias = Callable[[EngineStatistics], Iterable[tuple[float, dict[str, str]]]]
"""Gives the values of one metric, each with its attributes."""

_SCOPE: Final = "cashews"
_TRIGGER: ContextVar[trace.SpanContext | None] = ContextVar("cashews_trigger", default=None)
"""The span in which the refresh that runs here was asked for."""


class instrument:  # noqa: N801  a block, called like a function
    """``with instrument(cache):`` gives a cache's figures to the meter, and its loads to the tracer, until it ends.

    Metrics that are read when they are exported: `cashews.requests` by `cashews.result`, `cashews.loads` and
    `cashews.load.time`, which count calls of cached functions on every store; `cashews.reads` by `cashews.result`,
    `cashews.entries` and `cashews.evictions` of stores that count them; `cashews.refreshes` by `cashews.result`. The
    histogram `cashews.load.duration` and the spans have one value for each load, but for those of generators; a span
    is named after its function, and that of a refresh has no parent, and a link to the span that asked for it. Each
    command to Redis that is given within a span has a span of its own, by the conventions for clients of databases.

    :param meter_provider: where the metrics go, `None` for the provider of the process
    :param tracer_provider: where the spans go, likewise
    :param keys: show keys in spans; they may have personal data in them
    :param hits: note on the span of a caller whether its last call of a cached function was a hit, as `cache.hit` and
        `cache.ttl`; reads in memory go a longer way then
    :raises WrongArgumentError: on entering, if another block of the cache has not ended
    """

    def __init__(
        self,
        cache: Cache,
        *,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        keys: bool = False,
        hits: bool = False,
    ) -> None:
        self._cache = cache
        self._meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        self._keys = keys
        self._answers = AnswerNotes(keys=keys) if hits else None
        self._open = False

    def __enter__(self) -> Self:
        engine = engine_of(self._cache)
        if engine.observing.tracer is not None:
            raise WrongArgumentError("instrument()", self._cache.name or "cache", "a cache that no other block follows")
        self._open = True
        meter, observed = self._meter, self._callbacks
        meter.create_observable_counter(
            "cashews.requests", observed(_requests), "{request}", "Calls of cached functions by their result"
        )
        meter.create_observable_counter("cashews.loads", observed(_loads), "{load}", "Runs of cached functions")
        meter.create_observable_counter("cashews.load.time", observed(_load_time), "s", "The time that they took")
        meter.create_observable_counter(
            "cashews.reads", observed(_reads), "{read}", "Reads of the stores that count them, by their result"
        )
        meter.create_observable_up_down_counter(
            "cashews.entries", observed(_entries), "{entry}", "Values that are stored in memory"
        )
        meter.create_observable_counter(
            "cashews.evictions", observed(_evictions), "{entry}", "Values that were removed for lack of room"
        )
        meter.create_observable_counter(
            "cashews.refreshes", observed(_refreshes), "{refresh}", "Refreshes in the background by their end"
        )
        duration = meter.create_histogram("cashews.load.duration", "s", "Durations of loads")
        tracer = SpanTracer(self._tracer, duration, engine.clock.now, self._attributes(), keys=self._keys)
        engine.tracing.tracer = tracer
        engine.observing.follow_loads(tracer)
        if self._answers is not None:
            engine.observing.set_listening(self._answers, True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        engine = engine_of(self._cache)
        engine.tracing.tracer = None
        engine.observing.follow_loads(None)
        if self._answers is not None:
            engine.observing.set_listening(self._answers, False)
        self._open = False

    def _attributes(self) -> dict[str, str]:
        return {"cashews.cache": self._cache.name} if self._cache.name else {}

    def _callbacks(self, figures: Figures) -> list[Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]]:
        return [partial(self._observed, figures)]

    def _observed(self, figures: Figures, _options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        """Give what is to be exported of a kind of figures; nothing once the block has ended."""
        if self._open:
            for value, attributes in figures(self._cache.statistics()):
                yield metrics.Observation(value, {**self._attributes(), **attributes})


def _requests(figures: EngineStatistics) -> Iterator[tuple[int, dict[str, str]]]:
    calls = figures.calls
    counts = {"hit": calls.hits, "miss": calls.misses, "stale": calls.stale, "shared": calls.shared}
    return ((count, {"cashews.result": result}) for result, count in counts.items())


def _loads(figures: EngineStatistics) -> Iterator[tuple[int, dict[str, str]]]:
    yield figures.calls.loads, {}


def _load_time(figures: EngineStatistics) -> Iterator[tuple[float, dict[str, str]]]:
    yield figures.calls.load_seconds, {}


def _reads(figures: EngineStatistics) -> Iterator[tuple[int, dict[str, str]]]:
    return _of_backends(figures, {"hits": {"cashews.result": "hit"}, "misses": {"cashews.result": "miss"}})


def _entries(figures: EngineStatistics) -> Iterator[tuple[int, dict[str, str]]]:
    return _of_backends(figures, {"keys": {}})


def _evictions(figures: EngineStatistics) -> Iterator[tuple[int, dict[str, str]]]:
    return _of_backends(figures, {"evicted": {}})


def _refreshes(figures: EngineStatistics) -> Iterator[tuple[int, dict[str, str]]]:
    return ((figures.refreshes[end], {"cashews.result": end}) for end in ("done", "failed", "refused"))


def _of_backends(figures: EngineStatistics, wanted: dict[str, dict[str, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    for prefix, each in figures.backends.items():
        for name, attributes in wanted.items():
            if name in each:
                yield each[name], {"cashews.prefix": prefix, **attributes}


class AnswerNotes:
    """Notes on the current span whether a call was answered from the cache."""

    def __init__(self, *, keys: bool) -> None:
        self._keys = keys

    def __call__(self, event: Event) -> None:
        span = trace.get_current_span()
        if not (isinstance(event, (Answered, Missed)) and span.is_recording()):
            return
        span.set_attribute("cache.hit", isinstance(event, Answered))
        if isinstance(event, Answered) and event.ttl is not None:
            span.set_attribute("cache.ttl", event.ttl)
        if self._keys:
            span.set_attribute("cache.key", event.key)


class SpanTracer(LoadTracer, CommandTracer):
    """Makes a span of each load, and measures it; makes a span of each command to a server."""

    __slots__ = ("_attributes", "_duration", "_keys", "_now", "_tracer")

    def __init__(
        self,
        tracer: trace.Tracer,
        duration: metrics.Histogram,
        now: Callable[[], float],
        attributes: dict[str, str],
        *,
        keys: bool,
    ) -> None:
        self._tracer = tracer
        self._duration = duration
        self._now = now
        self._attributes = attributes
        self._keys = keys

    async def load(self, function: Callable[..., Any], key: str, run: Awaitable[T]) -> T:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        module = getattr(function, "__module__", None) or type(function).__module__
        attributes = {**self._attributes, "code.function.name": f"{module}.{name}"}
        trigger, begun = _TRIGGER.get(), self._now()
        links = [] if trigger is None else [trace.Link(trigger)]
        shown = {**attributes, "cache.key": key} if self._keys and key else attributes
        try:
            with self._tracer.start_as_current_span(f"load {name}", links=links, attributes=shown):
                return await run
        finally:
            self._duration.record(self._now() - begun, attributes)

    async def command(self, message: Message[Any], place: FindPlace, run: Awaitable[T]) -> T:
        if not trace.get_current_span().get_span_context().is_valid:  # nobody follows the work that it belongs to
            return await run
        name, size = message.command.value.upper(), len(message.keys)
        with self._tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT) as span:
            span.set_attributes({**self._attributes, "db.operation.name": name})
            if size > 1:
                span.set_attribute("db.operation.batch.size", size)
            try:
                return await run
            except Exception as error:
                span.set_attribute("error.type", f"{type(error).__module__}.{type(error).__qualname__}")
                raise
            finally:
                span.set_attributes(_facts_of(place()))

    def behind(self, run: Run) -> Run:
        return partial(self._behind, run, trace.get_current_span().get_span_context())

    async def _behind(self, run: Run, trigger: trace.SpanContext) -> Outcome:
        token = _TRIGGER.set(trigger if trigger.is_valid else None)
        try:
            return await run()
        finally:
            _TRIGGER.reset(token)


def _facts_of(place: ServerPlace | None) -> dict[str, str | int]:
    if place is None:
        return {}
    facts: dict[str, str | int] = {"db.system.name": place.system, "db.namespace": place.namespace}
    facts["server.address"] = place.address
    if place.port is not None:
        facts["server.port"] = place.port
    return facts
