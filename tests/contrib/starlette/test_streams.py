"""Streamed responses as results of cached functions (guarantees 8, 9, 10 and 29)."""

import gc

import anyio
import pytest
from starlette.responses import StreamingResponse

from cashews import Cache
from cashews.contrib import _starlette
from cashews.strategies.replay import kind_of_live


class Films:
    """A cached function that streams; each run takes a number."""

    def __init__(self, cache, decorator=None, pieces=("a", "", b"b"), fail=False):
        self.runs = 0
        self.gate = self.opened = None
        self.pieces = pieces
        self.fail = fail
        self.closed = 0
        self.get = (decorator or cache(ttl="1m", key="film"))(self._get)

    async def _get(self):
        self.runs += 1
        run = self.runs
        if self.opened is not None:
            await self.opened.wait()
        self.body = self._body(run)
        return StreamingResponse(self.body, 203, {"x-run": str(run), "x-a": "1; b=2"}, media_type="text/film")

    async def _body(self, run):
        try:
            yield f"{run}:"
            for piece in self.pieces:
                if self.gate is not None:
                    await self.gate.wait()
                yield piece
            if self.fail:
                raise ValueError("torn")
        finally:
            self.closed += 1

    async def __call__(self, scope, receive, send):
        response = await self.get()
        await response(scope, receive, send)


def facts(answer):
    fields = {name: answer[name] for name in ("content-type", "x-run", "x-a")}
    return answer.status, answer.body, fields


EXPECTED = (203, b"1:ab", {"content-type": "text/film; charset=utf-8", "x-run": "1", "x-a": "1; b=2"})


async def test_a_stream_passes_while_it_is_written_down_and_is_replayed(cache, client_of, clock):
    films = Films(cache)
    films.gate = anyio.Event()
    first = client_of(films).start()
    await clock.settle()
    assert first.body == b"1:"
    assert await cache.get("film") is None
    films.gate.set()
    await first.ended.wait()
    assert facts(first) == EXPECTED
    assert [facts(await client_of(films).get()) for _ in range(2)] == [EXPECTED] * 2
    assert films.runs == 1


async def test_concurrent_first_calls_each_have_a_stream_of_their_own(cache, client_of, clock):
    films = Films(cache)
    films.gate = anyio.Event()
    answers = [client_of(films).start() for _ in range(3)]
    await clock.settle()
    films.gate.set()
    for answer in answers:
        await answer.ended.wait()
    assert [answer.body[1:] for answer in answers] == [b":ab"] * 3
    assert films.runs == 3
    assert (await client_of(films).get()).body[1:] == b":ab"
    assert films.runs == 3


@pytest.mark.parametrize("ending", ["left", "failed", "too long"])
async def test_what_is_not_read_to_its_end_is_not_stored_and_leaves_no_permit(cache, client_of, ending):
    films = Films(cache, fail=ending == "failed", pieces=(b"x" * 2**20,) * 9 if ending == "too long" else ("a",))
    if ending == "left":
        films.gate = anyio.Event()
        response = await films.get()
        body = response.body_iterator
        assert await anext(body) == b"1:"
        assert cache.statistics().loads == 1
        del response, body
        await films.body.aclose()  # its own iterator is Starlette's to close, and is not closed there
    elif ending == "failed":
        with pytest.raises(Exception) as failure:  # noqa: PT011  older releases of Starlette raise a group
            await client_of(films).get()
        (error,) = getattr(failure.value, "exceptions", (failure.value,))
        assert repr(error) == "ValueError('torn')"
    else:
        assert len((await client_of(films).get()).body) > 9 * 2**20
    gc.collect()
    assert await cache.get("film") is None
    assert cache.statistics().loads == 0


async def test_an_invalidation_overtakes_a_stream(cache, client_of, clock):
    films = Films(cache)
    films.gate = anyio.Event()
    answer = client_of(films).start()
    await clock.settle()
    await cache.delete("film")
    films.gate.set()
    await answer.ended.wait()
    assert await cache.get("film") is None


async def test_a_refresh_reads_its_stream_itself(cache, client_of, clock):
    films = Films(cache, cache.early(ttl="1m", early_ttl="10s", key="film"))
    client = client_of(films)
    assert facts(await client.get()) == EXPECTED
    await clock.advance(20)
    assert facts(await client.get()) == EXPECTED
    await clock.settle()
    assert (films.runs, (await client.get()).body) == (2, b"2:ab")


async def test_with_a_soft_timeout_the_engine_reads_the_stream(cache, client_of, clock):
    films = Films(cache, cache.soft(ttl="1m", soft_ttl="10s", soft_timeout="1s", key="film"))
    client = client_of(films)
    await client.get()
    await clock.advance(20)
    assert (await client.get()).body == b"2:ab"
    assert (await client.get()).body == b"2:ab"


async def test_a_stream_too_long_for_the_engine_leaves_the_old_one_to_its_caller(cache, client_of, clock, monkeypatch):
    """Guarantee 29. Such a refresh counts as failed. Without an old value the caller has the stream itself."""
    monkeypatch.setattr(_starlette, "MOST_BYTES", 5)
    films = Films(cache, cache.soft(ttl="1m", soft_ttl="10s", soft_timeout="1s", key="film"))
    client = client_of(films)
    await client.get()
    await clock.advance(20)
    films.pieces = ("long", "er")
    assert [(await client.get()).body for _ in range(2)] == [b"1:ab"] * 2
    assert cache.statistics().refreshes["failed"] == 2
    await clock.advance(60)
    assert (await client.get()).body == b"4:longer"


async def test_a_stream_of_another_class_is_not_stored(cache, client_of):
    class Events(StreamingResponse):
        pass

    runs = []

    @cache(ttl="1m", key="events")
    async def events():
        runs.append(1)
        return Events(iter(["event"]))

    async def app(scope, receive, send):
        await (await events())(scope, receive, send)

    client = client_of(app)
    assert [(await client.get()).body for _ in range(2)] == [b"event"] * 2
    assert len(runs) == 2
    assert cache.statistics().uncached == {"not encoded": 2}


def test_the_ancestors_of_a_result_are_not_looked_through():
    """A class may have many of them, and each load has a result."""

    class Watched(type):
        def __getattribute__(cls, name):
            asked.append(name)
            return super().__getattribute__(name)

    class Item(metaclass=Watched):
        pass

    asked = []
    assert kind_of_live(Item()) is None
    assert asked == []


@pytest.mark.parametrize("codec", ["pickle", "json"])
async def test_other_processes_replay_a_stream(clock, client_of, codec):
    async with Cache.open("mem://", clock=clock, pickle_type=codec) as cache:
        films = Films(cache)
        assert facts(await client_of(films).get()) == facts(await client_of(films).get()) == EXPECTED
        assert films.runs == 1


async def test_streams_that_are_refused_are_not_shared_either(cache, client_of, clock):
    decorator = cache(ttl="1m", key="film", condition=lambda *_, **__: False)
    films = Films(cache, decorator)
    films.opened = anyio.Event()
    answers = [client_of(films).start() for _ in range(3)]
    await clock.settle()
    films.opened.set()
    for answer in answers:
        await answer.ended.wait()
    assert sorted(answer.body for answer in answers) == [b"1:ab", b"2:ab", b"3:ab"]
    assert cache.statistics().calls.refused == 3
