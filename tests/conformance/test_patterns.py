"""Patterns: `*` alone means anything, every other character means itself."""

from __future__ import annotations

import re

import pytest

KEYS = [
    "",
    "a",
    "user.1",
    "userX1",
    "user:1",
    "user:10",
    "f(",
    "f(x)",
    "[ab]",
    "a?c",
    "abc",
    "^a$",
    "a\\b",
    "line\nbreak",
    "{x}",
    "a*b",
    "aXb",
    "+",
    "user:1:name",
    "aXbYb",
]
PATTERNS = [
    "*",
    "**",
    "",
    "a",
    "user.1",
    "user.*",
    "user:*",
    "user:1*",
    "*:1",
    "user:*:name",
    "f(*",
    "f(",
    "[ab]",
    "[*]",
    "a?c",
    "^a$",
    "^*",
    "a\\b",
    "line*",
    "line*break",
    "*\n*",
    "{*}",
    "a*b",
    "*b*b",
    "+",
    "*1*1*",
    "nothing*",
    "(a+)+b",
]


def expected(pattern: str) -> set[str]:
    """Which keys match, worked out by a regular expression in which everything but `*` is escaped."""
    regex = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    return {key for key in KEYS if regex.fullmatch(key)}


async def listed(items):
    return [item async for item in items]


async def fill(cache):
    await cache.set_many({key: f"value of {key}" for key in KEYS})


async def test_scan_and_get_match_agree_on_what_matches(cache):
    """Guarantee 4; D85."""
    await fill(cache)
    for pattern in PATTERNS:
        keys = sorted(expected(pattern))
        assert (pattern, sorted(await listed(cache.scan(pattern)))) == (pattern, keys)
        pairs = [(key, f"value of {key}") for key in keys]
        assert (pattern, sorted(await listed(cache.get_match(pattern)))) == (pattern, pairs)


async def test_delete_match_removes_what_matches_and_nothing_else(cache):
    """Guarantee 4; D49, D70, D85."""
    for pattern in PATTERNS:
        await fill(cache)
        assert await cache.delete_match(pattern) is None
        assert (pattern, set(await listed(cache.scan("*")))) == (pattern, set(KEYS) - expected(pattern))


@pytest.mark.parametrize("batch_size", [1, 100_000])
async def test_more_than_one_page_is_answered_whole_and_each_key_once(cache, subject, batch_size):
    values = {f"k{number}": number for number in range(subject.many)}
    await cache.set_many(values)
    await cache.set_many({f"other{number}": number for number in range(50)})
    keys = await listed(cache.scan("k*", batch_size=batch_size))
    assert sorted(keys) == sorted(values)
    assert dict(await listed(cache.get_match("k*", batch_size=batch_size))) == values
    await cache.delete_match("k*")
    assert await cache.get_keys_count() == 50


async def test_sets_and_bits_are_keys_but_no_values(cache):
    await cache.set_add("k:set", "a")
    await cache.incr_bits("k:bits", 1)
    await cache.set("k:value", 1)
    assert sorted(await listed(cache.scan("k:*"))) == ["k:bits", "k:set", "k:value"]
    assert await listed(cache.get_match("k:*")) == [("k:value", 1)]
    await cache.delete_match("k:*")
    assert await cache.get_keys_count() == 0


async def test_keys_may_be_changed_while_they_are_scanned(cache, subject):
    """D112: what was there all the time is found exactly once, and the scan ends."""
    await cache.set_many({f"k{number:04}": number for number in range(min(5_000, subject.many))})
    seen = []
    async for key in cache.scan("k*"):
        seen.append(key)
        await cache.set(f"k-new-{len(seen)}", 1)
        await cache.delete(f"k{len(seen) - 1:04}")
    kept = [key for key in seen if "new" not in key]
    assert len(kept) == len(set(kept))
    assert seen[0] in kept


async def test_a_key_deleted_before_its_page_is_not_answered(cache, subject):
    await cache.set_many({f"k{number}": number for number in range(subject.many)})
    pages = cache.get_match("k*")
    first = await pages.__anext__()
    await cache.delete_match("k*")
    rest = await listed(pages)
    assert len([first, *rest]) < subject.many
    assert await listed(cache.scan("*")) == []


@pytest.mark.parametrize("batch_size", [0, -1])
async def test_a_page_has_at_least_one_key(cache, batch_size):
    with pytest.raises(ValueError, match=r"batch_size is .*; allowed: an integer from 1"):
        await listed(cache.scan("*", batch_size=batch_size))
    with pytest.raises(ValueError, match=r"batch_size is .*; allowed: an integer from 1"):
        await listed(cache.get_match("*", batch_size=batch_size))


async def test_a_pattern_takes_linear_time(cache):
    """Seen under load: one `(a+)+b` froze the loop for 2.3 s."""
    await cache.set("a" * 5_000, 1)
    pattern = "*".join(["a" * 20] * 100) + "b"
    assert await listed(cache.scan(pattern)) == []
    assert await listed(cache.scan("*a" * 1_000 + "*")) == ["a" * 5_000]


async def test_a_scan_may_be_left_early(cache):
    """Guarantee 28: no warning about a generator that was not exhausted, on any loop."""
    await cache.set_many({f"k{number}": number for number in range(10)})
    async for _ in cache.scan("*"):
        break
    async for _ in cache.get_match("*"):
        break
