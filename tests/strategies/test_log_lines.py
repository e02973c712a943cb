"""Lines of the log at DEBUG, one for each thing that happens, and none while the level is higher."""

import logging
import re

import pytest

from tests.subjects import on_memory

NAME = "tests.strategies.test_log_lines.lines_of.<locals>.load"


@pytest.fixture
def debug(caplog):
    caplog.set_level(logging.DEBUG, "cashews")
    return caplog


async def lines_of(cache, origin, clock):
    @cache.early(ttl=90, early_ttl=10, key="{n}")
    async def load(n):
        return await origin(n)

    await load(1)
    await load(1)
    await clock.advance(11)
    await load(1)
    await cache.delete("early:1")
    await cache.delete_match("early:*")
    await cache.delete_tags("a", "b")
    await cache.delete_many("a", "b", "c", "d", "e")
    await cache.set("k", 1)


async def test_what_happens_is_logged(debug, cache, origin, clock):
    """The first message of a cache looks at the level of the log."""
    await lines_of(cache, origin, clock)
    said = [re.sub(r"\d\.\d{3} s", "N s", line) for line in debug.messages]
    once = [line for line in dict.fromkeys(said) if "N s" not in line]
    assert once == [
        f"miss: 'early:1', of {NAME}",
        f"stored: 'early:1', of {NAME}, for 90 s",
        f"hit: 'early:1', of {NAME}",
        f"refresh: 'early:1', of {NAME}",
        f"stale: 'early:1', of {NAME}",
        "invalidation: delete 'early:1'",
        "invalidation: delete_match 'early:*'",
        "invalidation: delete_tags 'a', 'b'",
        "invalidation: delete_many 'a', 'b', 'c' and 2 more",
    ]
    assert f"load: 'early:1', of {NAME}, N s" in said


async def test_nothing_is_logged_at_a_higher_level(caplog, cache, origin, clock):
    caplog.set_level(logging.INFO, "cashews")
    await lines_of(cache, origin, clock)
    assert caplog.messages == []


@on_memory
async def test_failures_refusals_and_uncached_calls_are_logged(debug, cache, origin):
    @cache(ttl=90, key="k", condition=lambda *_, **__: False)
    async def load():
        return await origin()

    @cache(ttl=90)
    async def keyless(_):
        return 1

    await load()
    origin.error = ValueError("a secret")
    with pytest.raises(ValueError, match="secret"):
        await load()
    await keyless(object())
    text = "\n".join(debug.messages)
    assert re.search(r"not stored: 'k', of .*load, by its condition", text)
    assert re.search(r"load: 'k', of .*load, \d.\d{3} s, failed: ValueError", text)
    assert re.search(r"uncached: '', of .*keyless, no key", text)
    assert "secret" not in text


@on_memory
async def test_a_level_that_changes_is_noticed_within_a_budget_of_messages(caplog, cache, origin):
    load = cache(ttl=90, key="k")(origin)
    caplog.set_level(logging.INFO, "cashews")
    for _ in range(300):
        await load()
    caplog.set_level(logging.DEBUG, "cashews")
    for _ in range(300):
        await load()
    hits = sum(line.startswith("hit") for line in caplog.messages)
    assert 300 - 128 <= hits <= 300
    caplog.set_level(logging.INFO, "cashews")
    for _ in range(300):
        await load()
    assert sum(line.startswith("hit") for line in caplog.messages) <= hits + 128
    assert load.statistics().hits == 899
