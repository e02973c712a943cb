"""Metrics for Prometheus: what a scrape gives is what `statistics()` says."""

import pytest
from prometheus_client import CollectorRegistry

from cashews import Cache
from cashews.contrib.prometheus import CacheCollector, create_metrics_middleware
from cashews.exceptions import CacheBackendInteractionError
from tests.contrib.metrics.calls import RESULTS, calls_of


@pytest.fixture
def registry():
    return CollectorRegistry()


async def test_a_scrape_gives_the_statistics(cache, registry):
    registry.register(CacheCollector(cache, name="shop"))

    @cache.early(ttl="1h", early_ttl="1s", key="k")
    async def value():
        return 1

    await value()
    await value()
    await cache.get("absent")
    figures, store = cache.statistics(), cache.statistics().backends[""]
    labels = {"cache": "shop", "prefix": "", "backend": "mem"}
    assert registry.get_sample_value("cashews_hits_total", labels) == store["hits"] > 0
    assert registry.get_sample_value("cashews_misses_total", labels) == store["misses"] > 0
    assert registry.get_sample_value("cashews_entries", labels) == store["keys"] == 1
    assert registry.get_sample_value("cashews_loads_in_flight", {"cache": "shop"}) == figures.loads == 0
    assert registry.get_sample_value("cashews_refreshes_total", {"cache": "shop", "cause": "done"}) == 0
    assert registry.get_sample_value("cashews_redis_connects_total", labels) is None


async def test_requests_are_counted_on_every_store(stored, clock, registry):
    registry.register(CacheCollector(stored, name="shop"))
    await calls_of(stored, clock)()
    found = {
        result: registry.get_sample_value("cashews_requests_total", {"cache": "shop", "result": result})
        for result in RESULTS
    }
    assert found == RESULTS
    figures = {
        name: registry.get_sample_value(f"cashews_{name}_total", {"cache": "shop"})
        for name in ("loads", "load_seconds", "load_errors", "refused")
    }
    assert figures == {"loads": 2, "load_seconds": 2, "load_errors": 0, "refused": 0}


@pytest.mark.redis
async def test_a_server_has_figures_of_its_own(server, registry):
    async with Cache.open(server.url) as cache:
        registry.register(CacheCollector(cache))
        await cache.set("k", 1)
        labels = {"cache": "", "prefix": "", "backend": "redis"}
        assert registry.get_sample_value("cashews_redis_connects_total", labels) >= 1
        assert registry.get_sample_value("cashews_redis_commands_total", labels) >= 1


async def test_several_caches_have_a_collector_each(cache, clock, registry):
    async with Cache.open("mem://", clock=clock, name="other") as other:
        registry.register(CacheCollector(cache, name="one"))
        registry.register(CacheCollector(other))
        assert registry.get_sample_value("cashews_load_waiters", {"cache": "one"}) == 0
        assert registry.get_sample_value("cashews_load_waiters", {"cache": "other"}) == 0


async def test_a_collector_that_is_registered_twice_is_asked_once(cache, registry):
    collector = CacheCollector(cache, name="one")
    registry.register(collector)
    registry.register(collector)
    assert [family.name for family in registry.collect()].count("cashews_load_waiters") == 1
    registry.unregister(collector)
    assert list(registry.collect()) == []


async def test_the_middleware_counts_reads_and_measures_commands(clock, registry):
    middleware = create_metrics_middleware(registry=registry)
    async with Cache.open("mem://", middlewares=(middleware,), clock=clock) as cache:
        await cache.set("k", 1)
        await cache.get("k")
        await cache.get("absent")
    assert registry.get_sample_value("cashews_get_operation_total", {"result": "hit"}) == 1
    assert registry.get_sample_value("cashews_get_operation_total", {"result": "miss"}) == 1
    assert registry.get_sample_value("cashews_operations_latency_seconds_count", {"operation": "get"}) == 2
    assert registry.get_sample_value("cashews_operations_latency_seconds_count", {"operation": "set"}) == 1


async def test_a_command_that_fails_is_measured_too(clock, registry):
    async def failing(_call, cmd, _backend, *_args, **_kwargs):
        raise CacheBackendInteractionError(cmd.value)

    middlewares = (create_metrics_middleware(registry=registry), failing)
    async with Cache.open("mem://", middlewares=middlewares, clock=clock) as cache:
        with pytest.raises(CacheBackendInteractionError):
            await cache.get("k")
    assert registry.get_sample_value("cashews_operations_latency_seconds_count", {"operation": "get"}) == 1
    assert registry.get_sample_value("cashews_get_operation_total", {"result": "miss"}) is None


async def test_a_tag_is_the_template_whatever_the_arguments(clock, registry):
    middleware = create_metrics_middleware(with_tag=True, registry=registry)
    async with Cache.open("mem://", middlewares=(middleware,), clock=clock) as cache:

        @cache(ttl="1m", key="metrics-item:{number}", tags=["metrics", "metrics:{number}"])
        async def item(number):
            return number

        for number in (1, 2, 1):
            await item(number)
        await cache.get("other")
    tag = "metrics,metrics:{number}"
    assert registry.get_sample_value("cashews_get_operation_total", {"result": "hit", "tag": tag}) == 1
    assert registry.get_sample_value("cashews_get_operation_total", {"result": "miss", "tag": tag}) == 2
    assert registry.get_sample_value("cashews_get_operation_total", {"result": "miss", "tag": ""}) == 1


def test_a_second_middleware_shares_the_metrics_of_its_registry(registry):
    assert create_metrics_middleware(registry=registry) is not create_metrics_middleware(registry=registry)
    create_metrics_middleware()
    create_metrics_middleware(with_tag=False)
