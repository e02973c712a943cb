"""A function whose loads the test holds back."""

from __future__ import annotations

import anyio
import pytest


class Gate:
    """A load that waits for the test: `begun` is set when it runs, and it returns `value` once `go` is set."""

    def __init__(self) -> None:
        self.value = "old"
        self.runs = 0
        self.begun, self.go = anyio.Event(), anyio.Event()

    async def __call__(self, *_: object, **__: object) -> str:
        self.runs += 1
        value = self.value
        self.begun.set()
        await self.go.wait()
        return value


@pytest.fixture
def gate() -> Gate:
    return Gate()
