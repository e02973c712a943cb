"""A function that counts how often it runs."""

import pytest


class Origin:
    """A function: answers the number of its run; fails and takes time on demand."""

    def __init__(self, clock):
        self.clock = clock
        self.runs = 0
        self.error = None
        self.takes = 0.0

    async def __call__(self, *_, **__):
        self.runs += 1
        run = self.runs
        if self.takes:
            await self.clock.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return run


@pytest.fixture
def origin(clock):
    return Origin(clock)
