"""The race of the near table on a cluster: slots move, and masters change."""

import pytest

from tests.cluster.race import broken, run

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("moves", [True, False])
def test_nothing_that_is_read_is_older_than_promised_while_a_slot_moves(cluster, anyio_backend, moves):
    """Guarantee 31: and in a slot that stays, nothing is behind what its node has told."""
    verdict = run(cluster, anyio_backend, moves=moves)
    assert broken(verdict, moves=moves) == [], str(verdict)
    assert verdict.marked > 500
    assert verdict.staleness


def test_nothing_that_is_read_is_older_than_promised_while_masters_change(replicated, anyio_backend):
    """Guarantees 31 and 32."""
    verdict = run(replicated, anyio_backend, moves=True, fails_over=True)
    assert broken(verdict, moves=True) == [], str(verdict)
    assert verdict.marked > 500
    assert verdict.staleness
    assert replicated.failovers > 1


@pytest.mark.parametrize("bug", ["deaf", "late pushes"])
def test_a_planted_bug_is_found_on_a_cluster(cluster, bug):
    verdict = run(cluster, "asyncio", moves=False, bug=bug)
    assert broken(verdict, moves=False) != [], str(verdict)
