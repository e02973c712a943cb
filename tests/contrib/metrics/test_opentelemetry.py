"""Metrics and traces for OpenTelemetry, in the SDK's exporters in memory."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from cashews import Cache
from cashews.contrib.opentelemetry import SpanTracer, instrument
from cashews.exceptions import WrongArgumentError
from tests.contrib.metrics.calls import RESULTS, calls_of
from tests.servers import PATIENTLY, binaries


class Exported:
    """The providers of a test, and what has come to them."""

    def __init__(self):
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer = self.tracers.get_tracer("test")

    def metrics(self):
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def span(self, name):
        (span,) = [each for each in self.spans.get_finished_spans() if each.name == name]
        return span


@pytest.fixture
def exported():
    return Exported()


def instrumented(cache, exported, **options):
    return instrument(cache, meter_provider=exported.meters, tracer_provider=exported.tracers, **options)


def points(metric):
    return {tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points}


async def test_figures_have_names_units_and_no_keys(cache, exported):
    with instrumented(cache, exported):
        await cache.set("k", 1)
        await cache.get("k")
        await cache.get("absent")
        found = exported.metrics()
    hit, miss = ((("cashews.prefix", ""), ("cashews.result", result)) for result in ("hit", "miss"))
    assert points(found["cashews.reads"]) == {hit: 1, miss: 1}
    assert points(found["cashews.entries"]) == {(("cashews.prefix", ""),): 1}
    units = {"requests": "{request}", "loads": "{load}", "load.time": "s", "reads": "{read}", "evictions": "{entry}"}
    assert {name: found[f"cashews.{name}"].unit for name in units} == units
    assert "cashews.refreshes" in found
    assert exported.metrics().get("cashews.requests") is None  # the block has ended


async def test_requests_are_counted_on_every_store(stored, clock, exported):
    load = calls_of(stored, clock)
    with instrumented(stored, exported):
        await load()
        found = exported.metrics()
    results = {result: value for ((_, result),), value in points(found["cashews.requests"]).items()}
    assert results == RESULTS
    assert points(found["cashews.loads"]) == {(): 2}
    assert points(found["cashews.load.time"]) == {(): 2.0}


async def test_one_run_for_many_ids_is_one_span(cache, exported):
    @cache.many(ttl=60, key="n:{n}")
    async def squares(ids):
        return {n: n * n for n in ids}

    with instrumented(cache, exported, keys=True):
        await squares([1, 2])
    assert "cache.key" not in exported.span("load " + squares.__qualname__).attributes


async def test_a_load_is_a_span_beneath_the_caller_and_above_its_own(cache, clock, exported):
    @cache(ttl="1m", key="secret:{name}")
    async def value(name):
        with exported.tracer.start_as_current_span("query"):
            await clock.advance(2)
            return name

    with instrumented(cache, exported), exported.tracer.start_as_current_span("request"):
        await value("ann")
        await value("ann")
    load = exported.span("load " + value.__qualname__)
    assert load.parent.span_id == exported.span("request").context.span_id
    assert exported.span("query").parent.span_id == load.context.span_id
    assert "ann" not in str(load.attributes)
    duration = exported.metrics()["cashews.load.duration"]
    (point,) = duration.data.data_points
    assert (duration.unit, point.count, point.sum) == ("s", 1, 2.0)


async def test_keys_are_shown_if_they_are_asked_for(cache, exported):
    @cache(ttl="1m", key="user:{name}")
    async def value(name):
        return name

    with instrumented(cache, exported, keys=True):
        await value("ann")
    assert exported.span("load " + value.__qualname__).attributes["cache.key"] == "user:ann"


async def test_a_refresh_is_a_new_root_with_a_link_to_its_trigger(cache, clock, exported):
    @cache.early(ttl="1m", early_ttl="1s", key="k")
    async def value():
        return 1

    await value()
    await clock.advance(2)
    with instrumented(cache, exported):
        with exported.tracer.start_as_current_span("request"):
            await value()
        await clock.settle()
    refresh = exported.span("load " + value.__qualname__)
    assert refresh.parent is None
    assert [link.context.span_id for link in refresh.links] == [exported.span("request").context.span_id]


async def test_a_failure_is_noted_in_its_span(cache, exported):
    @cache(ttl="1m", key="k")
    async def value():
        raise ValueError("no")

    with instrumented(cache, exported), pytest.raises(ValueError, match="no"):
        await value()
    span = exported.span("load " + value.__qualname__)
    assert not span.status.is_ok
    assert span.events[0].name == "exception"


async def test_after_the_block_nothing_is_traced(cache, exported):
    @cache(ttl="1m", key="k")
    async def value():
        return 1

    with instrumented(cache, exported):
        pass
    await value()
    assert exported.spans.get_finished_spans() == ()


async def test_a_second_block_is_refused_and_the_first_goes_on(cache, exported):
    @cache(ttl=60, key="k:{x}")
    async def function(x):
        return x

    with instrumented(cache, exported):
        with pytest.raises(WrongArgumentError), instrumented(cache, exported):
            raise AssertionError
        await function(1)
    with instrumented(cache, exported):
        await function(2)
    assert len(exported.spans.get_finished_spans()) == 2


async def test_a_load_in_a_refresh_that_ends_is_no_longer_its_triggers(exported):
    """The link belongs to the refresh alone: its context may serve others afterwards."""
    tracer = SpanTracer(exported.tracer, exported.meters.get_meter("test").create_histogram("d"), float, {}, keys=False)

    async def run():
        return await tracer.load(run, "k", nothing())

    async def nothing():
        return None

    with exported.tracer.start_as_current_span("trigger"):
        behind = tracer.behind(run)
    await behind()
    await run()
    within, afterwards = [each for each in exported.spans.get_finished_spans() if each.name != "trigger"]
    assert (len(within.links), len(afterwards.links)) == (1, 0)


async def test_a_call_is_noted_on_the_span_of_its_caller(cache, exported):
    @cache(ttl="1m", key="user:{name}")
    async def value(name):
        return name

    with instrumented(cache, exported, hits=True):
        for name in ("first", "second"):
            with exported.tracer.start_as_current_span(name):
                await value("ann")
        await value("ann")  # in no span
    assert dict(exported.span("first").attributes) == {"cache.hit": False}
    assert dict(exported.span("second").attributes) == {"cache.hit": True, "cache.ttl": 60.0}
    with instrumented(cache, exported, hits=True, keys=True), exported.tracer.start_as_current_span("third"):
        await value("ann")
    assert exported.span("third").attributes["cache.key"] == "user:ann"
    with exported.tracer.start_as_current_span("fourth"):
        await value("ann")
    assert not exported.span("fourth").attributes


@pytest.mark.redis
@pytest.mark.parametrize("options", [{}, {"client_side": True}])
async def test_a_command_to_a_server_is_a_span_of_a_client(server, exported, options):
    async with Cache.open(server.url, **options) as cache:
        with instrumented(cache, exported):
            await cache.set("alone", 1)
            with exported.tracer.start_as_current_span("request"):
                await cache.set("secret", 1)
                await cache.delete_many("secret", "b", "c")
        with exported.tracer.start_as_current_span("later"):
            await cache.set("k", 1)
    spans = [span for span in exported.spans.get_finished_spans() if span.kind is SpanKind.CLIENT]
    assert [span.name for span in spans] == ["SET", "DELETE_MANY"]
    assert {span.parent.span_id for span in spans} == {exported.span("request").context.span_id}
    facts = dict(spans[1].attributes)
    assert (facts.pop("server.address"), facts.pop("server.port")) == (server.host, server.port)
    expected = {"db.system.name": "redis", "db.namespace": "0", "db.operation.name": "DELETE_MANY"}
    assert facts == {**expected, "db.operation.batch.size": 3}
    assert not any("secret" in str(span.to_json()) for span in spans)


@pytest.mark.redis
async def test_a_command_to_a_cluster_tells_of_the_master_that_has_its_keys(clusters, exported):
    from cashews.backends.redis.slots import slot_of  # noqa: PLC0415  it needs the extra `redis`

    cluster = clusters(next(iter(binaries())))
    keys = [f"key:{number}" for number in range(20)]
    async with Cache.open(f"{cluster.url}?{PATIENTLY}", suppress=False) as cache:
        await cache.get(keys[0])
        with instrumented(cache, exported), exported.tracer.start_as_current_span("request"):
            for key in keys:
                await cache.get(key)
            await cache.get_many(*keys)
    *alone, together = [span for span in exported.spans.get_finished_spans() if span.kind is SpanKind.CLIENT]
    ports = [span.attributes["server.port"] for span in alone]
    assert ports == [cluster.owner(slot_of(key)).port for key in keys]
    assert len(set(ports)) == 3
    assert "server.port" not in together.attributes


@pytest.mark.redis
async def test_a_command_that_fails_is_noted_in_its_span_though_it_is_suppressed(server, exported):
    async with Cache.open(server.url) as cache:
        await cache.set_add("k", "a")
        with instrumented(cache, exported), exported.tracer.start_as_current_span("request"):
            assert await cache.get("k") is None
    span = exported.span("GET")
    assert not span.status.is_ok
    assert span.attributes["error.type"].startswith("redis.exceptions.")
