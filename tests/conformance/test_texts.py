"""Text of any kind is a key, a tag, a member, a token: also what has no form in UTF-8, as names of files may have."""

from __future__ import annotations

import os

import pytest

TEXTS = [
    os.fsdecode(b"\x80"),
    os.fsdecode(b"a\xffb"),
    "\udc80\udc80",
    "a\ufdd0",
    "\ufdd0",
    "\ufdd0dc80",
    "\ufdd0fdd0",
    "\ufdd0dc8",
    "\ufdd1",
    "é",
    "\udcc3\udca9",
    "\U0001f601",
    "dc80",
]
"""Texts that a store might take for each other."""
WHOLE = "\ud83d\ude00"
"""Two halves of a character that are no whole one."""


async def test_texts_are_different_keys(cache):
    for number, text in enumerate(TEXTS):
        assert await cache.set(text, number, exist=False)
    assert await cache.get_many(*TEXTS) == tuple(range(len(TEXTS)))
    assert [await cache.exists(text) for text in TEXTS] == [True] * len(TEXTS)
    for number, text in enumerate(TEXTS):
        assert await cache.incr(text) == number + 1
        assert await cache.delete(text)
        assert not await cache.exists(text)


async def test_many_values_are_set_and_deleted_under_any_text(cache):
    await cache.set_many({text: [text] for text in TEXTS})
    assert await cache.get_many(*TEXTS) == tuple([text] for text in TEXTS)
    await cache.delete_many(*TEXTS[1:])
    assert await cache.get_many(*TEXTS) == ([TEXTS[0]], *[None] * (len(TEXTS) - 1))


async def test_keys_are_scanned_as_they_were_given(cache):
    await cache.set_many({text: number for number, text in enumerate(TEXTS)})
    assert sorted([key async for key in cache.scan("*")]) == sorted(TEXTS)
    assert sorted([pair async for pair in cache.get_match("*")]) == sorted(zip(TEXTS, range(len(TEXTS)), strict=True))


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("{}", str.__eq__), ("{}*", str.startswith), ("*{}", str.endswith), ("*{}*", str.__contains__)],
)
async def test_patterns_match_any_text_as_it_was_given(cache, pattern, matches):
    """Guarantee 4; however a store spells it."""
    await cache.set_many(dict.fromkeys(TEXTS, 1))
    for text in TEXTS:
        assert {key async for key in cache.scan(pattern.format(text))} == {key for key in TEXTS if matches(key, text)}
    await cache.delete_match(pattern.format("\udc80"))
    assert {key async for key in cache.scan("*")} == {key for key in TEXTS if not matches(key, "\udc80")}


async def test_members_are_any_text(cache):
    for text in TEXTS:
        await cache.set_add(text, *TEXTS)
        await cache.set_remove(text, text)
        await cache.set_remove(text, "\ufdd1")
        assert sorted(await cache.set_pop(text)) == sorted(set(TEXTS) - {text, "\ufdd1"})
        assert await cache.set_pop(text) == []


async def test_raw_text_comes_back(cache, subject):
    for text in (*TEXTS, os.fsdecode(b"\xff") * 50_000):
        assert await cache.set_raw("k", text)
        found = await cache.get_raw("k")
        assert found in (text, text.encode("utf-8", "surrogatepass"))
        if not subject.served:
            assert found == text
        await cache.delete("k")


@pytest.mark.no_transaction
async def test_tokens_of_locks_are_any_text(cache):
    for text in TEXTS:
        assert await cache.set_lock(text, text, 10)
        assert not await cache.unlock(text, "another")
        assert await cache.is_locked(text)
    for text in TEXTS:
        assert await cache.unlock(text, text)
        assert not await cache.is_locked(text)


@pytest.mark.several_keys
@pytest.mark.no_transaction
async def test_a_transaction_writes_under_any_text(cache):
    async with cache.transaction():
        for number, text in enumerate(TEXTS):
            await cache.set(text, number)
            await cache.set_add(f"set{number}", text)
        await cache.set_raw("raw", "\udc80")
    assert await cache.get_many(*TEXTS) == tuple(range(len(TEXTS)))
    assert [await cache.set_pop(f"set{number}") for number in range(len(TEXTS))] == [[text] for text in TEXTS]
    assert await cache.get_raw("raw") in ("\udc80", b"\xed\xb2\x80")
    async with cache.transaction():
        assert await cache.get_many(*TEXTS) == tuple(range(len(TEXTS)))


async def test_halves_of_characters_are_no_whole_one(cache):
    assert await cache.set(WHOLE, 1)
    assert await cache.set("\U0001f600", 2)
    assert await cache.get(WHOLE) == 1
    assert await cache.get("\ud83d") is None
