"""Registered types are taken back after each test: they are known to every serializer of the process."""

from __future__ import annotations

import pytest

from cashews.serialize import custom


@pytest.fixture(autouse=True)
def _registered():
    before = dict(custom._customs)
    yield
    custom._customs.clear()
    custom._customs.update(before)
