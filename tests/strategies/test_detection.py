"""Detection of stored results: an event of each decorator that stores, with the deadline of its strategy."""

from tests.subjects import on_memory


@on_memory
async def test_stored_results_are_detected_beside_answers(cache, clock, origin):
    @cache.early(ttl=90, early_ttl=30, key="{n}")
    async def load(n):
        return await origin(n)

    with cache.detect as detector:
        await load(1)
        assert detector.calls == {}
        assert detector.stored == {"early:1": {"name": "early", "ttl": 90, "backend": "mem"}}
        deadline = detector.deadlines["early:1"]
        assert clock.wall() < deadline <= clock.wall() + 90
        detector.clear()
        assert (detector.stored, detector.deadlines) == ({}, {})
        await load(1)
    assert detector.stored == {}
    assert (list(detector.calls), detector.deadlines) == (["early:1"], {"early:1": deadline})


@on_memory
async def test_many_and_iterator_tell_what_they_store(cache):
    @cache.many(ttl=60, key="n:{n}")
    async def squares(ids):
        return {n: n * n for n in ids}

    @cache.iterator(ttl=60, key="items")
    async def items():
        yield 1

    with cache.detect as detector:
        await squares([1, 2])
        assert [item async for item in items()] == [1]
    assert {key: record["name"] for key, record in detector.stored.items()} == {
        "n:1": "many",
        "n:2": "many",
        "items": "iterator",
    }


@on_memory
async def test_results_that_are_refused_or_overtaken_are_not_told(cache):
    @cache(ttl=60, key="refused", condition=lambda *_, **__: False)
    async def refused():
        return 1

    @cache(ttl=60, key="overtaken")
    async def overtaken():
        await cache.delete("overtaken")
        return 1

    with cache.detect as detector:
        await refused()
        await overtaken()
    assert detector.stored == {}
