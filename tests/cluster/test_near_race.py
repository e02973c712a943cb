"""The race of `tests.near.race` on a cluster, with a slot that moves from node to node."""

import pytest

from cashews.backends.redis.slots import slot_of
from tests.near.race import faults, race

pytestmark = pytest.mark.redis
SECONDS = 3.0
PREFIX = "{race}:"
"""The beginning of all keys: they lie in one slot."""
UNORDERED = {"behind the marker", "after expiry"}
"""Faults that a move may have: there is no order between nodes, and `MIGRATE` lets a value live a little longer."""


def run(cluster, loop, *, moves, bug=""):
    slot = slot_of(PREFIX)

    def move():
        cluster.begin_move(slot)
        cluster.end_move(slot)

    cut = 0.2 if moves else 0.0
    return race(cluster.nodes[0], loop, SECONDS, url=cluster.url, prefix=PREFIX, disturb=move, cut=cut, bug=bug)


@pytest.mark.parametrize("moves", [True, False])
def test_nothing_that_is_read_is_older_than_promised_while_a_slot_moves(cluster, anyio_backend, moves):
    """Guarantee 31: and in a slot that stays, nothing is behind what its node has told."""
    verdict = run(cluster, anyio_backend, moves=moves)
    assert [fault for fault in faults(verdict) if not (moves and fault in UNORDERED)] == [], str(verdict)
    assert verdict.marked > 500
    assert verdict.staleness


@pytest.mark.parametrize("bug", ["deaf", "late pushes"])
def test_a_planted_bug_is_found_on_a_cluster(cluster, bug):
    verdict = run(cluster, "asyncio", moves=False, bug=bug)
    assert faults(verdict) != [], str(verdict)
