"""Stored bytes that cannot be decoded: absent for every command that asks about their key."""

from __future__ import annotations

import pytest

from tests.subjects import SUBJECTS, each

pytestmark = pytest.mark.parametrize(
    "subject", each([name for name in SUBJECTS if name.startswith(("mem-pickled", "disk"))]), indirect=True
)
UNREADABLE = b"\x80\x05 not a pickle"


@pytest.fixture
async def filled(cache):
    for key in ("k", "other"):
        await cache.set_raw(key, UNREADABLE, expire=100)
    await cache.set("readable", [1], expire=100)
    await cache.set_add("set", "member", expire=100)
    return cache


@pytest.mark.no_transaction
async def test_questions_about_it_are_answered_as_for_an_absent_key(filled):
    """Guarantee 24."""
    assert await filled.get("k") is None
    assert [await filled.exists(key) for key in ("k", "readable", "set", "none")] == [False, True, True, False]
    assert [await filled.get_expire(key) for key in ("k", "readable", "set", "none")] == [-2, 100, 100, -2]
    assert await filled.get_size("k") == 0
    assert await filled.get_size("readable") > 0


@pytest.mark.no_transaction
async def test_conditions_on_it_hold_as_for_an_absent_key(filled):
    """Guarantee 24."""
    assert await filled.expire("k", 1_000) is False
    assert await filled.expire("readable", 1_000) is True
    assert await filled.set("k", 1, exist=True) is False
    assert await filled.set("k", 1, exist=True, tags=["t"]) is False
    assert await filled.set("k", 1, exist=False) is True
    assert await filled.set("other", 1, exist=False, tags=["t"]) is True
    assert await filled.get_many("k", "other") == (1, 1)
    assert await filled.set("k", 2, exist=False) is False
    assert await filled.set("readable", 2, exist=True) is True
