"""Crowds that are larger than the mailbox of a connection."""

from __future__ import annotations

import pytest

from cashews import Cache
from cashews.backends.redis.inbox import ROOM, Inbox
from tests.crowds import lost_of

pytestmark = pytest.mark.redis


async def test_a_crowd_larger_than_the_mailbox_loses_nothing(server):
    """Guarantee 22: the time for a reply counts from when a request is sent, however long it has waited for room."""
    async with Cache.open(server.url, suppress=True, socket_timeout=5) as cache:
        assert await lost_of(cache, ROOM + 2_000) == 0
        assert cache.statistics().backends[""]["timeouts"] == 0


class Place:
    """A place for a reply that nobody awaits."""

    given = False

    def done(self):
        return self.given

    def set_result(self, reply):
        self.given = True


def test_a_request_has_its_whole_time_from_when_it_is_sent():
    inbox = Inbox()
    inbox.post(b"first", Place(), reads=False)
    inbox.post(b"second", Place(), reads=True)
    first, second = inbox.batch(now=1_000.0, timeout=2.0)
    assert (first.deadline, second.deadline) == (1_002.0, 1_002.0)
